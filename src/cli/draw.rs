//! `incept draw`

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use incept_exporters::draw;
use incept_exporters::files::write_whole;

use super::network::NetworkArguments;
use super::output::{message, print};
use super::{Failure, Outcome};

/// Draw a network in the style of the paper's figures, as SVG
///
/// One page with the overall schema and a figure for each distinct block, or one block alone. The input is at the bottom.
/// The same command gives the same bytes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    network: NetworkArguments,
    /// The file to write; without it the drawing goes to standard output
    #[arg(short, long, value_name = "FILE.svg")]
    output_file: Option<PathBuf>,
    /// Draw only this stage: `stem`, `inception_a`, `reduction_b`, ... as `incept info NET` lists them
    #[arg(long, value_name = "STAGE")]
    block: Option<String>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let (entry, net) = arguments.network.build()?;
    let svg = match &arguments.block {
        Some(stage) => draw::block(&net, stage)?,
        None => draw::network(&net),
    };
    let Some(path) = &arguments.output_file else {
        print(&svg)?;
        return Ok(Outcome::Done);
    };
    write_whole(path, |writer| writer.write_all(svg.as_bytes()))?;
    let what = arguments.block.as_deref().unwrap_or("the whole network");
    message(&format!(
        "wrote {}: {} ({}), {what}",
        path.display(),
        entry.title,
        entry.variant
    ));
    Ok(Outcome::Done)
}
