//! `incept weights convert`

use std::path::PathBuf;

use clap::Args;
use incept_exporters::net::NetOptions;
use incept_exporters::weights::import::{Request, metadata, open};

use super::FileArguments;
use crate::cli::output::message;
use crate::cli::{Failure, Outcome};

/// Write a network's weights under incept's names
///
/// Float32 in safetensors, in the order of names. The same command gives the same bytes. An auxiliary head is kept.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The file to read
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// The file to write
    #[arg(short, long, value_name = "OUT.safetensors")]
    output_file: PathBuf,
    /// The network [default: recognised]
    #[arg(long, value_name = "NET")]
    network: Option<String>,
    /// Variant of the network [default: recognised]
    #[arg(long)]
    variant: Option<String>,
    /// Number of classes [default: the file's]
    #[arg(long, value_name = "N")]
    classes: Option<usize>,
    #[command(flatten)]
    file: FileArguments,
}

pub(in crate::cli) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let request = Request {
        classes: arguments.classes,
        keep_auxiliary_head: true,
        ..arguments
            .file
            .request(arguments.network.as_deref(), arguments.variant.as_deref())
    };
    let opened = open(&arguments.input, &request, &NetOptions::default())?;
    message(&opened.report.to_string());
    opened.weights.check(&opened.net)?;
    let metadata = metadata(&opened, &arguments.input)?;
    opened.weights.write(&arguments.output_file, &metadata)?;
    message(&format!(
        "wrote {}: {} ({})",
        arguments.output_file.display(),
        opened.entry.title,
        opened.entry.variant
    ));
    Ok(Outcome::Done)
}
