//! Columns: where in its row everything stands.
//!
//! What follows each other without a fork or a join stands in one column, so its arrows are straight. Each column is
//! drawn to the middle of what it joins or forks into, as near as the others in its rows let it: a quadratic programme
//! with the rows' orders and widths as constraints, solved with Hildreth's method.

use super::diagram::{Link, LinkKind};
use super::layers::Layers;

/// Space between two neighbours in a row.
const GAP: f64 = 20.0;
/// How often columns are drawn to the middle of their neighbours, which move too.
const ROUNDS: usize = 60;
/// Sweeps over all constraints in each round; with some ten columns the remaining error is far below a pixel.
const SWEEPS: usize = 80;
/// What only a shortcut or a side branch pulls must not push the others aside.
const WEAK: f64 = 1e-3;

/// How far a vertex reaches to the left and to the right of its centre.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reach {
    pub(super) left: f64,
    pub(super) right: f64,
}

/// `right` must stand at least `distance` to the right of `left`.
#[derive(Debug, Clone, Copy)]
struct Constraint {
    left: usize,
    right: usize,
    distance: f64,
}

/// The centre of each vertex: whole numbers, in its row's order, neighbours at least a gap apart.
pub(super) fn centres(layers: &Layers, links: &[Link], reach: &[Reach]) -> Vec<f64> {
    let mut column_of = joined(layers, links);
    let mut found = constraints(layers, reach, &column_of);
    let mut order = left_to_right(&found, layers.vertices.len());
    if order.is_none() {
        // Columns that cross each other: every vertex by itself, whose order the rows give.
        column_of = (0..layers.vertices.len()).collect();
        found = constraints(layers, reach, &column_of);
        order = left_to_right(&found, layers.vertices.len());
    }
    let order = order.unwrap_or_default();
    let mut positions = packed(&vec![0.0; layers.vertices.len()], &found, &order);
    let pulls = Pulls::new(layers, links, &column_of);
    for _ in 0..ROUNDS {
        let wanted: Vec<f64> = (0..positions.len())
            // Half the way: neighbours that both went the whole way would change sides for ever.
            .map(|column| f64::midpoint(positions[column], pulls.wanted(column, &positions)))
            .collect();
        positions = nearest(wanted, &found, &pulls.strength);
    }
    let rounded: Vec<f64> = positions.iter().map(|x| x.round()).collect();
    let positions = packed(&rounded, &found, &order);
    column_of.iter().map(|&column| positions[column]).collect()
}

/// For each vertex its column, named after one of its vertices.
fn joined(layers: &Layers, links: &[Link]) -> Vec<usize> {
    let count = layers.vertices.len();
    let (mut above, mut below) = (vec![0; count], vec![0; count]);
    for (lower, upper) in main_steps(layers, links) {
        above[lower] += 1;
        below[upper] += 1;
    }
    let mut column_of: Vec<usize> = (0..count).collect();
    let mut join = |lower: usize, upper: usize| {
        let (kept, gone) = (column_of[lower], column_of[upper]);
        for column in &mut column_of {
            if *column == gone {
                *column = kept;
            }
        }
    };
    for (lower, upper) in main_steps(layers, links) {
        if above[lower] == 1 && below[upper] == 1 {
            join(lower, upper);
        }
    }
    for (chain, link) in layers.chains.iter().zip(links) {
        if link.kind != LinkKind::Main {
            for pair in chain[1..chain.len() - 1].windows(2) {
                join(pair[0], pair[1]);
            }
        }
    }
    column_of
}

/// The steps from row to row of all arrows up the middle.
fn main_steps<'a>(
    layers: &'a Layers,
    links: &'a [Link],
) -> impl Iterator<Item = (usize, usize)> + 'a {
    steps(layers, links, |kind| kind == LinkKind::Main)
}

fn steps<'a>(
    layers: &'a Layers,
    links: &'a [Link],
    wanted: impl Fn(LinkKind) -> bool + 'a,
) -> impl Iterator<Item = (usize, usize)> + 'a {
    let chains = layers.chains.iter().zip(links);
    chains
        .filter(move |(_, link)| wanted(link.kind))
        .flat_map(|(chain, _)| chain.windows(2).map(|pair| (pair[0], pair[1])))
}

fn constraints(layers: &Layers, reach: &[Reach], column_of: &[usize]) -> Vec<Constraint> {
    let pairs = layers.rows.iter().flat_map(|row| row.windows(2));
    let mut found: Vec<Constraint> = vec![];
    for pair in pairs {
        let (left, right) = (column_of[pair[0]], column_of[pair[1]]);
        let distance = reach[pair[0]].right + GAP + reach[pair[1]].left;
        let known = found
            .iter_mut()
            .find(|known| (known.left, known.right) == (left, right));
        match known {
            Some(known) => known.distance = known.distance.max(distance),
            None => found.push(Constraint {
                left,
                right,
                distance,
            }),
        }
    }
    found
}

/// The columns so that each comes after all to its left, or `None` where two are to the left of each other.
fn left_to_right(constraints: &[Constraint], count: usize) -> Option<Vec<usize>> {
    let mut waiting = vec![0; count];
    for constraint in constraints {
        waiting[constraint.right] += 1;
    }
    let mut order: Vec<usize> = (0..count).filter(|&column| waiting[column] == 0).collect();
    let mut next = 0;
    while let Some(&column) = order.get(next) {
        next += 1;
        for constraint in constraints.iter().filter(|found| found.left == column) {
            waiting[constraint.right] -= 1;
            if waiting[constraint.right] == 0 {
                order.push(constraint.right);
            }
        }
    }
    (order.len() == count).then_some(order)
}

/// Each column at `least` or as far to the right of it as its left neighbours need.
fn packed(least: &[f64], constraints: &[Constraint], order: &[usize]) -> Vec<f64> {
    let mut positions = least.to_vec();
    for &column in order {
        for constraint in constraints.iter().filter(|found| found.left == column) {
            let bound = (positions[column] + constraint.distance).ceil();
            positions[constraint.right] = positions[constraint.right].max(bound);
        }
    }
    positions
}

/// What draws each column to where.
struct Pulls {
    /// For each column, groups of columns: it is drawn to the mean of the groups' means.
    groups: Vec<Vec<Vec<usize>>>,
    strength: Vec<f64>,
}

impl Pulls {
    fn new(layers: &Layers, links: &[Link], column_of: &[usize]) -> Self {
        let count = layers.vertices.len();
        let neighbours = |main: bool| {
            let (mut above, mut below) = (vec![vec![]; count], vec![vec![]; count]);
            for (lower, upper) in steps(layers, links, move |kind| (kind == LinkKind::Main) == main)
            {
                let (lower, upper) = (column_of[lower], column_of[upper]);
                if lower != upper {
                    above[lower].push(upper);
                    below[upper].push(lower);
                }
            }
            (above, below)
        };
        let (above, below) = neighbours(true);
        let (weak_above, weak_below) = neighbours(false);
        let mut groups = vec![];
        let mut strength = vec![];
        for column in 0..count {
            let sides = [above[column].clone(), below[column].clone()];
            let forks = sides.iter().any(|side| side.len() > 1);
            // A fork stands in the middle of its branches, wherever its own input stands.
            let least = if forks { 2 } else { 1 };
            let mut pulling: Vec<Vec<usize>> = sides
                .into_iter()
                .filter(|side| side.len() >= least)
                .collect();
            strength.push(if pulling.is_empty() { WEAK } else { 1.0 });
            if pulling.is_empty() {
                let weak = [weak_above[column].clone(), weak_below[column].clone()];
                pulling.extend(weak.into_iter().filter(|side| !side.is_empty()));
            }
            groups.push(pulling);
        }
        Self { groups, strength }
    }

    fn wanted(&self, column: usize, positions: &[f64]) -> f64 {
        let mean = |values: &mut dyn ExactSizeIterator<Item = f64>| {
            let count = values.len();
            (count > 0).then(|| values.sum::<f64>() / count as f64)
        };
        let mut means = self.groups[column]
            .iter()
            .filter_map(|group| mean(&mut group.iter().map(|&other| positions[other])))
            .collect::<Vec<_>>()
            .into_iter();
        mean(&mut means).unwrap_or(positions[column])
    }
}

/// The positions nearest to `wanted`, in squares weighted by `strength`, that keep all constraints: Hildreth's method, a
/// descent in one multiplier for each constraint.
fn nearest(mut positions: Vec<f64>, constraints: &[Constraint], strength: &[f64]) -> Vec<f64> {
    let mut multipliers = vec![0.0; constraints.len()];
    for _ in 0..SWEEPS {
        for (constraint, multiplier) in constraints.iter().zip(&mut multipliers) {
            let (left, right) = (constraint.left, constraint.right);
            let (give_left, give_right) = (1.0 / strength[left], 1.0 / strength[right]);
            let missing = constraint.distance - (positions[right] - positions[left]);
            let changed = f64::max(0.0, *multiplier + missing / (give_left + give_right));
            let change = changed - *multiplier;
            *multiplier = changed;
            positions[left] -= give_left * change;
            positions[right] += give_right * change;
        }
    }
    positions
}
