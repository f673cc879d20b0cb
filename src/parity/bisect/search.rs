//! The search for the smallest part of a model that still fails.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::BisectError;
use super::trial::{Failure, Outcome, Part, Trials};

/// A part that fails, and how.
pub(super) struct Found {
    pub(super) part: Part,
    pub(super) failure: Failure,
}

/// Finds a part of the model from which no node can be taken away without it passing: none where the model itself does.
pub(super) fn search(
    trials: &mut Trials<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<Option<Found>, BisectError> {
    progress("trying the whole model");
    let whole = Part {
        outputs: trials
            .outputs
            .iter()
            .map(|(of_a, _)| of_a.clone())
            .collect(),
        ..Part::default()
    };
    let points = trials.cut_points();
    let (mut found, end) = match trials.try_part(&whole)? {
        Outcome::Fails(failure) => {
            trials.looked_for = Some(failure.clone());
            let mut found = Found {
                part: whole,
                failure,
            };
            let end = first_failing(trials, &points, &mut found, progress)?;
            (found, end)
        }
        Outcome::Passes | Outcome::Other => match within(trials, &points, progress)? {
            Some(found) => found,
            None => return Ok(None),
        },
    };
    trials.looked_for = Some(found.failure.clone());
    narrow_outputs(trials, &mut found)?;
    last_beginning(trials, &points, end, &mut found, progress)?;
    drop_nodes(trials, &points, &mut found, progress)?;
    Ok(Some(found))
}

impl Found {
    /// Takes a part in this one's place, if it fails too.
    fn replace(&mut self, trials: &mut Trials<'_>, part: Part) -> Result<bool, BisectError> {
        match trials.try_part(&part)? {
            Outcome::Fails(failure) => {
                *self = Self { part, failure };
                Ok(true)
            }
            Outcome::Passes | Outcome::Other => Ok(false),
        }
    }
}

/// Where the outputs hold: the first value within the graph that does not, asked for together with all others.
fn within(
    trials: &mut Trials<'_>,
    points: &[String],
    progress: &mut dyn FnMut(&str),
) -> Result<Option<(Found, usize)>, BisectError> {
    progress("the outputs hold: trying all values before them");
    let mut part = Part {
        outputs: points.to_vec(),
        ..Part::default()
    };
    if points.is_empty() {
        return Ok(None);
    }
    let Outcome::Fails(failure) = trials.try_part(&part)? else {
        return Ok(None);
    };
    let end = match &failure {
        Failure::Values { output, .. } => {
            let place = points.iter().position(|point| point == output);
            place.map_or(points.len(), |place| place + 1)
        }
        _ => points.len(),
    };
    let mut found = Found {
        part: part.clone(),
        failure,
    };
    part.outputs = points[end - 1..end].to_vec();
    // By itself the value may come out otherwise: a runtime fuses differently for it.
    found.replace(trials, part)?;
    Ok(Some((found, end)))
}

/// Halves the cut points until the beginning of the graph up to one fails and up to the one before does not. Returns how
/// many points the failing beginning has.
fn first_failing(
    trials: &mut Trials<'_>,
    points: &[String],
    found: &mut Found,
    progress: &mut dyn FnMut(&str),
) -> Result<usize, BisectError> {
    let (mut passing, mut failing) = (0, points.len() + 1);
    while failing - passing > 1 {
        let middle = passing.midpoint(failing);
        progress(&format!(
            "cutting after {middle} of {} values",
            points.len()
        ));
        let part = Part {
            outputs: frontier(trials, &points[..middle]),
            ..Part::default()
        };
        match found.replace(trials, part)? {
            true => failing = middle,
            false => passing = middle,
        }
    }
    Ok(failing.min(points.len()))
}

/// Of the first values, those that anything behind them reads.
fn frontier(trials: &Trials<'_>, points: &[String]) -> Vec<String> {
    let last = points
        .last()
        .and_then(|value| trials.a.producer(value))
        .unwrap_or(0);
    let behind = &trials.a.nodes()[last + 1..];
    let read: HashSet<&str> = behind
        .iter()
        .flat_map(|node| node.inputs.iter().map(String::as_str))
        .collect();
    let is_output = |value: &str| trials.outputs.iter().any(|(of_a, _)| of_a == value);
    let (end, rest) = points
        .split_last()
        .map_or((None, &[][..]), |(end, rest)| (Some(end), rest));
    let rest = rest
        .iter()
        .filter(|value| read.contains(value.as_str()) || is_output(value));
    // The last one first: where it fails, it is the one to be named.
    end.into_iter().chain(rest).cloned().collect()
}

/// Asks for the failing output only.
fn narrow_outputs(trials: &mut Trials<'_>, found: &mut Found) -> Result<(), BisectError> {
    if found.part.outputs.len() < 2 {
        return Ok(());
    }
    let failing = match &found.failure {
        Failure::Values { output, .. } => vec![output.clone()],
        _ => found.part.outputs.clone(),
    };
    for output in failing {
        let part = Part {
            outputs: vec![output],
            stops: found.part.stops.clone(),
        };
        if found.replace(trials, part)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Begins as late as it still fails: first just before the end, then further off, then halving between.
fn last_beginning(
    trials: &mut Trials<'_>,
    points: &[String],
    end: usize,
    found: &mut Found,
    progress: &mut dyn FnMut(&str),
) -> Result<(), BisectError> {
    // Points behind which a part begins: with 0 it begins at the inputs, where it fails.
    let (mut failing, mut passing, mut step) = (0, end + 1, 1);
    while failing + 1 < passing {
        let at = match failing {
            0 => end.saturating_sub(step).max(1),
            _ => failing.midpoint(passing),
        };
        if at >= passing {
            break;
        }
        progress(&format!("beginning behind {at} of {} values", points.len()));
        let outputs = &found.part.outputs;
        let stops = points[..at.min(points.len())]
            .iter()
            .filter(|value| !outputs.contains(value));
        let part = Part {
            outputs: outputs.clone(),
            stops: stops.cloned().collect(),
        };
        match found.replace(trials, part)? {
            true => failing = at,
            false => passing = at,
        }
        step *= 2;
    }
    Ok(())
}

/// Takes nodes away as long as any can be: from the beginning, by beginning at one more value; from the end, by asking
/// for an earlier one.
fn drop_nodes(
    trials: &mut Trials<'_>,
    points: &[String],
    found: &mut Found,
    progress: &mut dyn FnMut(&str),
) -> Result<(), BisectError> {
    let places: HashMap<&str, usize> = points
        .iter()
        .enumerate()
        .map(|(place, value)| (value.as_str(), place))
        .collect();
    loop {
        let nodes = trials.cut(&found.part, |_| None)?.nodes;
        progress(&format!(
            "taking away what is not needed of {} nodes",
            nodes.len()
        ));
        let values = nodes
            .iter()
            .flat_map(|&node| &trials.a.nodes()[node].outputs);
        let inner: BTreeSet<usize> = values
            .filter(|value| !found.part.outputs.contains(value))
            .filter_map(|value| places.get(value.as_str()).copied())
            .collect();
        let mut changed = false;
        for &place in inner.iter().rev() {
            let value = &points[place];
            let mut later = found.part.clone();
            later.stops.insert(value.clone());
            let mut earlier = found.part.clone();
            earlier.outputs = vec![value.clone()];
            for part in [later, earlier] {
                let fewer = trials.cut(&part, |_| None)?.nodes.len()
                    < trials.cut(&found.part, |_| None)?.nodes.len();
                changed |= fewer && found.replace(trials, part)?;
            }
        }
        if !changed {
            return Ok(());
        }
    }
}
