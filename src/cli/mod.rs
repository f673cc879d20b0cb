//! The command line: one file per subcommand, each parsing, calling the library and printing. No logic.

mod against;
mod bisect;
mod check;
mod demo;
mod doctor;
mod draw;
mod eval;
mod export;
mod failure;
mod golden;
mod info;
mod inspect;
mod list;
mod matrix;
mod network;
mod output;
mod progress;
mod sensitivity;
mod synth;
mod train;
mod weights;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use failure::Failure;

/// What a finished subcommand means for the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// 0: done, and what was checked holds.
    Done,
    /// 1: it ran, and what was checked does not hold.
    CheckFailed,
}

/// Inception-v4, Inception-ResNet-v1 and -v2: export to ONNX, train, check parity, evaluate with the paper's crops.
#[derive(Debug, Parser)]
#[command(name = "incept", version, max_term_width = 110)]
#[command(
    after_help = "Exit codes: 0 done (for `check`, `matrix` and `golden verify`: it holds; for `bisect`: nothing fails), 1 the check failed, 2 it could not run."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Arguments),
    Info(info::Arguments),
    Draw(draw::Arguments),
    Export(Box<export::Arguments>),
    Inspect(inspect::Arguments),
    Check(Box<check::Arguments>),
    Bisect(bisect::Arguments),
    Matrix(matrix::Arguments),
    Golden(golden::Arguments),
    Train(train::Arguments),
    Eval(eval::Arguments),
    Weights(weights::Arguments),
    Synth(synth::Arguments),
    Demo(demo::Arguments),
    Doctor(doctor::Arguments),
}

/// Runs the program: 0 done, 1 a check failed, 2 it could not run.
pub fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::List(arguments) => list::run(&arguments),
        Command::Info(arguments) => info::run(&arguments),
        Command::Draw(arguments) => draw::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Matrix(arguments) => matrix::run(&arguments),
        Command::Golden(arguments) => golden::run(&arguments),
        Command::Bisect(arguments) => bisect::run(&arguments),
        Command::Train(arguments) => train::run(&arguments),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Weights(arguments) => weights::run(&arguments),
        Command::Synth(arguments) => synth::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
    };
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::CheckFailed) => ExitCode::from(1),
        Err(failure) => {
            failure.print();
            ExitCode::from(2)
        }
    }
}
