//! `incept doctor`

use clap::Args;

use super::output::{Align, message, print, table};
use super::{Failure, Outcome};
use crate::runtime::REGISTRY;

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
    rows.push(libtorch(&mut hints));
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

#[cfg(feature = "torch")]
fn libtorch(hints: &mut Vec<String>) -> Vec<String> {
    let found = crate::torch::found();
    let device = match found.cuda_devices {
        0 => "CPU".to_string(),
        devices => format!("CPU and {devices} CUDA devices"),
    };
    hints.extend(
        found
            .reason
            .map(|reason| format!("libtorch: CPU only ({reason})")),
    );
    // Beside the libraries lies the file libtorch's own distribution names its version in.
    let version = found.folder.and_then(|folder| {
        let text = std::fs::read_to_string(folder.parent()?.join("build-version")).ok()?;
        Some(text.trim().to_string())
    });
    let version = version.unwrap_or_else(|| "of unknown version".into());
    vec![
        "libtorch".into(),
        "found".into(),
        device,
        format!("libtorch {version}"),
    ]
}

#[cfg(not(feature = "torch"))]
fn libtorch(hints: &mut Vec<String>) -> Vec<String> {
    hints.push(
        "libtorch: run ./scripts/setup.sh and build with `cargo build --release --features torch`"
            .into(),
    );
    vec![
        "libtorch".into(),
        "missing".into(),
        String::new(),
        "this build has no feature `torch`".into(),
    ]
}
