//! The comparison of runtimes with each other, in a build without libtorch.

use std::collections::HashSet;

use incept_exporters::onnx::{ModelFacts, Output};
use ndarray::ArrayD;

use super::check::{Subject, compared_nodes};
use super::{Comparison, ParityError, Placed, Rule, Run, RuntimeChecked, compare_within, weights};
use crate::runtime::{LoadOptions, NamedOutput, Runtime};

/// Stands behind the output's name where the file ran without further outputs.
const AS_IT_IS: &str = ", file as it is";

/// Compares the outputs and every stage's value of each runtime with the first's; says what with, by which rule, and of
/// how many images.
///
/// # Errors
/// [`ParityError`] where a part could not run at all.
pub(super) fn compare_all(
    subject: &Subject,
    runtimes: &[&'static dyn Runtime],
    checked: &mut [RuntimeChecked],
    run: &mut Run<'_>,
) -> Result<(String, Rule, [usize; 2]), ParityError> {
    let Subject {
        net,
        facts,
        network,
        ..
    } = subject;
    if let Some(path) = &run.options.weights {
        weights::read(net, network, path, run.provenance, run.notes)?;
        run.notes.push(
            "--weights was compared with the model's, and computed nothing: that needs libtorch (feature `torch`)".into(),
        );
    }
    let rule = run.options.rule.unwrap_or(Rule::RANGE);
    let names: Vec<String> = compared_nodes(net, facts, &network.outputs, false)
        .iter()
        .map(|&id| net.at(id).name.clone())
        .collect();
    let outputs = put_out(&names, facts, &network.outputs);
    let extended = subject.model.with_outputs(&outputs)?;
    let feed = subject.feed(run.options.seed)?;
    let mut references: Vec<Vec<NamedOutput>> = vec![];
    for (place, (runtime, checked)) in runtimes.iter().zip(checked).enumerate() {
        (run.progress)(&format!("running {}", runtime.name()));
        // Asking for every stage keeps a runtime from fusing across them: the file as it is runs too.
        let options = LoadOptions {
            placement: true,
            ..LoadOptions::default()
        };
        let load = |model: &[u8]| runtime.load(model, options);
        let (mut session, mut as_it_is) = (load(&extended)?, load(&subject.model.bytes)?);
        for (number, &batch) in subject.batches.iter().enumerate() {
            let outputs = session.run_images(feed.images_of(0..batch))?;
            if place == 0 {
                // The first runtime is the reference of the others.
                references.push(outputs);
                continue;
            }
            let compared = |name: &str, outputs: &[NamedOutput]| {
                let find = |outputs: &[NamedOutput]| -> Option<ArrayD<f32>> {
                    let mut all = outputs.iter();
                    all.find(|(output, _)| output == name)
                        .map(|(_, value)| value.clone())
                };
                let Some(reference) = find(&references[number]) else {
                    return Comparison::missing(name, batch, &[]);
                };
                match find(outputs) {
                    Some(found) => {
                        let nothing_known = ArrayD::zeros(reference.shape());
                        let reference = reference.mapv(f64::from);
                        let pair = (reference.view(), nothing_known.view());
                        compare_within(name, pair, found.view(), &rule)
                    }
                    None => Comparison::missing(name, batch, reference.shape()),
                }
            };
            checked
                .comparisons
                .extend(names.iter().map(|name| compared(name, &outputs)));
            let outputs = as_it_is.run_images(feed.images_of(0..batch))?;
            for head in &network.outputs {
                let mut last = compared(head.name(), &outputs);
                last.value += AS_IT_IS;
                // A layer may be dead; where the output is, any dead network would agree with it.
                last.fail_where_reference_is_zero();
                checked.comparisons.push(last);
            }
        }
        if place > 0 {
            checked.placement = Some(Placed::of(*runtime, as_it_is.as_mut()));
        }
    }
    run.notes.push("this build has no libtorch (feature `torch`): runtimes were compared with each other, not with a reference".into());
    if runtimes.len() < 2 {
        run.notes
            .push("only one runtime ran: nothing was compared".into());
    }
    let reference = runtimes.first().map_or_else(
        || Ok("none".into()),
        |first| Ok::<_, ParityError>(format!("{} (runtime `{}`)", first.version()?, first.name())),
    )?;
    Ok((reference, rule, [0, 0]))
}

/// Of the values to compare, those a runtime can be asked for: the file computes them, and its heads are those that it
/// puts out itself.
fn put_out(names: &[String], facts: &ModelFacts, heads: &[Output]) -> Vec<String> {
    let computed: HashSet<&str> = facts.values.iter().map(String::as_str).collect();
    let declared = |name: &str| facts.outputs.iter().any(|value| value.name == name);
    let head = |name: &str| heads.iter().any(|head| head.name() == name);
    names
        .iter()
        .filter(|name| computed.contains(name.as_str()))
        .filter(|name| !head(name) || declared(name))
        .cloned()
        .collect()
}
