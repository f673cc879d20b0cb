//! Which block to lower to what: the cheapest plan that keeps a bound.
//!
//! How much harm a plan does is only known when it is run, and a run takes long. What each change does by itself is known,
//! and small changes of the logits by independent roundings add up as their squares do. So for any amount of harm the
//! cheapest plan that should do no more is computed, and the amount that the bound allows is found by halving. From there
//! single blocks are lowered further as long as the bound holds: what is told of a plan is what was run.

use std::collections::BTreeMap;

/// What a block may be: its cost, and the harm it does by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choice {
    pub(super) cost: u64,
    pub(super) harm: f64,
}

/// The halving ends where the largest harm that holds and the smallest that does not are this near.
const NEAR: f64 = 1.02;

/// Changes are not tried where the harm that is to be expected is this many times one that broke the bound.
const BEYOND: f64 = 2.0;

/// Steps that harm is counted in where the cheapest plan is computed.
const STEPS: usize = 2000;

/// Chooses for each block one of its choices, the first of which does no harm and is the most that a block may cost. Harms
/// are finite numbers.
/// `holds` runs a plan and tells whether it keeps the bound; the plan of first choices does, and is not run.
///
/// # Errors
/// What `holds` returns.
pub(super) fn search<E>(
    choices: &[Vec<Choice>],
    mut holds: impl FnMut(&[usize]) -> Result<bool, E>,
) -> Result<Vec<usize>, E> {
    let mut known = BTreeMap::from([(vec![0; choices.len()], true)]);
    let mut run = |plan: &[usize]| match known.get(plan) {
        Some(&held) => Ok(held),
        None => {
            let held = holds(plan)?;
            known.insert(plan.to_vec(), held);
            Ok(held)
        }
    };
    // The cheapest of all first: where rounding changes nothing that is the end.
    let mut best = cheapest(choices, f64::INFINITY);
    let mut broken = harm(choices, &best);
    if run(&best)? {
        return Ok(best);
    }
    best = vec![0; choices.len()];
    // What changes nothing by itself is lowered first.
    let harmless = cheapest(choices, 0.0);
    if run(&harmless)? {
        best = harmless;
    }
    let least = choices
        .iter()
        .flatten()
        .map(|choice| choice.harm)
        .filter(|&harm| harm > 0.0);
    let mut held = least.fold(broken, f64::min) / NEAR;
    while broken > NEAR * held {
        let between = (held * broken).sqrt();
        let plan = cheapest(choices, between);
        match run(&plan)? {
            true => {
                held = between;
                best = plan;
            }
            // What the plan is expected to do is less than what it was allowed.
            false => broken = harm(choices, &plan).clamp(held, between),
        }
    }
    while let Some(further) = lower_one(choices, &best, BEYOND * broken, &mut run)? {
        best = further;
    }
    Ok(best)
}

/// The best bargain among the changes of one block that keeps the bound, where there is one.
fn lower_one<E>(
    choices: &[Vec<Choice>],
    plan: &[usize],
    most_harm: f64,
    run: &mut impl FnMut(&[usize]) -> Result<bool, E>,
) -> Result<Option<Vec<usize>>, E> {
    let mut changes: Vec<(f64, Vec<usize>)> = vec![];
    for (block, of_block) in choices.iter().enumerate() {
        let here = of_block[plan[block]];
        for (place, to) in of_block
            .iter()
            .enumerate()
            .filter(|(_, to)| to.cost < here.cost)
        {
            let mut changed = plan.to_vec();
            changed[block] = place;
            if harm(choices, &changed) <= most_harm {
                let price = (to.harm - here.harm) / (here.cost - to.cost) as f64;
                changes.push((price, changed));
            }
        }
    }
    changes.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (_, changed) in changes {
        if run(&changed)? {
            return Ok(Some(changed));
        }
    }
    Ok(None)
}

/// The harm that a plan is expected to do.
fn harm(choices: &[Vec<Choice>], plan: &[usize]) -> f64 {
    plan.iter()
        .zip(choices)
        .map(|(&place, of_block)| of_block[place].harm)
        .sum()
}

/// The cheapest plan whose expected harm is at most `allowed`; of equals the one that does less. Harm is counted in steps,
/// rounded up, and the cheapest plan of so many blocks for each number of steps is found from that of one block less.
fn cheapest(choices: &[Vec<Choice>], allowed: f64) -> Vec<usize> {
    let steps = |harm: f64| match harm {
        harm if harm <= 0.0 || allowed.is_infinite() => 0,
        harm if harm <= allowed => (harm / allowed * STEPS as f64).ceil() as usize,
        _ => usize::MAX,
    };
    // For each number of steps: cost and harm so far, and the choice of each block.
    let mut table: Vec<(u64, f64)> = vec![(0, 0.0); STEPS + 1];
    let mut picked: Vec<Vec<usize>> = vec![];
    for of_block in choices {
        let mut next = vec![(u64::MAX, f64::INFINITY); STEPS + 1];
        let mut places = vec![0; STEPS + 1];
        for (place, choice) in of_block.iter().enumerate() {
            let needed = steps(choice.harm);
            for total in needed..=STEPS {
                let (cost, harm) = table[total - needed];
                let (cost, harm) = (cost.saturating_add(choice.cost), harm + choice.harm);
                let better = cost < next[total].0 || cost == next[total].0 && harm < next[total].1;
                if better {
                    next[total] = (cost, harm);
                    places[total] = place;
                }
            }
        }
        table = next;
        picked.push(places);
    }
    let mut left = STEPS;
    let mut plan: Vec<usize> = picked
        .iter()
        .zip(choices)
        .rev()
        .map(|(places, of_block)| {
            let place = places[left];
            left -= steps(of_block[place].harm);
            place
        })
        .collect();
    plan.reverse();
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    /// A small generator, so that the instances are the same everywhere.
    struct Numbers(u64);

    impl Numbers {
        fn next(&mut self) -> f64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    /// Blocks with a cost in 32, 16 and 8 bits and a harm in each; sizes and harms spread over three powers of ten, as
    /// those of networks do.
    fn instance(numbers: &mut Numbers, blocks: usize) -> Vec<Vec<Choice>> {
        let of_block = |numbers: &mut Numbers| {
            let cost = (1000.0 * 10_f64.powf(2.0 * numbers.next())) as u64 * 4;
            let harm = 10_f64.powf(3.0 * numbers.next());
            let bf16 = harm * 4.0 * (0.5 + numbers.next());
            let int8 = harm * 10.0 * (0.2 + numbers.next());
            vec![
                Choice { cost, harm: 0.0 },
                Choice {
                    cost: cost / 2,
                    harm,
                },
                Choice {
                    cost: cost / 2,
                    harm: bf16,
                },
                Choice {
                    cost: cost / 4,
                    harm: int8,
                },
            ]
        };
        (0..blocks).map(|_| of_block(numbers)).collect()
    }

    fn cost(choices: &[Vec<Choice>], plan: &[usize]) -> f64 {
        plan.iter()
            .zip(choices)
            .map(|(&place, of_block)| of_block[place].cost as f64)
            .sum()
    }

    /// The cheapest of all plans.
    fn exhaustive(choices: &[Vec<Choice>], holds: impl Fn(&[usize]) -> bool) -> f64 {
        let count: usize = choices.iter().map(Vec::len).product();
        let plans = (0..count).map(|mut number| {
            let digit = |of_block: &Vec<Choice>| {
                let place = number % of_block.len();
                number /= of_block.len();
                place
            };
            choices.iter().map(digit).collect::<Vec<usize>>()
        });
        let kept = plans
            .filter(|plan| holds(plan))
            .map(|plan| cost(choices, &plan));
        kept.fold(f64::INFINITY, f64::min)
    }

    /// Where harms add up, the plan keeps the bound, no block of it can be lowered further, and it costs little more than
    /// the cheapest of all plans: measured over the instances, at most 4 % and on average 0.1 %.
    #[test]
    fn plans_are_close_to_the_cheapest_of_all() {
        let mut numbers = Numbers(1);
        let (mut worst, mut sum, mut most_runs) = (0.0_f64, 0.0, 0);
        const INSTANCES: usize = 60;
        for round in 0..INSTANCES {
            let choices = instance(&mut numbers, 6);
            let everything = harm(&choices, &[3; 6]);
            let bound = everything * [0.02, 0.1, 0.4, 0.8][round % 4];
            let holds = |plan: &[usize]| harm(&choices, plan) <= bound;
            let mut runs = 0;
            let found = search(&choices, |plan| {
                runs += 1;
                Ok::<_, Infallible>(holds(plan))
            });
            let Ok(found) = found;
            most_runs = most_runs.max(runs);
            assert!(holds(&found), "the bound is broken");
            for block in 0..6 {
                for place in 0..4 {
                    let mut changed = found.clone();
                    changed[block] = place;
                    let cheaper = cost(&choices, &changed) < cost(&choices, &found);
                    assert!(
                        !cheaper || !holds(&changed),
                        "block {block} could be lowered further"
                    );
                }
            }
            let ratio = cost(&choices, &found) / exhaustive(&choices, holds);
            worst = worst.max(ratio);
            sum += ratio;
        }
        assert!(
            worst < 1.05 && sum / (INSTANCES as f64) < 1.002,
            "{worst} {}",
            sum / INSTANCES as f64
        );
        assert!(most_runs <= 20, "{most_runs} runs");
    }

    #[test]
    fn where_nothing_changes_one_run_is_enough_and_where_everything_breaks_none_is_lowered() {
        let choices = instance(&mut Numbers(2), 5);
        let mut runs = 0;
        let all = search(&choices, |_| {
            runs += 1;
            Ok::<_, Infallible>(true)
        });
        assert_eq!((all, runs), (Ok(vec![3; 5]), 1));
        let none = search(&choices, |_| Ok::<_, Infallible>(false));
        assert_eq!(none, Ok(vec![0; 5]));
        assert_eq!(search(&choices, |_| Err("stopped")), Err("stopped"));
        assert_eq!(search(&[], |_| Ok::<_, Infallible>(true)), Ok(vec![]));
    }

    /// Choices that do no harm by themselves and break the bound together; every plan that is chosen was run.
    #[test]
    fn what_does_no_harm_alone_is_run_before_it_is_taken() {
        let free = |cost| {
            vec![
                Choice { cost, harm: 0.0 },
                Choice {
                    cost: cost / 2,
                    harm: 0.0,
                },
            ]
        };
        let some = vec![Choice { cost: 8, harm: 0.0 }, Choice { cost: 4, harm: 1.0 }];
        for choices in [vec![free(8), free(6)], vec![free(8), some.clone(), some]] {
            // At most one block may be lowered.
            let holds = |plan: &[usize]| plan.iter().filter(|&&place| place > 0).count() <= 1;
            let mut held = vec![vec![0; choices.len()]];
            let found = search(&choices, |plan| {
                if holds(plan) {
                    held.push(plan.to_vec());
                }
                Ok::<_, Infallible>(holds(plan))
            });
            let Ok(found) = found;
            assert!(
                held.contains(&found),
                "{found:?} was not run, or does not hold"
            );
            assert_eq!(
                cost(&choices, &found),
                cost(&choices, &vec![0; choices.len()]) - 4.0
            );
        }
    }

    #[test]
    fn the_cheapest_plan_is_that_of_trying_all() {
        let mut numbers = Numbers(3);
        for round in 0..40 {
            let choices = instance(&mut numbers, 5);
            let allowed = harm(&choices, &[3; 5]) * [0.0, 0.01, 0.1, 0.5, 2.0][round % 5];
            let plan = cheapest(&choices, allowed);
            assert!(harm(&choices, &plan) <= allowed, "{plan:?}");
            let best = exhaustive(&choices, |plan| harm(&choices, plan) <= allowed);
            // Each harm is rounded up to a whole step of 1/2000 of what is allowed.
            let sure = exhaustive(&choices, |plan| harm(&choices, plan) <= allowed * 0.997);
            let found = cost(&choices, &plan);
            assert!(best <= found && found <= sure, "{best} {found} {sure}");
        }
        // Of equal cost the one that does less: float16, not bfloat16.
        let equal = [vec![
            Choice { cost: 4, harm: 0.0 },
            Choice { cost: 2, harm: 8.0 },
            Choice { cost: 2, harm: 1.0 },
        ]];
        assert_eq!(cheapest(&equal, f64::INFINITY), [2]);
        assert_eq!(cheapest(&equal, 9.0), [2]);
        assert_eq!(cheapest(&equal, 0.5), [0]);
    }
}
