//! What `incept check` prints.

use super::super::output::{Align, table};
use crate::parity::{
    Comparison, LayerChecked, LayerErrors, ParityReport, RuntimeChecked, Units, Verdict,
};

const LEFT: Align = Align::Left;
const RIGHT: Align = Align::Right;

/// The whole report; every layer, or the worst of each block.
pub(super) fn of(report: &ParityReport, layers: bool) -> String {
    let mut text = format!(
        "{} ({}) beside {}\nholds where {}\n\n",
        report.network, report.variant, report.reference, report.formula
    );
    text += &outputs(report);
    for runtime in &report.runtimes {
        if let Some(placed) = &runtime.placement {
            let verdict = if placed.holds { "" } else { "FAILS: " };
            text += &format!(
                "placement in {}: {verdict}{}\n",
                runtime.runtime, placed.text
            );
        }
    }
    for runtime in report
        .runtimes
        .iter()
        .filter(|runtime| !runtime.layers.is_empty())
    {
        text += &format!(
            "\nlayers in {}, in parts of what rounding explains (isolated: up to 1 is rounding, and decides), {} {}:\n",
            runtime.runtime,
            report.images[0],
            if report.images[0] == 1 {
                "image"
            } else {
                "images"
            },
        );
        text += &of_layers(runtime, layers);
    }
    text += &noise(report);
    text += &verdict(report);
    text
}

fn outputs(report: &ParityReport) -> String {
    let columns = [
        ("runtime", LEFT),
        ("batch", RIGHT),
        ("output", LEFT),
        ("max error", RIGHT),
        ("mean error", RIGHT),
        ("relative", RIGHT),
        ("1 - cosine", RIGHT),
        ("top-1", RIGHT),
        ("of rounding", RIGHT),
        ("verdict", LEFT),
    ];
    let mut rows = vec![];
    for runtime in &report.runtimes {
        let of_file = runtime
            .comparisons
            .iter()
            .map(|comparison| (comparison, ""));
        let layered = runtime.layer_by_layer.iter();
        let layered = layered.map(|comparison| (comparison, ", layer by layer beside the whole"));
        rows.extend(
            of_file
                .chain(layered)
                .map(|(comparison, what)| row(&runtime.runtime, comparison, what)),
        );
    }
    table(&columns, &rows)
}

fn row(runtime: &str, comparison: &Comparison, what: &str) -> Vec<String> {
    let number =
        |value: Option<f64>| value.map_or_else(|| "-".into(), |value| format!("{value:.2e}"));
    let metrics = comparison.metrics;
    let agreement = metrics.and_then(|m| m.top1_agreement);
    vec![
        runtime.into(),
        comparison.batch.to_string(),
        format!("{}{what}", comparison.value),
        number(metrics.map(|m| m.max_absolute_error)),
        number(metrics.map(|m| m.mean_absolute_error)),
        number(metrics.map(|m| m.relative_error)),
        number(metrics.map(|m| (1.0 - m.cosine).max(0.0))),
        agreement.map_or_else(String::new, |share| format!("{:.0} %", 100.0 * share)),
        parts(comparison.units),
        match &comparison.verdict {
            Verdict::Holds => "holds".into(),
            Verdict::Fails { reason } => format!("FAILS: {reason}"),
        },
    ]
}

/// Errors as parts of their bound.
fn parts(units: Option<Units>) -> String {
    match units.map(|units| units.times_bound()) {
        None => "-".into(),
        Some(times) if times >= 1e4 => format!("{times:.1e}"),
        Some(times) => format!("{times:.3}"),
    }
}

fn of_layers(runtime: &RuntimeChecked, all: bool) -> String {
    let columns = [
        ("block", LEFT),
        ("layers", RIGHT),
        ("worst layer", LEFT),
        ("operators", LEFT),
        ("isolated", RIGHT),
        ("accumulated", RIGHT),
        ("amplification", RIGHT),
        ("max error", RIGHT),
        ("noise", RIGHT),
        ("verdict", LEFT),
    ];
    let mut rows = vec![];
    let mut rest = runtime.layers.as_slice();
    while let Some(first) = rest.first() {
        let count = rest
            .iter()
            .take_while(|layer| layer.block == first.block)
            .count();
        let (block, after) = rest.split_at(count);
        match all {
            true => rows.extend(block.iter().map(|layer| layer_row(layer, 1))),
            false => rows.extend(worst(block).map(|layer| layer_row(layer, count))),
        }
        rest = after;
    }
    table(&columns, &rows)
}

/// The layer that fails first, or whose isolated error is the largest part of its bound.
fn worst(block: &[LayerChecked]) -> Option<&LayerChecked> {
    let times = |layer: &LayerChecked| {
        layer
            .isolated
            .units
            .map_or(0.0, |units| units.times_bound())
    };
    let failing = block.iter().find(|layer| !layer.holds());
    failing.or_else(|| block.iter().max_by(|a, b| times(a).total_cmp(&times(b))))
}

fn layer_row(layer: &LayerChecked, layers: usize) -> Vec<String> {
    let of = |errors: &LayerErrors| parts(errors.units);
    let inside = layer.value.strip_prefix(&format!("{}/", layer.block));
    vec![
        layer.block.clone(),
        layers.to_string(),
        inside.unwrap_or(&layer.value).into(),
        layer.operators.join(" "),
        of(&layer.isolated),
        of(&layer.accumulated),
        layer
            .amplification
            .map_or_else(|| "-".into(), |times| format!("{times:.2}")),
        format!("{:.2e}", layer.isolated.largest),
        layer
            .noise
            .map_or_else(|| "-".into(), |noise| format!("{noise:.2e}")),
        match layer.holds() {
            true if layer.is_noise() => "noise".into(),
            true => "rounding".into(),
            false if layer.is_noise() => format!(
                "FAILS, though not beyond the noise: {}",
                layer.isolated.verdict
            ),
            false => format!("FAILS: {}", layer.isolated.verdict),
        },
    ]
}

fn noise(report: &ParityReport) -> String {
    let mut rows = vec![];
    for runtime in &report.runtimes {
        rows.extend(runtime.noise.iter().map(|noise| {
            vec![
                runtime.runtime.clone(),
                noise.varied.clone(),
                format!("{} of {}", noise.layers, runtime.layers.len()),
                format!("{:.1e}", noise.largest),
                noise.value.clone().unwrap_or_else(|| "-".into()),
            ]
        }));
    }
    if rows.is_empty() {
        return String::new();
    }
    let columns = [
        ("runtime", LEFT),
        ("changed between two runs of a layer", LEFT),
        ("layers that differ", RIGHT),
        ("at most, of the range", RIGHT),
        ("where", LEFT),
    ];
    format!(
        "\nwhat a runtime differs from itself:\n{}",
        table(&columns, &rows)
    )
}

fn verdict(report: &ParityReport) -> String {
    let (mut outputs, mut failed, mut layers, mut failed_layers) = (0, 0, 0, 0);
    for runtime in &report.runtimes {
        let all = || runtime.comparisons.iter().chain(&runtime.layer_by_layer);
        outputs += all().count();
        failed += all()
            .filter(|comparison| !comparison.verdict.holds())
            .count();
        layers += runtime.layers.len();
        failed_layers += runtime.layers.iter().filter(|layer| !layer.holds()).count();
    }
    if outputs == 0 {
        return "\nparity FAILS: nothing was compared\n".into();
    }
    let of_layers = match layers {
        0 => String::new(),
        _ => format!(", {} of {layers} layers", layers - failed_layers),
    };
    if report.holds {
        return format!(
            "\nparity holds: {outputs} of {outputs} comparisons of outputs{of_layers}\n"
        );
    }
    let mut text = format!(
        "\nparity FAILS: {} of {outputs} comparisons of outputs hold{of_layers}\n",
        outputs - failed
    );
    for runtime in &report.runtimes {
        match runtime.first_failing() {
            Some(layer) => {
                text += &format!(
                    "first layer that fails in {}: {} ({})\n",
                    runtime.runtime, layer.value, layer.isolated.verdict
                );
            }
            None if !runtime.holds() && !runtime.layers.is_empty() => {
                text += &format!(
                    "in {} every layer holds by itself: what fails is the whole\n",
                    runtime.runtime
                );
            }
            None => {}
        }
    }
    text
}
