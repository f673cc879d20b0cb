//! `incept weights list`

use std::path::PathBuf;

use clap::Args;
use incept_exporters::weights::import::{Fate, FileListing, listing};

use super::FileArguments;
use crate::cli::output::{Align, json, print, table, thousands};
use crate::cli::{Failure, Outcome};

/// Show the tensors of a file, and what becomes of each
///
/// Any format that incept reads: safetensors, PyTorch, TensorFlow, Keras. Names that are of no network known are listed too.
#[derive(Debug, Args)]
pub(in crate::cli) struct Arguments {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The network [default: recognised]
    #[arg(long, value_name = "NET")]
    network: Option<String>,
    /// Variant of the network [default: recognised]
    #[arg(long)]
    variant: Option<String>,
    #[command(flatten)]
    reading: FileArguments,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(in crate::cli) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let choice = arguments
        .reading
        .choice(arguments.network.as_deref(), arguments.variant.as_deref());
    let listing = listing(&arguments.file, &choice)?;
    print(&if arguments.json {
        json(&listing)?
    } else {
        text(&listing)
    })?;
    Ok(Outcome::Done)
}

fn text(listing: &FileListing) -> String {
    let mut text = format!("{}\n", listing.format);
    match &listing.network {
        Some(network) => {
            text += &format!(
                "{} ({}), names of {}: {} of {} tensors without the classifier\n",
                network.name, network.variant, network.naming, network.found, network.expected
            );
            let classes = network
                .classes
                .map_or_else(|| "no classifier".into(), |n| format!("{n} classes"));
            let head = if network.auxiliary_head {
                "with"
            } else {
                "without"
            };
            text += &format!("{classes}, {head} auxiliary head");
            if let Some(features) = network.embedding {
                text += &format!(", embedding of {features}");
            }
            text += &format!(", width {}\n", network.width_multiplier);
        }
        None => text += &format!("not recognised: {}\n", listing.unrecognised),
    }
    for note in &listing.notes {
        text += &format!("{note}\n");
    }
    text.push('\n');
    let row = |tensor: &incept_exporters::weights::import::ListedTensor| {
        let shape: Vec<String> = tensor.shape.iter().map(usize::to_string).collect();
        vec![
            tensor.name.clone(),
            shape.join("x"),
            tensor.element_type.clone(),
            match &tensor.fate {
                Fate::Becomes { target } => target.clone(),
                Fate::Ignored { reason } => format!("- {reason}"),
                Fate::Unknown => "?".into(),
            },
        ]
    };
    let rows: Vec<Vec<String>> = listing.tensors.iter().map(row).collect();
    let columns = [
        ("tensor", Align::Left),
        ("shape", Align::Right),
        ("type", Align::Left),
        ("becomes", Align::Left),
    ];
    text += &table(&columns, &rows);
    let count =
        |wanted: fn(&Fate) -> bool| listing.tensors.iter().filter(|t| wanted(&t.fate)).count();
    text += &format!(
        "\n{} tensors, {} numbers, {} bytes: {} become weights, {} ignored, {} unknown\n",
        listing.tensors.len(),
        thousands(listing.numbers),
        thousands(listing.bytes),
        count(|fate| matches!(fate, Fate::Becomes { .. })),
        count(|fate| matches!(fate, Fate::Ignored { .. })),
        count(|fate| matches!(fate, Fate::Unknown)),
    );
    text
}
