//! The `incept` command.
fn main() {}
