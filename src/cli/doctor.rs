//! `incept doctor`

use clap::Args;

use super::output::{Align, message, print, table};
use super::{Failure, Outcome};
use crate::runtime::{LEFT_OUT, REGISTRY, feature_hint};

/// Show which runtimes and devices are found, and how to get the missing ones
#[derive(Debug, Args)]
pub(super) struct Arguments {}

pub(super) fn run(_: &Arguments) -> Result<Outcome, Failure> {
    let mut rows = vec![];
    let mut hints = vec![];
    for runtime in REGISTRY {
        let (state, version) = match runtime.version() {
            Ok(version) => ("found", version),
            Err(error) => {
                hints.extend(
                    error
                        .hint()
                        .map(|hint| format!("{}: {hint}", runtime.name())),
                );
                ("missing", error.to_string())
            }
        };
        rows.push(vec![
            runtime.name().into(),
            state.into(),
            runtime.device().into(),
            version,
        ]);
    }
    for (name, feature) in LEFT_OUT {
        hints.push(format!("{name}: {}", feature_hint(feature)));
        rows.push(vec![
            (*name).into(),
            "missing".into(),
            String::new(),
            format!("this build has no feature `{feature}`"),
        ]);
    }
    let columns = [
        ("runtime", Align::Left),
        ("state", Align::Left),
        ("device", Align::Left),
        ("version", Align::Left),
    ];
    print(&table(&columns, &rows))?;
    hints
        .iter()
        .for_each(|hint| message(&format!("hint: {hint}")));
    Ok(Outcome::Done)
}
