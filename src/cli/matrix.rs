//! `incept matrix`

use std::path::PathBuf;

use clap::Args;

use super::{Failure, Outcome};

/// Run every network, variant and precision on every runtime, beside libtorch in float64
///
/// Small networks with weights from a seed, batch normalisation folded and kept; each node must run on its runtime's device. Exit
/// code 0: everything came out as it is known, 1: something fails that is no known gap, or a known gap works, 2: it could not
/// run.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A runtime to run, may be repeated [default: every one that is present]
    #[arg(long = "runtime", value_name = "NAME")]
    runtimes: Vec<String>,
    /// Known gaps and their reasons [default: the list of this version, docs/known-gaps.toml]
    #[arg(long, value_name = "FILE.toml")]
    known_gaps: Option<PathBuf>,
    /// Write the table as Markdown
    #[arg(long, value_name = "FILE.md")]
    out: Option<PathBuf>,
    /// Write everything as JSON; `-` for standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

#[cfg(not(feature = "torch"))]
pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let Arguments {
        runtimes: _,
        known_gaps: _,
        out: _,
        json: _,
    } = arguments;
    Err(Failure::without_torch("the reference of the matrix"))
}

#[cfg(feature = "torch")]
pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    use std::io::Write;

    use super::output::{Align, message, only_data, print, progress, table, write_json};
    use crate::files::write_whole;
    use crate::matrix::{Gaps, MatrixOptions, run};

    let gaps = match &arguments.known_gaps {
        Some(path) => Gaps::read(path)?,
        None => Gaps::checked_in()?,
    };
    let mut options = MatrixOptions::small(gaps);
    options.runtimes.clone_from(&arguments.runtimes);
    let matrix = run(&options, &mut progress)?;
    if let Some(path) = &arguments.json {
        write_json(path, &matrix)?;
    }
    if let Some(path) = &arguments.out {
        let text = matrix.markdown();
        write_whole(path, |writer| writer.write_all(text.as_bytes()))?;
    }
    if !only_data(arguments.json.as_deref()) {
        let headings = matrix.headings();
        let columns: Vec<(&str, Align)> = headings
            .iter()
            .enumerate()
            .map(|(place, heading)| {
                let align = if place < 4 { Align::Left } else { Align::Right };
                (heading.as_str(), align)
            })
            .collect();
        print(&table(&columns, &matrix.rows()))?;
        print(&format!("\n{}\n", matrix.summary()))?;
    }
    matrix.notes().iter().for_each(|note| message(note));
    Ok(if matrix.holds {
        Outcome::Done
    } else {
        Outcome::CheckFailed
    })
}
