//! Printing: data to standard output, progress to standard error, tables with aligned columns.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use incept_exporters::files;
use serde::Serialize;

/// Writes to standard output. A reader who went away, as `head` does, changes nothing: files are still written, and the
/// exit code still tells the verdict.
pub(super) fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// A JSON document with a line break at its end.
pub(super) fn json(value: &impl Serialize) -> io::Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Writes a JSON document to a file, or to standard output for `-`.
pub(super) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), super::Failure> {
    if path == Path::new("-") {
        return Ok(print(&json(value)?)?);
    }
    Ok(files::write_json(path, value)?)
}

/// The path of a file beside another: its own with an ending more.
pub(super) fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Whether `--json -` asks for data only.
pub(super) fn only_data(json: Option<&Path>) -> bool {
    json == Some(Path::new("-"))
}

/// Ends a check of any kind: its numbers as JSON where asked for, its text unless only data is wanted, its notes, and
/// the exit code of its verdict.
pub(super) fn conclude(
    report: &impl Serialize,
    text: impl FnOnce() -> String,
    json: Option<&Path>,
    notes: &[String],
    holds: bool,
) -> Result<super::Outcome, super::Failure> {
    // The text first: where the file cannot be written, the numbers are not lost.
    if !only_data(json) {
        print(&text())?;
    }
    notes
        .iter()
        .for_each(|note| message(&format!("note: {note}")));
    if let Some(path) = json {
        write_json(path, report)?;
    }
    Ok(match holds {
        true => super::Outcome::Done,
        false => super::Outcome::CheckFailed,
    })
}

/// A line of progress on standard error, where that is a terminal.
pub(super) fn progress(message: &str) {
    if io::stderr().is_terminal() {
        let _ = writeln!(io::stderr(), "{message}");
    }
}

/// A message on standard error.
pub(super) fn message(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Which side a column's text stands on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// Rows under headings, each column as wide as its widest cell.
pub(super) fn table(columns: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells
            .chain([columns[column].0.chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let headings: Vec<String> = columns
        .iter()
        .map(|(heading, _)| (*heading).to_string())
        .collect();
    let mut text = String::new();
    for row in std::iter::once(&headings).chain(rows) {
        let cells = row
            .iter()
            .zip(columns)
            .zip(&widths)
            .map(|((cell, (_, align)), width)| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
        text += cells.collect::<Vec<_>>().join("  ").trim_end();
        text.push('\n');
    }
    text
}

/// A whole number with its thousands apart: `42,679,816`.
pub(super) fn thousands(number: impl Into<u64>) -> String {
    let digits = number.into().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        assert_eq!(
            [0u64, 999, 1000, 42_679_816].map(thousands),
            ["0", "999", "1,000", "42,679,816"]
        );
    }

    #[test]
    fn columns_are_aligned() {
        let rows = [
            vec!["a".into(), "1".into()],
            vec!["bcd".into(), "10".into()],
        ];
        let text = table(&[("name", Align::Left), ("n", Align::Right)], &rows);
        assert_eq!(text, "name   n\na      1\nbcd   10\n");
    }
}
