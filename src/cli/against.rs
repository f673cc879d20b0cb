//! `incept check --against`: any ONNX file beside another of equal interface.

use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{Align, conclude, progress, table};
use super::{Failure, Outcome};
use crate::parity::Rule;
use crate::parity::against::{
    AgainstOptions, AgainstReport, AgainstRun, DEFAULT_WINDOW, Difference, InputOptions, Layer,
    Tolerance, Unaligned, against,
};

/// Layers that are shown where not all are asked for.
const SHOWN: usize = 10;

/// What only a comparison of two files takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Comparing two files")]
pub(super) struct AgainstArguments {
    /// Compare MODEL.onnx, called A, with this file, called B: any two ONNX models of equal inputs and outputs
    #[arg(long, value_name = "FILE", conflicts_with_all = ["weights", "memory", "report", "no_noise"])]
    pub(super) against: Option<PathBuf>,
    /// The runtime for B [default: A's first, which is ort]
    #[arg(long, value_name = "NAME", requires = "against")]
    against_runtime: Option<String>,
    #[command(flatten)]
    feed: FeedArguments,
    #[command(flatten)]
    tolerances: ToleranceArguments,
    /// Layers held in memory at once, in MiB [default: 512]
    #[arg(long, value_name = "MIB")]
    window: Option<usize>,
}

/// What two models are fed with.
#[derive(Debug, Args)]
pub(super) struct FeedArguments {
    /// Height and width of images, where the files leave them open: N or HxW
    #[arg(long, value_name = "SIZE", value_parser = size)]
    image_size: Option<(usize, usize)>,
    /// The shape of an input, where the files leave it open: `image=1x3x299x299`; may be repeated
    #[arg(long = "shape", value_name = "NAME=DIMS", value_parser = shape)]
    shapes: Vec<(String, Vec<usize>)>,
    /// Values for the inputs, instead of random ones: an array for each input, under its name
    #[arg(long = "input", value_name = "FILE.npz")]
    input: Option<PathBuf>,
}

/// How far A may be from B.
#[derive(Debug, Args)]
pub(super) struct ToleranceArguments {
    /// Absolute tolerance: |actual - reference| <= ATOL + RTOL * |reference|, as numpy has it [default beside --against:
    /// --rtol times the largest |B| of each value; else 0 where --rtol is given, and rounding decides where neither is]
    #[arg(long, value_name = "F", value_parser = tolerance)]
    atol: Option<f64>,
    /// Relative tolerance [default beside --against: 1e-5; else 0 where --atol is given]
    #[arg(long, value_name = "F", value_parser = tolerance)]
    rtol: Option<f64>,
}

impl AgainstArguments {
    /// numpy's rule, where a tolerance is given; what rounding explains decides where none is.
    pub(super) fn rule(&self) -> Option<Rule> {
        let ToleranceArguments { atol, rtol } = self.tolerances;
        (atol.is_some() || rtol.is_some()).then(|| Rule::Numpy {
            atol: atol.unwrap_or(0.0),
            rtol: rtol.unwrap_or(0.0),
        })
    }

    /// Refuses what only has a meaning with `--against`.
    pub(super) fn refuse_alone(&self) -> Result<(), Failure> {
        let feed = &self.feed;
        let given = [
            ("--image-size", feed.image_size.is_some()),
            ("--shape", !feed.shapes.is_empty()),
            ("--input", feed.input.is_some()),
            ("--window", self.window.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((name, _)) => Err(Failure::new(
                format!("{name} goes with --against, and there is none"),
                "name the file to compare with: --against FILE",
            )),
            None => Ok(()),
        }
    }
}

impl FeedArguments {
    pub(super) fn options(&self, batch: Option<usize>, seed: u64) -> InputOptions {
        InputOptions {
            batch,
            image_size: self.image_size,
            shapes: self.shapes.clone(),
            seed,
            file: self.input.clone(),
        }
    }
}

impl ToleranceArguments {
    pub(super) fn tolerance(&self) -> Tolerance {
        let default = Tolerance::default();
        Tolerance {
            atol: self.atol,
            rtol: self.rtol.unwrap_or(default.rtol),
        }
    }
}

/// What `incept check` takes in both of its forms.
pub(super) struct Shared<'a> {
    pub(super) model: &'a Path,
    pub(super) runtimes: &'a [String],
    pub(super) batches: &'a [usize],
    pub(super) layers: bool,
    pub(super) seed: u64,
    pub(super) json: Option<&'a Path>,
}

pub(super) fn run(
    b: &Path,
    arguments: &AgainstArguments,
    shared: &Shared<'_>,
) -> Result<Outcome, Failure> {
    if let [_, _, ..] = shared.batches {
        return Err(Failure::new(
            format!(
                "--batch: expected one with --against, found {}",
                shared.batches.len()
            ),
            "run the command once for each batch size",
        ));
    }
    let options = AgainstOptions {
        runtimes: shared.runtimes.to_vec(),
        against_runtime: arguments.against_runtime.clone(),
        inputs: arguments
            .feed
            .options(shared.batches.first().copied(), shared.seed),
        tolerance: arguments.tolerances.tolerance(),
        window_bytes: arguments.window.map_or(DEFAULT_WINDOW, |mebibytes| {
            mebibytes.saturating_mul(1 << 20)
        }),
    };
    let report = against(shared.model, b, &options, &mut progress)?;
    let text = || text(&report, shared.layers);
    conclude(&report, text, shared.json, &report.notes, report.holds)
}

fn text(report: &AgainstReport, all: bool) -> String {
    let shapes: Vec<String> = report
        .inputs
        .iter()
        .map(|(name, shape)| format!("`{name}` {shape:?}"))
        .collect();
    let mut text = format!(
        "A, checked:    {}\nB, reference:  {}, in {}\nfed with {}\nholds where {}\nwith {}; a difference within the noise of A's own runs is none\n",
        report.a.display(),
        report.b.path.display(),
        report.b.version,
        shapes.join(", "),
        report.formula,
        report.tolerance.text(),
    );
    for run in &report.runs {
        text += &format!("\nA in {}, {}\n\n", run.a.version, run.a.device);
        text += &rows(run, all);
        text += &format!(
            "\n{} layers aligned, {} compared; not aligned: {} of A, {} of B; {} MiB held at most\n",
            report.aligned,
            run.compared,
            report.unaligned_a.len(),
            report.unaligned_b.len(),
            run.most_held.div_ceil(1 << 20),
        );
        if let Some(first) = &run.first_difference {
            text += &format!("first difference: `{first}`\n");
        }
        if !run.at_fault.is_empty() {
            let shown: Vec<String> = run
                .at_fault
                .iter()
                .take(SHOWN)
                .map(|name| format!("`{name}`"))
                .collect();
            let more = run.at_fault.len().saturating_sub(SHOWN);
            let more = if more > 0 {
                format!(" and {more} more")
            } else {
                String::new()
            };
            text += &format!(
                "differ by themselves, fed with B's values: {}{more}\n",
                shown.join(", ")
            );
        }
    }
    text += &list("A", &report.unaligned_a, all);
    text += &list("B", &report.unaligned_b, all);
    text + match (report.holds, report.runs.iter().any(|run| run.compared > 0)) {
        (true, _) => "\nparity holds\n",
        (false, true) => "\nparity FAILS\n",
        (false, false) => "\nparity FAILS: no layer was compared\n",
    }
}

/// The outputs, and all layers or those that fail and come next to it.
fn rows(run: &AgainstRun, all: bool) -> String {
    let mut shown: Vec<&Layer> = run.layers.iter().collect();
    let mut heading = String::new();
    if !all && shown.len() > SHOWN {
        let share = |layer: &Layer| {
            let isolated = layer
                .isolated
                .as_ref()
                .map_or(0.0, |isolated| isolated.share);
            let share = layer.accumulated.share.max(isolated);
            if layer.holds() {
                share.min(1.0)
            } else {
                f64::INFINITY
            }
        };
        let mut order: Vec<usize> = (0..shown.len()).collect();
        order.sort_by(|&one, &other| {
            share(shown[other])
                .total_cmp(&share(shown[one]))
                .then(one.cmp(&other))
        });
        order.truncate(SHOWN);
        order.sort_unstable();
        heading = format!(
            "the {SHOWN} layers nearest to failing, or that fail first, of {}; --layers shows all\n",
            shown.len()
        );
        shown = order.into_iter().map(|place| shown[place]).collect();
    }
    let columns = [
        ("value of A", Align::Left),
        ("value of B", Align::Left),
        ("max error", Align::Right),
        ("noise", Align::Right),
        ("of allowed", Align::Right),
        ("isolated", Align::Right),
        ("noise", Align::Right),
        ("of allowed", Align::Right),
        ("top-1", Align::Right),
        ("verdict", Align::Left),
    ];
    let outputs = run
        .outputs
        .iter()
        .map(|output| row(output, ", file as it is"));
    let rows: Vec<Vec<String>> = shown
        .into_iter()
        .map(|layer| row(layer, ""))
        .chain(outputs)
        .collect();
    heading + &table(&columns, &rows)
}

fn row(layer: &Layer, suffix: &str) -> Vec<String> {
    let number =
        |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.1e}"));
    let of = |difference: Option<&Difference>| {
        [
            number(
                difference
                    .and_then(|d| d.metrics)
                    .map(|m| m.max_absolute_error),
            ),
            number(difference.and_then(|d| d.noise)),
            number(difference.filter(|d| d.metrics.is_some()).map(|d| d.share)),
        ]
    };
    let name = if layer.a == layer.b {
        "same name".to_string()
    } else {
        layer.b.clone()
    };
    let mut row = vec![format!("{}{suffix}", layer.a), name];
    row.extend(of(Some(&layer.accumulated)));
    row.extend(of(layer.isolated.as_ref()));
    let agreement = layer
        .accumulated
        .metrics
        .and_then(|metrics| metrics.top1_agreement);
    row.push(agreement.map_or_else(String::new, |share| format!("{:.0} %", 100.0 * share)));
    row.push(verdict(layer));
    row
}

fn verdict(layer: &Layer) -> String {
    use crate::parity::Verdict::Fails;
    match (
        &layer.accumulated.verdict,
        layer.isolated.as_ref().map(|isolated| &isolated.verdict),
    ) {
        (Fails { reason }, Some(Fails { .. })) => format!("FAILS, also by itself: {reason}"),
        (Fails { reason }, _) => format!("FAILS: {reason}"),
        (_, Some(Fails { reason })) => format!("FAILS by itself: {reason}"),
        _ if layer.accumulated.within_noise && layer.accumulated.share > 1.0 => {
            "holds: none beyond noise".into()
        }
        _ => "holds".into(),
    }
}

fn list(side: &str, unaligned: &[Unaligned], all: bool) -> String {
    if unaligned.is_empty() {
        return String::new();
    }
    let shown = if all { unaligned.len() } else { SHOWN };
    let mut text = format!("\nnot aligned, of {side}:\n");
    for value in unaligned.iter().take(shown) {
        text += &format!(
            "  `{}` ({}): {}\n",
            value.value, value.operator, value.reason
        );
    }
    if unaligned.len() > shown {
        text += &format!(
            "  and {} more; --layers shows all\n",
            unaligned.len() - shown
        );
    }
    text
}

/// `299` or `299x331`
fn size(text: &str) -> Result<(usize, usize), String> {
    let sizes = dims(text)?;
    match sizes.as_slice() {
        [side] => Ok((*side, *side)),
        [height, width] => Ok((*height, *width)),
        _ => Err(format!("expected N or HxW, found `{text}`")),
    }
}

/// `image=1x3x299x299`
fn shape(text: &str) -> Result<(String, Vec<usize>), String> {
    // Names may hold any character, sizes do not.
    let (name, sizes) = text
        .rsplit_once('=')
        .ok_or_else(|| format!("expected NAME=DIMS, found `{text}`"))?;
    Ok((name.into(), dims(sizes)?))
}

fn dims(text: &str) -> Result<Vec<usize>, String> {
    let sizes = text.split('x').map(|size| {
        size.parse()
            .ok()
            .filter(|size| (1..=1 << 20).contains(size))
    });
    sizes
        .collect::<Option<_>>()
        .ok_or_else(|| format!("expected sizes from 1 up with `x` between them, found `{text}`"))
}

fn tolerance(text: &str) -> Result<f64, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number >= 0.0);
    number.ok_or_else(|| format!("expected a number from 0 up, found `{text}`"))
}
