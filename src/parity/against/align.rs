//! Which values of two graphs are the same layer's: told by what computes them and what is computed from them, never by
//! the likeness of names.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use super::graph::Graph;

/// How a pair was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlignedBy {
    /// By what computes it from the inputs, or what is computed from it.
    Structure,
    /// So, and both graphs have it under the same name.
    StructureAndName,
    /// By its name, operator and weights' shapes, in files whose names agree wherever structure can tell.
    Name,
}

/// Pairs of classes.
#[derive(Debug)]
pub(super) struct Alignment {
    /// For each class of A the one of B.
    pub(super) of_a: Vec<Option<usize>>,
    /// For each class of B the one of A.
    pub(super) of_b: Vec<Option<usize>>,
    /// Whether both graphs have a name, and it is not the same layer's.
    pub(super) names_contradict: bool,
    by_name: HashSet<usize>,
}

/// Numbers each distinct key, across both graphs.
struct Numbers<K>(HashMap<K, usize>);

impl<K: Hash + Eq> Numbers<K> {
    fn of(&mut self, key: K) -> usize {
        let next = self.0.len();
        *self.0.entry(key).or_insert(next)
    }
}

/// A class's readers by what they are: signature, place among the operands, number of operands, and the reader's own.
type Readers = Vec<(String, usize, usize, usize)>;

/// Aligns two graphs. `inputs` and `outputs` are the pairs of their interface, by name.
pub(super) fn align(
    a: &Graph,
    b: &Graph,
    inputs: &[(String, String)],
    outputs: &[(String, String)],
) -> Alignment {
    let mut aligner = Aligner {
        a,
        b,
        found: Alignment {
            of_a: vec![None; a.classes.len()],
            of_b: vec![None; b.classes.len()],
            names_contradict: false,
            by_name: HashSet::new(),
        },
    };
    let interface = |pairs: &[(String, String)]| -> Vec<(usize, usize)> {
        let pairs = pairs.iter();
        pairs
            .filter_map(|(of_a, of_b)| Some((a.class_of(of_a)?, b.class_of(of_b)?)))
            .collect()
    };
    let (inputs, outputs) = (interface(inputs), interface(outputs));
    for &(of_a, of_b) in &inputs {
        aligner.pair(of_a, of_b);
    }
    let mut numbers = Numbers(HashMap::new());
    let sides =
        |pairs: &[(usize, usize)]| -> (Vec<usize>, Vec<usize>) { pairs.iter().copied().unzip() };
    let (inputs_a, inputs_b) = sides(&inputs);
    let from_inputs = [
        forward(a, &inputs_a, &mut numbers),
        forward(b, &inputs_b, &mut numbers),
    ];
    let mut numbers = Numbers(HashMap::new());
    let (outputs_a, outputs_b) = sides(&outputs);
    let to_outputs = [
        backward(a, &outputs_a, &mut numbers),
        backward(b, &outputs_b, &mut numbers),
    ];
    // The same computation from the inputs; where a graph has that more than once, also the same use of it.
    aligner.by(|side, class| Some(from_inputs[side][class]));
    aligner.by(|side, class| Some((from_inputs[side][class], to_outputs[side][class])));
    for &(of_a, of_b) in &outputs {
        aligner.pair(of_a, of_b);
    }
    aligner.spread();
    // Behind a difference: the same operator, and the same way from there to the outputs.
    aligner.by(|side, class| {
        let graph = if side == 0 { a } else { b };
        Some((
            graph.classes[class].signature.as_str(),
            to_outputs[side][class],
        ))
    });
    aligner.spread();
    aligner.by_name();
    aligner.spread();
    aligner.found
}

/// Numbers classes by how they are computed from the inputs.
fn forward(
    graph: &Graph,
    inputs: &[usize],
    numbers: &mut Numbers<(String, Vec<usize>)>,
) -> Vec<usize> {
    let mut found: Vec<usize> = Vec::with_capacity(graph.classes.len());
    for (place, class) in graph.classes.iter().enumerate() {
        let mut operands: Vec<usize> = class.operands.iter().map(|&of| found[of]).collect();
        if class.commutative {
            operands.sort_unstable();
        }
        let signature = match inputs.iter().position(|&input| input == place) {
            Some(input) => format!("input {input}"),
            None => class.signature.clone(),
        };
        found.push(numbers.of((signature, operands)));
    }
    found
}

/// Numbers classes by how the outputs are computed from them.
fn backward(graph: &Graph, outputs: &[usize], numbers: &mut Numbers<Readers>) -> Vec<usize> {
    let mut readers: Vec<Readers> = vec![vec![]; graph.classes.len()];
    for (place, &output) in outputs.iter().enumerate() {
        readers[output].push(("output".into(), place, 0, 0));
    }
    let mut found = vec![0; graph.classes.len()];
    for class in (0..graph.classes.len()).rev() {
        let mut own = std::mem::take(&mut readers[class]);
        own.sort();
        found[class] = numbers.of(own);
        let this = &graph.classes[class];
        for (place, &operand) in this.operands.iter().enumerate() {
            let place = if this.commutative { 0 } else { place };
            let reader = (
                this.signature.clone(),
                place,
                this.operands.len(),
                found[class],
            );
            readers[operand].push(reader);
        }
    }
    found
}

struct Aligner<'a> {
    a: &'a Graph,
    b: &'a Graph,
    found: Alignment,
}

impl Aligner<'_> {
    /// Pairs two classes, if neither has a partner.
    fn pair(&mut self, of_a: usize, of_b: usize) -> bool {
        let free = self.found.of_a[of_a].is_none() && self.found.of_b[of_b].is_none();
        if free {
            self.found.of_a[of_a] = Some(of_b);
            self.found.of_b[of_b] = Some(of_a);
        }
        free
    }

    /// Pairs what has a key that occurs once in each graph, among what is unpaired. Keys may have an order that differs
    /// from run to run: pairs do not depend on it.
    fn by<K: Hash + Eq>(&mut self, key: impl Fn(usize, usize) -> Option<K>) -> bool {
        let mut groups: HashMap<K, [Vec<usize>; 2]> = HashMap::new();
        for (side, partners) in [&self.found.of_a, &self.found.of_b].into_iter().enumerate() {
            let unpaired = (0..partners.len()).filter(|&class| partners[class].is_none());
            for class in unpaired {
                if let Some(key) = key(side, class) {
                    groups.entry(key).or_default()[side].push(class);
                }
            }
        }
        let mut changed = false;
        for [of_a, of_b] in groups.into_values() {
            if let ([of_a], [of_b]) = (of_a.as_slice(), of_b.as_slice()) {
                changed |= self.pair(*of_a, *of_b);
            }
        }
        changed
    }

    /// Goes on from what is paired until nothing more is certain: up from a pair to its operands, and down to what is
    /// computed from pairs.
    fn spread(&mut self) {
        loop {
            let mut changed = false;
            for of_a in (0..self.a.classes.len()).rev() {
                if let Some(of_b) = self.found.of_a[of_a] {
                    changed |= self.up(of_a, of_b);
                }
            }
            changed |= self.down();
            if !changed {
                return;
            }
        }
    }

    fn up(&mut self, of_a: usize, of_b: usize) -> bool {
        let (a, b) = (self.a, self.b);
        let (upper, lower) = (&a.classes[of_a], &b.classes[of_b]);
        if upper.signature != lower.signature || upper.operands.len() != lower.operands.len() {
            return false;
        }
        let mut changed = false;
        for (place, &operand) in upper.operands.iter().enumerate() {
            if self.found.of_a[operand].is_some() {
                continue;
            }
            let signature = &a.classes[operand].signature;
            let fits = |of: usize| b.classes[of].signature == *signature;
            let other = match upper.commutative {
                false => Some(lower.operands[place]).filter(|&of| fits(of)),
                true => {
                    // Any of them, if it is the only one of its kind on both sides.
                    let alike = upper
                        .operands
                        .iter()
                        .filter(|&&of| a.classes[of].signature == *signature)
                        .count();
                    let mut fitting = lower.operands.iter().copied().filter(|&of| fits(of));
                    fitting
                        .next()
                        .filter(|_| fitting.next().is_none() && alike == 1)
                }
            };
            if let Some(other) = other {
                changed |= self.pair(operand, other);
            }
        }
        changed
    }

    fn down(&mut self) -> bool {
        let (a, b) = (self.a, self.b);
        let of_a = self.found.of_a.clone();
        let of_b = self.found.of_b.clone();
        self.by(|side, class| {
            // Operands by their classes in B.
            let this = if side == 0 {
                &a.classes[class]
            } else {
                &b.classes[class]
            };
            let image = |&operand: &usize| match side {
                0 => of_a[operand],
                _ => of_b[operand].map(|_| operand),
            };
            let mut operands = this
                .operands
                .iter()
                .map(image)
                .collect::<Option<Vec<usize>>>()?;
            if this.commutative {
                operands.sort_unstable();
            }
            (!operands.is_empty()).then(|| (this.signature.clone(), operands))
        })
    }

    /// Pairs by name what is left, where names agree with structure wherever it tells.
    fn by_name(&mut self) {
        let (mut same, mut pairs) = (0, 0);
        for of_a in 0..self.a.classes.len() {
            let Some(of_b) = self.found.of_a[of_a] else {
                continue;
            };
            pairs += usize::from(self.a.is_layer(of_a) && self.b.is_layer(of_b));
            for member in &self.a.classes[of_a].members {
                match self.b.class_of(member) {
                    Some(named) if named == of_b => same += 1,
                    Some(_) => self.found.names_contradict = true,
                    None => {}
                }
            }
        }
        if self.found.names_contradict || 2 * same < pairs {
            return;
        }
        for of_a in 0..self.a.classes.len() {
            if self.found.of_a[of_a].is_some() {
                continue;
            }
            let class = &self.a.classes[of_a];
            let named = class
                .members
                .iter()
                .find_map(|member| self.b.class_of(member));
            if let Some(of_b) =
                named.filter(|&of_b| self.b.classes[of_b].signature == class.signature)
                && self.pair(of_a, of_b)
            {
                self.found.by_name.insert(of_a);
            }
        }
    }
}

impl Alignment {
    /// How a class of A found its partner.
    pub(super) fn by(&self, a: &Graph, b: &Graph, of_a: usize) -> AlignedBy {
        if self.by_name.contains(&of_a) {
            return AlignedBy::Name;
        }
        let other = self.of_a[of_a];
        let mut members = a.classes[of_a].members.iter();
        match members.any(|member| b.class_of(member).is_some_and(|class| Some(class) == other)) {
            true => AlignedBy::StructureAndName,
            false => AlignedBy::Structure,
        }
    }

    /// Pairs of which both have a value that can be compared, in B's order; the graph's inputs are none.
    pub(super) fn layers(&self, a: &Graph, b: &Graph) -> Vec<(usize, usize)> {
        let pairs = self.of_b.iter().enumerate();
        let pairs = pairs.filter_map(|(of_b, of_a)| Some(((*of_a)?, of_b)));
        pairs
            .filter(|&(of_a, of_b)| a.is_layer(of_a) && b.is_layer(of_b))
            .collect()
    }
}
