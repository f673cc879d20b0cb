//! Every layer that both graphs have, a window of them at a time.

use std::collections::{HashMap, HashSet};

use incept_exporters::onnx::Parts;
use ndarray::ArrayD;

use super::closeness::{difference, largest_difference};
use super::report::operator_of;
use super::walk::{Walk, WalkError, can_be_handed_on, input, run_cut};
use super::{AgainstError, Difference, Inputs, Layer, Layers, Tolerance, largest, variations};
use crate::runtime::{InputTensor, LoadOptions, Runtime};

/// Layers in the first window: as many as the largest maps of a network may fit.
const FIRST_WINDOW: usize = 4;
/// Layers in a window at most, so that progress is seen.
const LARGEST_WINDOW: usize = 64;

/// All that a comparison of layers needs.
pub(super) struct Comparer<'a> {
    pub(super) layers: &'a Layers,
    pub(super) a: &'a Parts,
    pub(super) b: &'a Parts,
    pub(super) for_a: &'a Inputs,
    pub(super) for_b: &'a Inputs,
    pub(super) runtime: &'static dyn Runtime,
    pub(super) reference: &'static dyn Runtime,
    pub(super) tolerance: Tolerance,
    pub(super) window_bytes: usize,
}

/// B's values of the layers before, under A's names, for as long as a layer needs them.
#[derive(Default)]
struct Before {
    values: HashMap<String, (usize, ArrayD<f32>)>,
}

type Values = HashMap<String, ArrayD<f32>>;

impl<'a> Comparer<'a> {
    /// The layers in B's order, and the most bytes held at once.
    pub(super) fn run(
        &self,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(Vec<Layer>, usize), AgainstError> {
        let pairs = &self.layers.pairs;
        let mut walk_b = Walk::new(self.b, self.for_b, self.reference, LoadOptions::default());
        let walk = |options| Walk::new(self.a, self.for_a, self.runtime, options);
        // A itself, A once more, and A run in other ways.
        let mut walks_a = vec![walk(LoadOptions::default()), walk(LoadOptions::default())];
        walks_a.extend(variations().map(walk));
        let last_use = self.last_uses();
        let mut before = Before::default();
        let mut found = vec![];
        let (mut at, mut count, mut most_held) = (0, FIRST_WINDOW, 0);
        while at < pairs.len() {
            let end = pairs.len().min(at + count);
            progress(&format!(
                "comparing layers {} to {end} of {}",
                at + 1,
                pairs.len()
            ));
            let members = |range: &[(usize, usize)], of_a: bool| -> Vec<String> {
                let classes = range.iter().map(|&(a, b)| {
                    if of_a {
                        &self.layers.a.classes[a]
                    } else {
                        &self.layers.b.classes[b]
                    }
                });
                classes.flat_map(|class| class.members.clone()).collect()
            };
            let advance = |walk: &mut Walk<'a>, of_a: bool| {
                let later = members(&pairs[end..], of_a);
                let later: HashSet<&str> = later.iter().map(String::as_str).collect();
                let side = if of_a { "A" } else { "B" };
                walk.advance(&members(&pairs[at..end], of_a), &later)
                    .map_err(|error| failed(error, side))
            };
            let values_b = advance(&mut walk_b, false)?;
            let mut values_a = vec![];
            for walk in &mut walks_a {
                values_a.push(advance(walk, true)?);
            }
            let bytes =
                |values: &Values| values.values().map(|array| 4 * array.len()).sum::<usize>();
            let held = values_a.iter().chain([&values_b]).map(bytes).sum::<usize>()
                + walks_a
                    .iter()
                    .chain([&walk_b])
                    .map(Walk::bytes)
                    .sum::<usize>()
                + before.bytes();
            most_held = most_held.max(held);
            for place in at..end {
                let layer = self.layer(place, &values_a, &values_b, &mut before, &last_use)?;
                found.push(layer);
            }
            before.values.retain(|_, (until, _)| *until >= end);
            let of_one = values_b
                .values()
                .map(|array| 4 * array.len())
                .max()
                .unwrap_or(1);
            at = end;
            // The maps of a network shrink: the next window's are no larger than this one's, as a rule.
            count = (self.window_bytes / (of_one * (walks_a.len() + 1)).max(1))
                .clamp(1, LARGEST_WINDOW);
        }
        Ok((found, most_held))
    }

    fn layer(
        &self,
        place: usize,
        values_a: &[Values],
        values_b: &Values,
        before: &mut Before,
        last_use: &[usize],
    ) -> Result<Layer, AgainstError> {
        let (of_a, of_b) = self.layers.pairs[place];
        let (a, b) = (&self.layers.a, &self.layers.b);
        let (members_a, members_b) = (&a.classes[of_a].members, &b.classes[of_b].members);
        // The same numbers may be there in several shapes.
        let shape =
            |values: &Values, name: &String| values.get(name).map(|array| array.shape().to_vec());
        let both = members_a
            .iter()
            .flat_map(|name_a| members_b.iter().map(move |name_b| (name_a, name_b)));
        let same_shape = |(name_a, name_b): &(&String, &String)| {
            let shape_a = shape(&values_a[0], name_a);
            shape_a.is_some() && shape_a == shape(values_b, name_b)
        };
        let chosen = both.clone().find(same_shape);
        let (name_a, name_b) = chosen.unwrap_or((&members_a[0], &members_b[0]));
        let accumulated = match (values_a[0].get(name_a), values_b.get(name_b)) {
            (Some(array_a), Some(array_b)) => {
                let again = values_a[1..].iter().map(|values| {
                    values
                        .get(name_a)
                        .map_or(f64::NAN, |other| largest_difference(array_a, other))
                });
                difference(
                    array_a,
                    array_b,
                    self.tolerance,
                    Some(again.fold(0.0, largest)),
                )
            }
            (None, _) => Difference::missing("A"),
            (_, None) => Difference::missing("B"),
        };
        let (mut isolated, mut not_isolated) = (None, None);
        match values_b
            .get(name_b)
            .filter(|_| accumulated.metrics.is_some())
        {
            Some(array_b) => match self.isolated(name_a, array_b, before)? {
                Ok(difference) => isolated = Some(difference),
                Err(reason) => not_isolated = Some(reason),
            },
            None => not_isolated = Some("there are no numbers".into()),
        }
        if let (Some(array_b), true) = (
            values_b.get(name_b),
            accumulated.metrics.is_some() && can_be_handed_on(self.a, name_a),
        ) {
            before
                .values
                .insert(name_a.clone(), (last_use[place], array_b.clone()));
        }
        Ok(Layer {
            a: name_a.clone(),
            b: name_b.clone(),
            operator: operator_of(self.a, name_a),
            aligned_by: self.layers.alignment.by(a, b, of_a),
            accumulated,
            isolated,
            not_isolated,
        })
    }

    /// The layer of A that puts out `name`, fed with B's values; or why it cannot be.
    fn isolated(
        &self,
        name: &str,
        expected: &ArrayD<f32>,
        before: &Before,
    ) -> Result<Result<Difference, String>, AgainstError> {
        let shape = |value: &str| {
            let given = input(self.for_a, value).map(|tensor| tensor.shape().to_vec());
            given.or_else(|| {
                before
                    .values
                    .get(value)
                    .map(|(_, array)| array.shape().to_vec())
            })
        };
        let cut = self
            .a
            .cut(&[name], |value| before.values.contains_key(value), shape);
        let cut = cut.map_err(|error| failed(error.into(), "A"))?;
        let value = |name: &str| match before.values.get(name) {
            Some((_, array)) => Some(InputTensor::Floats(array.view())),
            None => input(self.for_a, name),
        };
        let mut results = vec![];
        for options in [LoadOptions::default()].into_iter().chain(variations()) {
            let outputs = match run_cut(self.runtime, options, &cut, value) {
                Ok(outputs) => outputs,
                Err(error) => return Ok(Err(format!("by itself the layer does not run: {error}"))),
            };
            let found = outputs.into_iter().find(|(output, _)| output == name);
            results.extend(found.map(|(_, array)| array));
        }
        let Some((found, again)) = results.split_first() else {
            return Ok(Err("the runtime did not put it out".into()));
        };
        let noise = again
            .iter()
            .map(|other| largest_difference(found, other))
            .fold(0.0, largest);
        Ok(Ok(difference(found, expected, self.tolerance, Some(noise))))
    }

    /// For each pair, the last one whose layer may read it.
    fn last_uses(&self) -> Vec<usize> {
        let graph = &self.layers.a;
        let pairs = &self.layers.pairs;
        let place_of: HashMap<usize, usize> = pairs
            .iter()
            .enumerate()
            .map(|(place, &(of_a, _))| (of_a, place))
            .collect();
        let mut last = vec![0; pairs.len()];
        for (place, &(of_a, _)) in pairs.iter().enumerate() {
            let mut waiting = graph.classes[of_a].before.clone();
            let mut seen = HashSet::new();
            while let Some(class) = waiting.pop() {
                if !seen.insert(class) {
                    continue;
                }
                match place_of.get(&class) {
                    Some(&read) => last[read] = last[read].max(place),
                    None => waiting.extend(&graph.classes[class].before),
                }
            }
        }
        last
    }
}

impl Before {
    fn bytes(&self) -> usize {
        self.values.values().map(|(_, array)| 4 * array.len()).sum()
    }
}

fn failed(error: WalkError, side: &str) -> AgainstError {
    match error {
        WalkError::Cut(source) => AgainstError::Cut {
            side: side.into(),
            source,
        },
        WalkError::Runtime(source) => AgainstError::Runtime {
            side: Some(side.into()),
            source,
        },
    }
}
