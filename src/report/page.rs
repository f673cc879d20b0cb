//! What the pages say, in order; the templates lay it out.

use std::collections::BTreeSet;

use serde::Serialize;

use super::errors::{self, chance, images_counted, plan_title, single_crop};
use super::format::{count, counted, duration, list, percent, scientific, thousands};
use super::paper;
use super::parity::{self, severity};
use super::plot::{self, Plot};
use super::table::{Table, code, hash, number, prose, words};
use super::{NetworkReport, Report, ReportError};

/// Everything on a page.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    title: String,
    quick: bool,
    holds: bool,
    headline: String,
    verdict: Vec<String>,
    glance: Table,
    keys: Vec<Key>,
    curves: Option<Plot>,
    curve_points: Table,
    losses: Option<Plot>,
    networks: Table,
    recipes: Vec<Recipe>,
    formulas: Vec<String>,
    parity: Table,
    parity_notes: Vec<String>,
    comparisons: Vec<Table>,
    data_differ: String,
    errors: Vec<Table>,
    plans: Table,
    data: Table,
    samples: Option<Picture>,
    provenance: Table,
    inputs: Table,
}

/// A network's colour and mark in the plots.
#[derive(Debug, Serialize)]
struct Key {
    title: String,
    colour: String,
    mark: &'static str,
}

#[derive(Debug, Serialize)]
struct Recipe {
    networks: String,
    lines: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Picture {
    caption: String,
    width: u32,
    height: u32,
    uri: String,
}

impl Page {
    pub(super) fn new(report: &Report) -> Result<Self, ReportError> {
        check_models(report)?;
        let keys = report
            .networks
            .iter()
            .enumerate()
            .map(|(index, network)| Key {
                title: network.title.clone(),
                colour: plot::colour(index),
                mark: plot::mark(index).name(),
            });
        let mut parity_notes = vec![];
        for network in &report.networks {
            let of_this = network.parity.notes.iter();
            parity_notes.extend(of_this.map(|note| format!("{}: {note}", network.title)));
        }
        Ok(Self {
            title: report.title.clone(),
            quick: report.quick,
            holds: !report.networks.is_empty() && report.networks.iter().all(|n| n.parity.holds),
            headline: headline(&report.networks),
            verdict: verdict(report),
            glance: errors::glance(report),
            keys: keys.collect(),
            curves: plot::curves(report)?,
            curve_points: curve_points(report),
            losses: plot::losses(report)?,
            networks: networks(&report.networks),
            recipes: recipes(&report.networks),
            formulas: formulas(&report.networks),
            parity: parity::summary(&report.networks),
            parity_notes,
            comparisons: report.networks.iter().map(parity::all).collect(),
            data_differ: data_differ(report),
            errors: errors::as_the_paper(report),
            plans: plans(report),
            data: data(report),
            samples: report.samples.as_ref().map(|samples| Picture {
                caption: samples.caption.clone(),
                width: samples.width,
                height: samples.height,
                uri: samples.data_uri(),
            }),
            provenance: provenance(report),
            inputs: inputs(report),
        })
    }
}

/// An evaluation's models are the report's networks, in the same order, as far as the files say.
fn check_models(report: &Report) -> Result<(), ReportError> {
    let expected: Vec<String> = report.networks.iter().map(|n| n.name.clone()).collect();
    for evaluation in &report.evaluations {
        let named = |(index, model): (usize, &crate::evaluate::ModelEvaluated)| {
            let network = model.network.clone();
            network.unwrap_or_else(|| expected.get(index).cloned().unwrap_or_default())
        };
        let found: Vec<String> = evaluation.models.iter().enumerate().map(named).collect();
        if found != expected {
            return Err(ReportError::Models {
                plan: evaluation.crops.plan.clone(),
                expected,
                found,
            });
        }
    }
    Ok(())
}

fn headline(networks: &[NetworkReport]) -> String {
    let failed: Vec<&str> = networks
        .iter()
        .filter(|network| !network.parity.holds)
        .map(|network| network.title.as_str())
        .collect();
    match (networks.len(), failed.len()) {
        (0, _) => "Nothing was checked: the report holds no network".into(),
        (1, 0) => format!("Parity holds for {}", networks[0].title),
        (all, 0) => format!("Parity holds for all {all} networks"),
        (all, some) => format!(
            "Parity FAILS for {some} of {all} networks: {}",
            list(&failed)
        ),
    }
}

fn verdict(report: &Report) -> Vec<String> {
    let mut sentences = vec![];
    let all: Vec<_> = report
        .networks
        .iter()
        .flat_map(|n| n.parity.runtimes.iter().map(move |r| (n, r)))
        .flat_map(|(n, r)| r.comparisons.iter().map(move |c| (n, r, c)))
        .collect();
    let worst = all
        .iter()
        .max_by(|a, b| severity(a.2).total_cmp(&severity(b.2)));
    if let Some((network, runtime, comparison)) = worst {
        let held = all.iter().filter(|(_, _, c)| c.verdict.holds()).count();
        let error = comparison.metrics.map_or_else(
            || "not measured".into(),
            |metrics| scientific(metrics.relative_error),
        );
        sentences.push(format!(
            "{} of {} of outputs hold; the largest relative error is {error} ({}, {}, batch {}, {}).",
            count(held),
            counted(all.len(), "comparison"),
            network.title,
            runtime.runtime,
            comparison.batch,
            comparison.value,
        ));
    } else if !report.networks.is_empty() {
        sentences.push("Nothing was compared.".into());
    }
    sentences.extend(learned(report));
    sentences
}

/// Whether the networks learned: single-crop top-1 error against chance.
fn learned(report: &Report) -> Option<String> {
    let evaluation = single_crop(&report.evaluations)?;
    let by_chance = chance(1, evaluation.data.classes);
    let errors: Vec<String> = report
        .networks
        .iter()
        .zip(&evaluation.models)
        .map(|(n, m)| format!("{} % for {}", percent(m.errors.top1_percent), n.title))
        .collect();
    let all = evaluation
        .models
        .iter()
        .all(|m| m.errors.top1_percent < by_chance / 2.0);
    (!errors.is_empty()).then(|| {
        format!(
            "Single-crop top-1 error: {}, where chance gives {} %{}.",
            list(&errors),
            percent(by_chance),
            match (all, errors.len()) {
                (false, _) => ": NOT every network is under half of that",
                (true, 1) => ": under half of that",
                (true, _) => ": each under half of that",
            }
        )
    })
}

/// The curves' points in figures: the last of each network, and all of them where a page has no plot.
fn curve_points(report: &Report) -> Table {
    let mut table = Table::new(
        "Validation error during training (single crop, averaged parameters)",
        &[(
            "",
            &[
                ("Network", false),
                ("Epoch", true),
                ("Top-1 %", true),
                ("Top-5 %", true),
            ],
        )],
    );
    for network in &report.networks {
        for point in &network.curve {
            table.row(vec![
                words(&network.title),
                number(percent(point.epoch)),
                number(percent(point.top1_percent)),
                number(percent(point.top5_percent)),
            ]);
        }
    }
    table
}

fn networks(networks: &[NetworkReport]) -> Table {
    let mut table = Table::new(
        "The networks",
        &[(
            "",
            &[
                ("Network", false),
                ("Variant", false),
                ("Input", true),
                ("Width", true),
                ("Parameters", true),
                ("Multiply-adds", true),
                ("Steps", true),
                ("Batch", true),
                ("Training time", true),
            ],
        )],
    );
    for network in networks {
        let (height, width) = network.image_size;
        table.row(vec![
            words(&network.title),
            words(&network.parity.variant),
            number(format!("{height}×{width}")),
            number(format!("{}", network.width_multiplier)),
            number(count(network.parameters)),
            number(thousands(network.multiply_adds)),
            number(thousands(network.training.steps)),
            number(count(network.training.batch)),
            number(duration(network.training.seconds)),
        ]);
    }
    table.note("Input: height × width in pixels. Width: factor on the filters of every convolution; 1 is the paper's network.");
    table
}

/// Each recipe once, with the networks trained by it.
fn recipes(networks: &[NetworkReport]) -> Vec<Recipe> {
    let mut recipes: Vec<(Vec<&str>, &[String])> = vec![];
    for network in networks {
        let lines = network.training.recipe.as_slice();
        match recipes.iter_mut().find(|(_, known)| *known == lines) {
            Some((names, _)) => names.push(&network.title),
            None => recipes.push((vec![&network.title], lines)),
        }
    }
    recipes
        .into_iter()
        .filter(|(_, lines)| !lines.is_empty())
        .map(|(names, lines)| Recipe {
            networks: list(&names),
            lines: lines.into(),
        })
        .collect()
}

/// The verdict's formula, tolerance and reference, each combination once.
fn formulas(networks: &[NetworkReport]) -> Vec<String> {
    let mut formulas = vec![];
    for network in networks {
        let parity = &network.parity;
        let text = format!(
            "A value holds where {}. The reference: {}.",
            parity.formula, parity.reference
        );
        if !formulas.contains(&text) {
            formulas.push(text);
        }
    }
    formulas
}

fn data_differ(report: &Report) -> String {
    let mut widths: Vec<String> = report
        .networks
        .iter()
        .map(|n| n.width_multiplier.to_string())
        .collect();
    widths.sort();
    widths.dedup();
    let mut sizes: Vec<String> = report
        .networks
        .iter()
        .map(|n| format!("{}×{}", n.image_size.0, n.image_size.1))
        .collect();
    sizes.sort();
    sizes.dedup();
    format!(
        "The data differ, so the paper's errors and ours are not comparable: ours are {} of {} classes, seen by networks of width {} \
         at {} pixels; the paper's are ImageNet's {} classes, seen by the whole networks at 299×299 pixels. The paper's Table 2 is measured \
         on {} non-blacklisted images of the validation set, its Tables 3 to 5 on all {}. Ours stand with their 95 % \
         confidence interval (Wilson).",
        report.data.kind,
        count(report.data.classes.len()),
        list(&widths),
        list(&sizes),
        count(paper::CLASSES),
        count(paper::IMAGES_NOT_BLACKLISTED),
        count(paper::ALL_IMAGES),
    )
}

fn plans(report: &Report) -> Table {
    let mut table = Table::new(
        "Crop plans",
        &[(
            "",
            &[
                ("Plan", false),
                ("Per image", true),
                ("Averaged", true),
                ("Computed", true),
                ("What it is", false),
                ("SHA-256", false),
            ],
        )],
    );
    for evaluation in &report.evaluations {
        let crops = &evaluation.crops;
        table.row(vec![
            words(plan_title(evaluation)),
            number(count(crops.per_image)),
            number(count(crops.per_image * images_counted(evaluation))),
            number(thousands(crops.computed)),
            prose(&crops.note),
            hash(crops.sha256.join(" ")),
        ]);
    }
    table.note(
        "Per image: crops averaged for each image. Averaged and computed: crops over all images, by each model. Exact duplicates, as square images give, are computed once and counted \
         as often as they stand in the plan.",
    );
    table
}

fn data(report: &Report) -> Table {
    let data = &report.data;
    let mut table = Table::new("The data", &[("", &[("", false), ("", false)])]);
    let mut row = |name: &str, value: String| table.row(vec![words(name), words(value)]);
    row("Kind", data.kind.clone());
    row("Made", data.how_made.clone());
    row("Training images", count(data.training_images));
    row("Validation images", count(data.validation_images));
    row("Sizes", data.image_sizes.clone());
    row(
        "Classes",
        format!("{}: {}", data.classes.len(), data.classes.join(", ")),
    );
    row(
        "Seed",
        data.seed
            .map_or_else(|| "–".into(), |seed| seed.to_string()),
    );
    row("Folder", data.folder.clone());
    table
}

fn provenance(report: &Report) -> Table {
    let checks = report.networks.iter().map(|n| &n.parity.provenance);
    let evaluations = report.evaluations.iter().map(|e| &e.provenance);
    let parts = [&report.provenance]
        .into_iter()
        .chain(checks)
        .chain(evaluations);
    let runtimes: BTreeSet<&str> = parts
        .flat_map(|p| &p.runtimes)
        .map(String::as_str)
        .collect();
    let mut table = Table::new(
        "Where this comes from",
        &[("", &[("", false), ("", false)])],
    );
    table.row(vec![words("incept"), words(&report.provenance.version)]);
    table.row(vec![
        words("Command"),
        code(format!("incept {}", report.provenance.command.join(" "))),
    ]);
    for runtime in runtimes {
        table.row(vec![words("Runtime"), words(runtime)]);
    }
    table
}

fn inputs(report: &Report) -> Table {
    let checks = report.networks.iter().map(|n| &n.parity.provenance);
    let evaluations = report.evaluations.iter().map(|e| &e.provenance);
    let parts = [&report.provenance]
        .into_iter()
        .chain(checks)
        .chain(evaluations);
    let files = parts
        .flat_map(|p| &p.inputs)
        .map(|(path, sha256)| (path.as_str(), sha256.as_str()));
    let listings = report
        .evaluations
        .iter()
        .map(|e| (e.data.folder.as_str(), e.data.sha256.as_str()));
    let all: BTreeSet<(&str, &str)> = files.chain(listings).collect();
    let mut table = Table::new(
        "Inputs",
        &[("", &[("File or folder", false), ("SHA-256", false)])],
    );
    for (path, sha256) in all {
        table.row(vec![code(path), hash(sha256)]);
    }
    table.note("A folder's hash is that of its listing.");
    table
}
