//! The search for a plan, among blocks and precisions that were measured.

use std::collections::BTreeMap;

use incept_exporters::onnx::Precision;

use super::search::{Choice, search};
use super::variant::Variants;
use super::{BlockSensitivity, Effect, SensitivityError, Trial};

/// Searches the cheapest plan; returns every plan that was run, and that one.
pub(super) fn choose(
    variants: &mut Variants<'_>,
    blocks: &[BlockSensitivity],
    flips_allowed: usize,
    progress: &mut dyn FnMut(&str),
) -> Result<(Vec<Trial>, Trial), SensitivityError> {
    let holds = |effect: &Effect| effect.flips <= flips_allowed && effect.change.is_finite();
    // What alone breaks the bound is not tried beside others.
    let choices: Vec<Vec<(Precision, Choice)>> = blocks
        .iter()
        .map(|block| {
            let float32 = Choice {
                cost: block.cost,
                harm: 0.0,
            };
            let lowered = block.lowered.iter().filter_map(|lowered| {
                let effect = lowered.effect.filter(holds)?;
                let cost = lowered.cost;
                let harm = effect.change.powi(2);
                Some((lowered.precision, Choice { cost, harm }))
            });
            std::iter::once((Precision::Fp32, float32))
                .chain(lowered)
                .collect()
        })
        .collect();
    let plain: Vec<Vec<Choice>> = choices
        .iter()
        .map(|of_block| of_block.iter().map(|(_, choice)| *choice).collect())
        .collect();
    let mut trials: Vec<Trial> = vec![];
    let chosen = search(&plain, |picked| {
        let picked = picked
            .iter()
            .zip(&choices)
            .map(|(&place, of_block)| of_block[place]);
        let lowered = blocks
            .iter()
            .zip(picked.clone())
            .filter(|(_, (p, _))| *p != Precision::Fp32);
        let plan: BTreeMap<String, Precision> = lowered
            .map(|(block, (precision, _))| (block.block.clone(), precision))
            .collect();
        let cost = picked.map(|(_, choice)| choice.cost).sum();
        progress(&format!(
            "plan {}: {} of {} blocks lowered",
            trials.len() + 1,
            plan.len(),
            blocks.len()
        ));
        // A plan whose parts run and which does not is a plan that breaks the bound.
        let effect = variants.effect(&plan)?.ok();
        trials.push(Trial {
            blocks: plan,
            cost,
            effect,
        });
        Ok::<bool, SensitivityError>(effect.as_ref().is_some_and(holds))
    })?;
    let blocks_of = |chosen: &[usize]| -> BTreeMap<String, Precision> {
        let picked = chosen
            .iter()
            .zip(&choices)
            .map(|(&place, of_block)| of_block[place].0);
        let named = blocks.iter().map(|block| block.block.clone()).zip(picked);
        named
            .filter(|(_, precision)| *precision != Precision::Fp32)
            .collect()
    };
    let chosen = blocks_of(&chosen);
    let plan = trials.iter().find(|trial| trial.blocks == chosen).cloned();
    // float32 throughout is never run again: it is the reference.
    let plan = plan.unwrap_or_else(|| Trial {
        blocks: BTreeMap::new(),
        cost: blocks.iter().map(|block| block.cost).sum(),
        effect: Some(Effect::none(variants.top1_errors())),
    });
    Ok((trials, plan))
}
