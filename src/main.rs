//! The `incept` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    incept::cli::main()
}
