//! The page of a check: what it says, and in which order.

use serde::Serialize;

use super::format::{count, counted, list, scientific};
use super::table::{Cell, Table, code, dash, hash, judged, number, words};
use crate::parity::{
    Comparison, HISTOGRAM_FROM, LayerChecked, LayerErrors, ParityReport, RuntimeChecked, Units,
    Verdict,
};

/// What the histograms show.
const LARGEST: &str =
    "The largest errors, in standard deviations of rounding, on a logarithmic axis";

/// Layers whose histograms are shown.
const WORST: usize = 6;

/// What the page shows.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    title: String,
    /// The model's file.
    model: String,
    version: String,
    holds: bool,
    headline: String,
    verdict: Vec<String>,
    remarks: Vec<String>,
    outputs: Table,
    scale: Vec<Step>,
    runtimes: Vec<Section>,
    compared: Table,
    inputs: Table,
}

/// A colour and what it stands for.
#[derive(Debug, Serialize)]
struct Step {
    colour: String,
    title: &'static str,
}

/// One runtime's layers.
#[derive(Debug, Serialize)]
struct Section {
    title: String,
    sentence: String,
    blocks: Vec<Block>,
    worst_title: String,
    histograms: Vec<Histogram>,
    worst: Table,
    noise: Option<Table>,
    layers: Table,
}

#[derive(Debug, Serialize)]
struct Block {
    name: String,
    cells: Vec<LayerCell>,
}

#[derive(Debug, Serialize)]
struct LayerCell {
    title: String,
    isolated: String,
    accumulated: String,
    fails: bool,
}

#[derive(Debug, Serialize)]
struct Histogram {
    name: String,
    caption: String,
    alternative: String,
    bars: Vec<Bar>,
    /// Where the bound lies, across.
    bound: f64,
    ticks: Vec<Tick>,
}

#[derive(Debug, Serialize)]
struct Bar {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    beyond: bool,
}

#[derive(Debug, Serialize)]
struct Tick {
    x: f64,
    text: String,
}

impl Page {
    pub(super) fn new(report: &ParityReport) -> Self {
        let steps = [
            (0.001, "a thousandth"),
            (0.1, "a tenth"),
            (1.0, "all that rounding explains"),
            (3.0, "3 times as much"),
            (1e2, "100 times"),
            (1e4, "10,000 times and more"),
        ];
        Self {
            title: format!("Parity of {} ({})", report.network, report.variant),
            model: report.model.clone(),
            version: report.provenance.version.clone(),
            holds: report.holds,
            headline: headline(report),
            verdict: verdict(report),
            remarks: report.notes.clone(),
            outputs: outputs(report),
            scale: steps
                .into_iter()
                .map(|(times, title)| Step {
                    colour: colour(times),
                    title,
                })
                .collect(),
            runtimes: report
                .runtimes
                .iter()
                .filter(|runtime| !runtime.layers.is_empty())
                .map(|runtime| Section::new(runtime, report.images[0]))
                .collect(),
            compared: compared(report),
            inputs: inputs(report),
        }
    }
}

fn headline(report: &ParityReport) -> String {
    let names: Vec<&str> = report.runtimes.iter().map(|r| r.version.as_str()).collect();
    let failing: Vec<&str> = report
        .runtimes
        .iter()
        .filter(|runtime| !runtime.holds())
        .map(|runtime| runtime.version.as_str())
        .collect();
    match (report.holds, failing.is_empty()) {
        (true, _) => format!("Parity holds in {}", list(&names)),
        (false, true) => "Nothing was compared".into(),
        (false, false) => format!("Parity fails in {}", list(&failing)),
    }
}

fn verdict(report: &ParityReport) -> Vec<String> {
    let mut sentences = vec![];
    for runtime in &report.runtimes {
        let layers = runtime.layers.len();
        let held = runtime.layers.iter().filter(|layer| layer.holds()).count();
        let outputs = runtime.comparisons.len() + runtime.layer_by_layer.len();
        if layers == 0 && outputs == 0 {
            continue;
        }
        let sentence = match runtime.first_failing() {
            Some(layer) => format!(
                "{}: {} of {} hold by themselves. The first that does not is {} ({}): {}.",
                runtime.runtime,
                count(held),
                counted(layers, "layer"),
                layer.value,
                list(&layer.operators),
                layer.isolated.verdict,
            ),
            None => {
                let largest = runtime
                    .layers
                    .iter()
                    .map(|layer| times(&layer.isolated))
                    .fold(0.0, f64::max);
                let of_layers = match layers {
                    0 => String::new(),
                    _ => format!(
                        " Of {}, each by itself, the largest error is {largest:.2} of what rounding explains.",
                        counted(layers, "layer")
                    ),
                };
                let held = runtime.comparisons.iter().chain(&runtime.layer_by_layer);
                let held = held.filter(|comparison| comparison.verdict.holds()).count();
                format!(
                    "{}: {} of {} of outputs hold.{of_layers}",
                    runtime.runtime,
                    count(held),
                    counted(outputs, "comparison"),
                )
            }
        };
        sentences.push(sentence);
    }
    sentences
}

/// Errors as a part of what rounding explains; infinite where they could not be compared.
fn times(errors: &LayerErrors) -> f64 {
    errors
        .units
        .map_or(f64::INFINITY, |units| units.times_bound())
}

fn part(units: Option<Units>) -> Cell {
    units.map_or_else(dash, |units| number(part_text(units.times_bound())))
}

fn part_text(times: f64) -> String {
    match times {
        times if times >= 1e3 => scientific(times),
        times => format!("{times:.3}"),
    }
}

/// From pale to deep green up to 1, from amber to red beyond; grey where there is nothing to show.
fn colour(times: f64) -> String {
    if !times.is_finite() {
        return "#4b5058".into();
    }
    let between = |from: [u8; 3], to: [u8; 3], share: f64| {
        let mix = |(a, b): (u8, u8)| (f64::from(a) + (f64::from(b) - f64::from(a)) * share) as u8;
        let [r, g, b] = [0, 1, 2].map(|place| mix((from[place], to[place])));
        format!("#{r:02x}{g:02x}{b:02x}")
    };
    let magnitude = times.max(1e-9).log10();
    match times <= 1.0 {
        true => between(
            [214, 238, 222],
            [38, 135, 82],
            ((magnitude + 3.0) / 3.0).clamp(0.0, 1.0),
        ),
        false => between(
            [240, 170, 60],
            [176, 24, 20],
            (magnitude / 4.0).clamp(0.0, 1.0),
        ),
    }
}

fn outputs(report: &ParityReport) -> Table {
    let columns: &[(&str, bool)] = &[
        ("Output", false),
        ("Runtime", false),
        ("Batch", true),
        ("Max error", true),
        ("Relative", true),
        ("Of rounding", true),
        ("Top-1 agrees", true),
        ("Verdict", false),
    ];
    let mut table = Table::new("Outputs", &[("", columns)]);
    let measure = |comparison: &Comparison, of: fn(&crate::parity::Metrics) -> f64| {
        let metrics = comparison.metrics.as_ref();
        metrics.map_or_else(dash, |metrics| number(scientific(of(metrics))))
    };
    for runtime in &report.runtimes {
        let whole = runtime
            .comparisons
            .iter()
            .map(|comparison| (comparison, ""));
        let layered = runtime.layer_by_layer.iter();
        let layered = layered.map(|comparison| (comparison, ", layer by layer beside the whole"));
        for (comparison, what) in whole.chain(layered) {
            let agreement = comparison
                .metrics
                .and_then(|metrics| metrics.top1_agreement);
            table.row(vec![
                code(format!("{}{what}", comparison.value)),
                words(&runtime.runtime),
                number(count(comparison.batch)),
                measure(comparison, |metrics| metrics.max_absolute_error),
                measure(comparison, |metrics| metrics.relative_error),
                part(comparison.units),
                agreement.map_or_else(dash, |share| number(format!("{:.0} %", 100.0 * share))),
                match &comparison.verdict {
                    Verdict::Holds => judged(true, "holds"),
                    Verdict::Fails { reason } => judged(false, format!("fails: {reason}")),
                },
            ]);
        }
    }
    table.note(
        "Layer by layer beside the whole: the output computed one layer at a time, beside that of the file as it is; it tells \
         whether looking at the layers changed what they compute.",
    );
    table
}

impl Section {
    fn new(runtime: &RuntimeChecked, images: usize) -> Self {
        let mut worst: Vec<&LayerChecked> = runtime.layers.iter().collect();
        worst.sort_by(|a, b| times(&b.isolated).total_cmp(&times(&a.isolated)));
        worst.truncate(WORST);
        let failing = runtime.layers.iter().filter(|layer| !layer.holds()).count();
        Self {
            title: format!("{}, {}", runtime.version, runtime.device),
            sentence: format!(
                "Each layer is two boxes: above, its error when it is given the reference's values (isolated); below, when it \
                 is given what the runtime computed before it (accumulated). The colour is the largest error of {} as a part \
                 of what rounding explains. The isolated error decides; the accumulated one does at the outputs.",
                counted(images, "image"),
            ),
            blocks: blocks(&runtime.layers),
            worst_title: match failing {
                0 => LARGEST.into(),
                _ => format!("{LARGEST}; {} fail", counted(failing, "layer")),
            },
            histograms: worst.iter().filter_map(|layer| histogram(layer)).collect(),
            worst: layers("The largest isolated errors", &worst),
            noise: noise(runtime),
            layers: layers("Every layer", &runtime.layers.iter().collect::<Vec<_>>()),
        }
    }
}

fn blocks(layers: &[LayerChecked]) -> Vec<Block> {
    let cell = |layer: &LayerChecked| LayerCell {
        title: format!(
            "{} ({}): isolated {}, accumulated {} of what rounding explains",
            layer.value,
            layer.operators.join(", "),
            part_text(times(&layer.isolated)),
            part_text(times(&layer.accumulated)),
        ),
        isolated: colour(times(&layer.isolated)),
        accumulated: colour(times(&layer.accumulated)),
        fails: !layer.holds(),
    };
    layers
        .chunk_by(|a, b| a.block == b.block)
        .map(|layers| Block {
            name: layers[0].block.clone(),
            cells: layers.iter().map(cell).collect(),
        })
        .collect()
}

/// How the errors of a layer are spread: bars of the logarithm of their number.
fn histogram(layer: &LayerChecked) -> Option<Histogram> {
    let units = layer.isolated.units?;
    let (counts, worst) = (&layer.isolated.histogram, &layer.isolated.worst);
    let most = counts.iter().copied().max().filter(|&most| most > 0)?;
    let (left, width, top, bottom) = (8.0, 284.0, 8.0, 98.0);
    let step = width / counts.len() as f64;
    let height =
        |count: u64| (1.0 + count as f64).log2() / (1.0 + most as f64).log2() * (bottom - top);
    let bound = units.bound.log2() - f64::from(HISTOGRAM_FROM);
    let round = |value: f64| (value * 10.0).round() / 10.0;
    let bars = counts.iter().enumerate().filter(|(_, count)| **count > 0);
    let bars = bars.map(|(bin, &count)| Bar {
        x: round(left + step * bin as f64 + 0.5),
        y: round(bottom - height(count)),
        width: round(step - 1.0),
        height: round(height(count)),
        beyond: bin as f64 >= bound,
    });
    let ticks = [-12, -6, 0, 6, 12].map(|exponent: i32| Tick {
        x: round(left + step * f64::from(exponent - HISTOGRAM_FROM)),
        text: match exponent {
            0 => "1".into(),
            1.. => format!("{}", 1_u64 << exponent),
            _ => format!("1/{}", 1_u64 << -exponent),
        },
    });
    let caption = format!(
        "largest {:.1} units at {:?}, expected {:.7e}, found {:.7e}; root mean square {:.2}; the dashed line is the bound, {:.1}",
        units.largest,
        worst.index,
        worst.reference,
        worst.actual,
        units.root_mean_square,
        units.bound
    );
    Some(Histogram {
        name: layer.value.clone(),
        alternative: format!(
            "Errors of {} by size in rounding units: {caption}",
            layer.value
        ),
        caption,
        bars: bars.collect(),
        bound: round(left + step * bound),
        ticks: ticks.into(),
    })
}

fn layers(title: &str, layers: &[&LayerChecked]) -> Table {
    let of_layer: &[(&str, bool)] = &[("Layer", false), ("Operators", false), ("Shape", false)];
    let measures: &[(&str, bool)] = &[("Of rounding", true), ("Max error", true)];
    let rest: &[(&str, bool)] = &[("Amplification", true), ("Noise", true), ("Verdict", false)];
    let heading = [
        ("", of_layer),
        ("Isolated", measures),
        ("Accumulated", measures),
        ("", rest),
    ];
    let mut table = Table::new(title, &heading);
    for layer in layers {
        let shape: Vec<String> = layer.shape.iter().map(ToString::to_string).collect();
        let verdict = match layer.holds() {
            true if layer.is_noise() => judged(true, "noise"),
            true => judged(true, "rounding"),
            false => judged(false, layer.isolated.verdict.to_string()),
        };
        table.row(vec![
            code(&layer.value),
            words(layer.operators.join(", ")),
            code(shape.join("×")),
            part(layer.isolated.units),
            number(scientific(layer.isolated.largest)),
            part(layer.accumulated.units),
            number(scientific(layer.accumulated.largest)),
            layer
                .amplification
                .map_or_else(dash, |times| number(format!("{times:.2}"))),
            layer
                .noise
                .map_or_else(dash, |noise| number(scientific(noise))),
            verdict,
        ]);
    }
    table
}

fn noise(runtime: &RuntimeChecked) -> Option<Table> {
    if runtime.noise.is_empty() {
        return None;
    }
    let columns: &[(&str, bool)] = &[
        ("Changed between two runs of a layer", false),
        ("Layers that differ", true),
        ("At most, of the range", true),
        ("Where", false),
    ];
    let mut table = Table::new("What the runtime differs from itself", &[("", columns)]);
    for noise in &runtime.noise {
        table.row(vec![
            words(&noise.varied),
            number(count(noise.layers)),
            number(scientific(noise.largest)),
            noise.value.as_ref().map_or_else(dash, code),
        ]);
    }
    table.note("An error no larger than this is noise, not a finding.");
    Some(table)
}

fn compared(report: &ParityReport) -> Table {
    let mut table = Table::new("How it was compared", &[("", &[("", false), ("", false)])]);
    let mut fact = |title: &str, cell: Cell| table.row(vec![words(title), cell]);
    fact("Reference", words(&report.reference));
    fact("A value holds where", words(&report.formula));
    let [images, together] = report.images;
    if images > 0 {
        fact(
            "Images",
            words(format!("{}, {} at a time", count(images), count(together))),
        );
    }
    for runtime in &report.runtimes {
        fact(
            "Runtime",
            words(format!("{}, {}", runtime.version, runtime.device)),
        );
        if let Some(placed) = &runtime.placement {
            let verdict = if placed.holds { "" } else { "fails: " };
            fact("Placement", words(format!("{verdict}{}", placed.text)));
        }
    }
    fact("incept", words(&report.provenance.version));
    fact(
        "Command",
        code(format!("incept {}", report.provenance.command.join(" "))),
    );
    table
}

fn inputs(report: &ParityReport) -> Table {
    let mut table = Table::new("Inputs", &[("", &[("File", false), ("SHA-256", false)])]);
    for (path, sha256) in &report.provenance.inputs {
        table.row(vec![code(path), hash(sha256)]);
    }
    table
}
