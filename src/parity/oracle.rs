//! The comparison with libtorch in float64 (feature `torch`).

use ndarray::{ArrayD, Axis};

use super::check::Subject;
use super::layers::Layers;
use super::trace::{Head, Trace};
use super::weights::weights_of;
use super::{Comparison, ParityError, Placed, Rule, Run, RuntimeChecked, compare_within};
use crate::runtime::{LoadOptions, Runtime};
use crate::torch::Oracle;

/// Images that a file as it is runs on at a time, however large the batch.
const LARGEST_BATCH: usize = 32;

/// Compares every layer and the outputs of the file as it is; says what with, by which rule, and of how many images.
///
/// # Errors
/// [`ParityError`] where a part could not run at all.
pub(super) fn compare_all(
    subject: &Subject,
    runtimes: &[&'static dyn Runtime],
    checked: &mut [RuntimeChecked],
    run: &mut Run<'_>,
) -> Result<(String, Rule, [usize; 2]), ParityError> {
    let mut oracle = oracle(subject, run)?;
    let rule = run.options.rule.unwrap_or(Rule::Rounding);
    let parts = subject.model.parts()?;
    let layers = Layers::plan(&subject.net, parts, &subject.facts, &subject.network);
    let layers = layers.map_err(|source| ParityError::Cut {
        value: subject.model.path.display().to_string(),
        source,
    })?;
    let feed = subject.feed(run.options.seed)?;
    let trace = Trace {
        net: &subject.net,
        layers: &layers,
        heads: &subject.heads,
        runtimes,
        rule,
        noise: run.options.noise,
        fixed: subject.fixed,
        memory: run.options.memory,
    };
    let outcome = trace.run(&mut oracle, &feed, run.progress)?;
    let together = trace.together().min(feed.scaled.len_of(Axis(0)));
    let results = outcome.layers.into_iter().zip(outcome.noise);
    for (checked, (layers, noise)) in checked.iter_mut().zip(results) {
        checked.layers = layers;
        checked.noise = noise;
    }
    drop(oracle);
    let heads = joined(subject, outcome.heads);
    for (place, (runtime, checked)) in runtimes.iter().zip(&mut *checked).enumerate() {
        (run.progress)(&format!(
            "running {} as it is",
            subject.model.path.display()
        ));
        let options = LoadOptions {
            placement: true,
            ..LoadOptions::default()
        };
        let mut session = runtime.load(&subject.model.bytes, options)?;
        for &batch in &subject.batches {
            let mut found: Vec<Vec<ArrayD<f32>>> = vec![vec![]; heads.len()];
            for first in (0..batch).step_by(LARGEST_BATCH) {
                let some = feed.images_of(first..(first + LARGEST_BATCH).min(batch));
                let outputs = session.run_images(some)?;
                for (head, found) in heads.iter().zip(&mut found) {
                    let name = &subject.net.at(head.node).name;
                    let output = outputs.iter().find(|(output, _)| output == name);
                    found.extend(output.map(|(_, value)| value.clone()));
                }
            }
            for (head, found) in heads.iter().zip(found) {
                let name = &subject.net.at(head.node).name;
                let reference = head.reference.slice_axis(Axis(0), (0..batch).into());
                let deviation = head.deviation.slice_axis(Axis(0), (0..batch).into());
                let comparison = match stacked(&found) {
                    Some(found) => {
                        let mut comparison =
                            compare_within(name, (reference, deviation), found.view(), &rule);
                        comparison.fail_where_reference_is_zero();
                        comparison
                    }
                    None => Comparison::missing(name, batch, reference.shape()),
                };
                if batch == head.reference.len_of(Axis(0)) {
                    let layered = head.actual[place].as_ref().zip(stacked(&found));
                    checked
                        .layer_by_layer
                        .extend(layered.map(|(layered, as_it_is)| {
                            let as_it_is = as_it_is.mapv(f64::from);
                            let pair = (as_it_is.view(), head.deviation.view());
                            compare_within(name, pair, layered.view(), &rule)
                        }));
                }
                checked.comparisons.push(comparison);
            }
        }
        checked.placement = Some(Placed::of(*runtime, session.as_mut()));
    }
    let reference = "libtorch, float64, CPU, from the same description and weights".into();
    Ok((reference, rule, [feed.scaled.len_of(Axis(0)), together]))
}

fn oracle(subject: &Subject, run: &mut Run<'_>) -> Result<Oracle, ParityError> {
    let files = (subject.model.path.as_path(), run.options.weights.as_deref());
    let (net, facts) = (&subject.net, &subject.network);
    let weights = weights_of(net, facts, files, run.provenance, run.notes)?;
    // The runtimes compute beside it, and libtorch's threads wait for each other by running in circles.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    crate::torch::tch::set_num_threads((processors / 2).max(1) as i32);
    Ok(Oracle::new(net, &weights)?)
}

/// The heads of all groups of images as one.
fn joined(subject: &Subject, groups: Vec<Vec<Head>>) -> Vec<Head> {
    let heads = subject.heads.iter().filter_map(|&node| {
        let of_node: Vec<&Head> = groups
            .iter()
            .flatten()
            .filter(|head| head.node == node)
            .collect();
        let runtimes = of_node.first()?.actual.len();
        let references: Vec<ArrayD<f64>> =
            of_node.iter().map(|head| head.reference.clone()).collect();
        let deviations: Vec<ArrayD<f32>> =
            of_node.iter().map(|head| head.deviation.clone()).collect();
        let actual = (0..runtimes).map(|runtime| {
            let all = of_node.iter().map(|head| head.actual[runtime].clone());
            stacked(&all.collect::<Option<Vec<_>>>()?)
        });
        Some(Head {
            node,
            reference: stacked(&references)?,
            deviation: stacked(&deviations)?,
            actual: actual.collect(),
        })
    });
    heads.collect()
}

/// Batches one behind the other; none where there is none, or they do not go together.
fn stacked<T: Clone>(batches: &[ArrayD<T>]) -> Option<ArrayD<T>> {
    let views: Vec<_> = batches.iter().map(|batch| batch.view()).collect();
    ndarray::concatenate(Axis(0), &views).ok()
}
