//! Parity as tables: the worst of each run in short, and every comparison.

use super::NetworkReport;
use super::format::{count, scientific};
use super::table::{Cell, Table, code, dash, judged, number, words};
use crate::parity::{Comparison, Metrics, Verdict};

const MEASURES: &[(&str, bool)] = &[
    ("Max error", true),
    ("Relative", true),
    ("1 − cosine", true),
    ("Top-1 agrees", true),
    ("Verdict", false),
];

/// One row for each network, runtime and batch: the comparison with the largest relative error.
pub(super) fn summary(networks: &[NetworkReport]) -> Table {
    let of_run: &[(&str, bool)] = &[
        ("Network", false),
        ("Runtime", false),
        ("Batch", true),
        ("Values", true),
        ("Worst value", false),
    ];
    let mut table = Table::new(
        "Parity: the worst value of each run",
        &[("", of_run), ("", MEASURES)],
    );
    for network in networks {
        for runtime in &network.parity.runtimes {
            let mut batches: Vec<usize> = runtime.comparisons.iter().map(|c| c.batch).collect();
            batches.sort_unstable();
            batches.dedup();
            for batch in batches {
                let run: Vec<&Comparison> = runtime
                    .comparisons
                    .iter()
                    .filter(|c| c.batch == batch)
                    .collect();
                let worst = run
                    .iter()
                    .copied()
                    .max_by(|a, b| severity(a).total_cmp(&severity(b)));
                let Some(worst) = worst else { continue };
                let mut cells = vec![
                    words(&network.title),
                    words(&runtime.runtime),
                    number(count(batch)),
                    number(count(run.len())),
                    code(&worst.value),
                ];
                // Agreement is known of the outputs only, which need not be where the worst error is.
                let agreement = run
                    .iter()
                    .filter_map(|c| c.metrics?.top1_agreement)
                    .min_by(f64::total_cmp);
                cells.extend(measures(worst, agreement));
                table.row(cells);
            }
        }
    }
    table.note(
        "Each row is the value with the largest relative error among those compared in the run; top-1 agrees: the least share \
         of images of any output whose first guess is the same.",
    );
    table
}

/// Every comparison of a network.
pub(super) fn all(network: &NetworkReport) -> Table {
    let of_value: &[(&str, bool)] = &[
        ("Runtime", false),
        ("Batch", true),
        ("Value", false),
        ("Shape", false),
    ];
    let title = format!("Parity of {}: every value", network.title);
    let mut table = Table::new(title, &[("", of_value), ("", MEASURES)]);
    for runtime in &network.parity.runtimes {
        for comparison in &runtime.comparisons {
            let shape: Vec<String> = comparison.shape.iter().map(ToString::to_string).collect();
            let mut cells = vec![
                words(&runtime.runtime),
                number(count(comparison.batch)),
                code(&comparison.value),
                code(shape.join("×")),
            ];
            let agreement = comparison.metrics.and_then(|m| m.top1_agreement);
            cells.extend(measures(comparison, agreement));
            table.row(cells);
        }
    }
    table
}

/// Orders comparisons from good to bad: by relative error, those without or with NaN last.
pub(super) fn severity(comparison: &Comparison) -> f64 {
    let error = comparison
        .metrics
        .map_or(f64::INFINITY, |m| m.relative_error);
    match comparison.verdict {
        Verdict::Fails { .. } if !error.is_finite() => f64::INFINITY,
        _ => error,
    }
}

fn measures(comparison: &Comparison, agreement: Option<f64>) -> [Cell; 5] {
    let measure = |of: fn(&Metrics) -> f64| match &comparison.metrics {
        Some(metrics) => number(scientific(of(metrics))),
        None => dash(),
    };
    [
        measure(|m| m.max_absolute_error),
        measure(|m| m.relative_error),
        // Rounding can take the cosine of equal vectors above 1; a NaN must stay one.
        measure(|m| if m.cosine > 1.0 { 0.0 } else { 1.0 - m.cosine }),
        agreement.map_or_else(dash, |share| number(format!("{:.0} %", 100.0 * share))),
        match &comparison.verdict {
            Verdict::Holds => judged(true, "holds"),
            Verdict::Fails { reason } => judged(false, format!("FAILS: {reason}")),
        },
    ]
}
