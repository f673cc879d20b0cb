//! `incept weights`: what is in a file of weights, and the same under our names.

mod arguments;
mod convert;
mod list;

use clap::{Args, Subcommand};

pub(super) use arguments::FileArguments;

use super::{Failure, Outcome};

/// List or convert a file of weights
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Arguments),
    Convert(convert::Arguments),
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    match &arguments.command {
        Command::List(arguments) => list::run(arguments),
        Command::Convert(arguments) => convert::run(arguments),
    }
}
