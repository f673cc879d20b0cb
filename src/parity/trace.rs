//! Every layer of a file in each runtime beside the oracle: by itself, and in the whole network.
//!
//! Each layer is a model of its own, cut out of the file. It runs twice: on the reference's values (isolated), and on
//! what the runtime itself had computed for the layers before (accumulated). So no runtime ever holds more than one
//! layer, nothing is fused across what is compared, and what is kept is only what later layers read. Images are taken
//! a window at a time, and within it a few at a time ([`TOGETHER`]), whatever the window: the result does not depend on
//! it, only how often a layer is loaded.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::mpsc::sync_channel;

use incept_exporters::net::{Net, NodeId, Op};
use incept_exporters::onnx::Cut;
use ndarray::{ArrayD, Axis};

use super::errors::Errors;
use super::feed::Feed;
use super::layers::{Layer, Layers};
use super::noise::{Differences, Run};
use super::truth::{Known, Truth, Values};
use super::{LayerChecked, LayerErrors, Noise, ParityError, Rule};
use crate::runtime::{InputTensor, LoadOptions, Optimization, Runtime, RuntimeError, Session};
use crate::torch::Oracle;

/// Images that a runtime computes at a time.
pub(super) const TOGETHER: usize = 4;

/// Bytes that an element of a value takes in the oracle (float64, and two variances), and where it is given (float32).
const TRACED: u64 = 16 + 4;

/// Layers whose reference is computed ahead of the one that runs.
const AHEAD: usize = 2;

/// A layer runs twice and is gone.
pub(super) const BRIEF: LoadOptions = LoadOptions {
    threads: None,
    optimization: Optimization::All,
    brief: true,
    tf32: false,
    placement: false,
};

/// A head of the network: the reference, and the size of its rounding errors.
pub(super) struct Head {
    pub(super) node: NodeId,
    pub(super) reference: ArrayD<f64>,
    pub(super) deviation: ArrayD<f32>,
    /// For each runtime the head computed layer by layer.
    pub(super) actual: Vec<Option<ArrayD<f32>>>,
}

/// What is compared, and how.
pub(super) struct Trace<'a> {
    pub(super) net: &'a Net,
    pub(super) layers: &'a Layers,
    pub(super) heads: &'a [NodeId],
    pub(super) runtimes: &'a [&'static dyn Runtime],
    pub(super) rule: Rule,
    /// Whether what a runtime differs from itself is measured.
    pub(super) noise: bool,
    /// The number of images the file is fixed to.
    pub(super) fixed: Option<usize>,
    /// Bytes that may be held.
    pub(super) memory: u64,
}

/// What came of it.
pub(super) struct Outcome {
    /// For each runtime every layer.
    pub(super) layers: Vec<Vec<LayerChecked>>,
    /// For each runtime what it differs from itself.
    pub(super) noise: Vec<Vec<Noise>>,
    /// The heads, for each group of images.
    pub(super) heads: Vec<Vec<Head>>,
}

/// The errors of one layer in one runtime.
#[derive(Clone)]
struct Both {
    isolated: Errors,
    accumulated: Errors,
    noise: Option<f64>,
}

/// A few images on their way through the network.
struct Group {
    first: usize,
    images: usize,
    /// The reference's values, as a runtime is given them.
    given: HashMap<NodeId, ArrayD<f32>>,
    /// For each runtime what it computed.
    actual: Vec<HashMap<NodeId, ArrayD<f32>>>,
    heads: Vec<(NodeId, Values)>,
}

/// All errors of all runtimes so far.
struct Sums {
    errors: Vec<Vec<Both>>,
    differences: Vec<Differences>,
}

impl Trace<'_> {
    /// Runs all of it.
    ///
    /// # Errors
    /// [`ParityError`] where a part cannot run at all.
    pub(super) fn run(
        &self,
        oracle: &mut Oracle,
        feed: &Feed,
        progress: &mut dyn FnMut(&str),
    ) -> Result<Outcome, ParityError> {
        let images = feed.scaled.len_of(Axis(0));
        let last_use = self.last_uses();
        let window = self.window(images, &last_use)?;
        let nothing = Both {
            isolated: Errors::under(&self.rule),
            accumulated: Errors::under(&self.rule),
            noise: None,
        };
        let mut sums = Sums {
            errors: vec![vec![nothing; self.layers.all.len()]; self.runtimes.len()],
            differences: vec![Differences::default(); self.runtimes.len()],
        };
        let mut heads = vec![];
        for first in (0..images).step_by(window) {
            let end = (first + window).min(images);
            let mut groups: Vec<Group> = (first..end)
                .step_by(self.together())
                .map(|start| Group {
                    first: start,
                    images: self.together().min(end - start),
                    given: HashMap::new(),
                    actual: vec![HashMap::new(); self.runtimes.len()],
                    heads: vec![],
                })
                .collect();
            let of_images = match images {
                1 => String::new(),
                _ => format!(", images {} to {end} of {images}", first + 1),
            };
            self.walk(
                (oracle, &last_use),
                feed,
                &mut groups,
                &mut sums,
                &mut |layer| {
                    progress(&format!("comparing {layer}{of_images}"));
                },
            )?;
            for group in groups {
                heads.push(Self::finals(group));
            }
        }
        Ok(Outcome {
            layers: sums
                .errors
                .into_iter()
                .map(|errors| self.checked(errors))
                .collect(),
            noise: sums
                .differences
                .into_iter()
                .map(Differences::outcome)
                .collect(),
            heads,
        })
    }

    /// Images that are computed at a time.
    pub(super) fn together(&self) -> usize {
        self.fixed.unwrap_or(TOGETHER)
    }

    /// Takes groups through the network: one thread computes the reference ahead, this one runs the layers.
    fn walk(
        &self,
        (oracle, last_use): (&mut Oracle, &[Option<usize>]),
        feed: &Feed,
        groups: &mut [Group],
        sums: &mut Sums,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(), ParityError> {
        let of_groups: Vec<Range<usize>> = groups.iter().map(Group::range).collect();
        std::thread::scope(|scope| {
            let (sender, truths) = sync_channel(AHEAD);
            let ahead = std::thread::Builder::new()
                .name("oracle".into())
                .spawn_scoped(scope, {
                    let truth = Truth {
                        net: self.net,
                        oracle,
                        layers: self.layers,
                        last_use,
                    };
                    move || truth.compute(feed, &of_groups, &sender)
                })
                .map_err(|error| ParityError::Thread { source: error })?;
            for known in truths {
                let Known {
                    node,
                    place,
                    values,
                } = known?;
                let index = node.index();
                for (group, value) in groups.iter_mut().zip(&values) {
                    let rounded = value.reference.mapv(|value| value as f32);
                    if place.is_none() {
                        let actual = group.actual.iter_mut();
                        actual.for_each(|actual| drop(actual.insert(node, rounded.clone())));
                    }
                    group.given.insert(node, rounded);
                }
                if let Some(place) = place {
                    let layer = &self.layers.all[place];
                    progress(&layer.value);
                    for runtime in 0..self.runtimes.len() {
                        self.compare(feed, (groups, &values), sums, (runtime, place, layer))?;
                    }
                }
                for (group, value) in groups.iter_mut().zip(values) {
                    if self.heads.contains(&node) {
                        group.heads.push((node, value));
                    }
                    let done = |id: &NodeId| last_use[id.index()].is_some_and(|last| last <= index);
                    group.given.retain(|id, _| !done(id));
                    group
                        .actual
                        .iter_mut()
                        .for_each(|actual| actual.retain(|id, _| !done(id)));
                }
            }
            let panicked = |_| ParityError::Thread {
                source: std::io::Error::other("it ended before its time"),
            };
            ahead.join().map_err(panicked)?;
            Ok(())
        })
    }

    /// The last node that reads each node's value, itself or as the input of its layer; none where no head needs it. The
    /// heads themselves are kept to the end.
    fn last_uses(&self) -> Vec<Option<usize>> {
        let nodes = self.net.nodes();
        let needed = self.net.needed(self.heads);
        let mut last: Vec<Option<usize>> = (0..nodes.len())
            .map(|index| needed[index].then_some(index))
            .collect();
        for (index, node) in nodes.iter().enumerate().filter(|(index, _)| needed[*index]) {
            for input in &node.inputs {
                last[input.index()] = Some(index);
            }
        }
        for layer in &self.layers.all {
            for input in layer
                .inputs
                .iter()
                .filter_map(|name| self.layers.by_value.get(name))
            {
                let known = &mut last[input.index()];
                *known = (*known).max(Some(layer.node.index()));
            }
        }
        for head in self.heads {
            last[head.index()] = Some(nodes.len());
        }
        last
    }

    /// Runs a layer in one runtime for all groups and adds its errors.
    fn compare(
        &self,
        feed: &Feed,
        (groups, values): (&mut [Group], &[Values]),
        sums: &mut Sums,
        (at, place, layer): (usize, usize, &Layer),
    ) -> Result<(), ParityError> {
        let runtime = self.runtimes[at];
        let both = &mut sums.errors[at][place];
        let refused = |source: RuntimeError| ParityError::Layer {
            value: layer.value.clone(),
            source,
        };
        let mut session: Option<(usize, Box<dyn Session>)> = None;
        for (group, value) in groups.iter_mut().zip(values) {
            if layer.operators.is_empty() {
                both.isolated.add_missing();
                both.accumulated.add_missing();
                continue;
            }
            let session = match &mut session {
                Some((images, session)) if *images == group.images => session,
                other => {
                    let cut = self.cut(layer, group.images)?;
                    let loaded = runtime.load(&cut.model, BRIEF);
                    &mut other.insert((group.images, loaded.map_err(refused)?)).1
                }
            };
            let reference = value.reference.view();
            let given = self.given(feed, group, layer, None);
            let run = |session: &mut Box<dyn Session>, given: &[(&str, InputTensor<'_>)]| {
                let outputs = session.run_named(given).map_err(refused)?;
                let found = outputs.into_iter().find(|(name, _)| *name == layer.value);
                Ok::<_, ParityError>(found.map(|(_, found)| found))
            };
            match run(session, &given)? {
                Some(found) => {
                    both.isolated
                        .add(reference.view(), value.isolated.view(), found.view());
                    if self.noise && group.first == 0 {
                        let run = Run {
                            runtime,
                            value: &layer.value,
                            given: &given,
                            found: found.view(),
                        };
                        let cut_for = |images| self.cut(layer, images);
                        let difference = sums.differences[at].add(
                            &run,
                            session.as_mut(),
                            &cut_for,
                            self.fixed.is_none(),
                        )?;
                        both.noise = Some(difference);
                    }
                }
                None => both.isolated.add_missing(),
            }
            let found = run(session, &self.given(feed, group, layer, Some(at)))?;
            match found {
                Some(found) => {
                    let deviation = value.accumulated.view();
                    both.accumulated.add(reference, deviation, found.view());
                    group.actual[at].insert(layer.node, found);
                }
                None => both.accumulated.add_missing(),
            }
        }
        Ok(())
    }

    /// The layer as a model for so many images.
    fn cut(&self, layer: &Layer, images: usize) -> Result<Cut, ParityError> {
        let shape = |name: &str| {
            let node = self.layers.by_value.get(name)?;
            Some(Net::batch_shape(&self.net.at(*node).shape, images))
        };
        let cut = self.layers.cut(&layer.value, shape);
        cut.map_err(|source| ParityError::Cut {
            value: layer.value.clone(),
            source,
        })
    }

    /// What a layer is given: the reference's values, or what a runtime computed.
    fn given<'n>(
        &self,
        feed: &'n Feed,
        group: &'n Group,
        layer: &'n Layer,
        runtime: Option<usize>,
    ) -> Vec<(&'n str, InputTensor<'n>)> {
        let given = |name: &'n String| {
            let Some(node) = self.layers.by_value.get(name) else {
                // The file's input, where it takes bytes.
                return Some((name.as_str(), feed.images_of(group.range())));
            };
            // Where something before it was not put out, which is told there, the reference's goes on.
            let computed = runtime.and_then(|at| group.actual[at].get(node));
            let value = computed.or_else(|| group.given.get(node))?;
            Some((name.as_str(), InputTensor::Floats(value.view())))
        };
        layer.inputs.iter().filter_map(given).collect()
    }

    fn finals(group: Group) -> Vec<Head> {
        let Group { heads, actual, .. } = group;
        let head = |(node, values): (NodeId, Values)| Head {
            node,
            reference: values.reference,
            deviation: values.accumulated,
            actual: actual
                .iter()
                .map(|actual| actual.get(&node).cloned())
                .collect(),
        };
        heads.into_iter().map(head).collect()
    }

    fn checked(&self, errors: Vec<Both>) -> Vec<LayerChecked> {
        let layers = self.layers.all.iter().zip(&errors);
        let relative: HashMap<&str, f64> = layers
            .clone()
            .map(|(layer, both)| (layer.value.as_str(), both.accumulated.relative()))
            .collect();
        let checked = layers.map(|(layer, both)| {
            let inputs = layer
                .inputs
                .iter()
                .filter_map(|name| relative.get(name.as_str()));
            let worst = inputs.copied().fold(0.0, f64::max);
            LayerChecked {
                value: layer.value.clone(),
                block: layer.block.clone(),
                operators: layer.operators.clone(),
                shape: self.net.at(layer.node).shape.dimensions(),
                isolated: of_kind(&both.isolated),
                accumulated: of_kind(&both.accumulated),
                amplification: (worst > 0.0).then(|| both.accumulated.relative() / worst),
                noise: both.noise,
            }
        });
        checked.collect()
    }

    /// Images whose values may be held at a time: a multiple of those that are computed at a time.
    fn window(&self, images: usize, last_use: &[Option<usize>]) -> Result<usize, ParityError> {
        let together = self.together();
        let (held, working) = self.bytes_of_an_image(last_use);
        // The oracle's weights in float64, the file, and what libtorch and the runtimes take for themselves.
        let numbers: usize = self.net.parameters().iter().map(|p| p.elements()).sum();
        // The images as they are given and as the network takes them.
        let given = 5 * images * self.net.nodes()[0].shape.elements();
        let always = 20 * numbers as u64 + (200 << 20) + given as u64 + working * together as u64;
        let fit = self.memory.saturating_sub(always) / held.max(1);
        let fit = usize::try_from(fit).unwrap_or(usize::MAX) / together * together;
        match fit {
            0 => Err(ParityError::Memory {
                allowed: self.memory,
                needed: always + held * together as u64,
                images: together,
            }),
            fit => Ok(fit.min(images.max(1))),
        }
    }

    /// Bytes that one image's values take at most at any node: those that are held, and those it works with.
    fn bytes_of_an_image(&self, last_use: &[Option<usize>]) -> (u64, u64) {
        let each = TRACED + 4 * self.runtimes.len() as u64;
        let size = |index: usize| self.net.nodes()[index].shape.elements() as u64;
        let (mut live, mut held, mut working) = (0, 0, 0);
        let mut ends: HashMap<usize, Vec<usize>> = HashMap::new();
        for (index, node) in self.net.nodes().iter().enumerate() {
            let Some(last) = last_use[index] else {
                continue;
            };
            live += size(index) * each;
            held = held.max(live);
            let read: u64 = node.inputs.iter().map(|input| size(input.index())).sum();
            // libtorch spreads out what a convolution in float64 reads.
            let spread = match node.op {
                Op::Convolution { window, .. } => {
                    let channels = self.net.at(node.inputs[0]).shape.channels();
                    let taps = window.kernel.height * window.kernel.width * channels;
                    size(index) / node.shape.channels().max(1) as u64 * taps as u64 * 8
                }
                _ => 0,
            };
            working = working.max(spread + read * 24 + size(index) * (48 + 16 * AHEAD as u64));
            ends.entry(last).or_default().push(index);
            for done in ends.remove(&index).unwrap_or_default() {
                live -= size(done) * each;
            }
        }
        (held, working)
    }
}

impl Group {
    /// Which images it has.
    fn range(&self) -> Range<usize> {
        self.first..self.first + self.images
    }
}

fn of_kind(errors: &Errors) -> LayerErrors {
    LayerErrors {
        largest: errors.largest_absolute(),
        relative: errors.relative(),
        worst: errors.worst().clone(),
        units: errors.units(),
        histogram: errors.histogram().to_vec(),
        verdict: errors.verdict(),
    }
}
