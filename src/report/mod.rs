//! Reports: training curves, parity and errors beside the paper's, as one HTML file or as Markdown.
//!
//! A [`Report`] is data and can be kept as JSON; [`html`] and [`markdown`] make pages of it. The same report gives the
//! same bytes. The HTML page needs nothing else: no script, no style sheet, no picture from outside.
//!
//! The paper's errors are data too, each table with the images it is measured on:
//!
//! ```
//! use incept::report::paper::{TABLE_2, TABLE_4};
//!
//! assert_eq!((TABLE_2.images, TABLE_4.images), (48_238, 50_000));
//! let best = TABLE_4.rows.iter().filter_map(|row| row.top1_percent).reduce(f64::min);
//! assert_eq!(best, Some(17.7));
//! ```

mod check;
mod error;
mod errors;
mod format;
mod model;
mod page;
pub mod paper;
mod parity;
mod plot;
mod table;

#[cfg(test)]
mod example;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Output, State, UndefinedBehavior, Value};

pub use error::ReportError;
pub use model::{
    CurvePoint, DataDescription, LossPoint, NetworkReport, Report, SCHEMA, Samples, Training,
};

use serde::Serialize;

use crate::parity::ParityReport;

use crate::files::{create_folder, read, write_json, write_whole};
use page::Page;

/// One self-contained HTML file: styles, plots and the picture are in it, and it has no script.
///
/// # Errors
/// [`ReportError`]: evaluations of other models than the report's, a plot that cannot be drawn.
pub fn html(report: &Report) -> Result<String, ReportError> {
    render(
        "report.html",
        include_str!("report.html"),
        Page::new(report)?,
        |environment| environment.set_auto_escape_callback(|_| AutoEscape::Html),
    )
}

/// A check as one self-contained HTML file: the verdict, every layer, the worst ones' errors, and where it comes from.
///
/// # Errors
/// [`ReportError::Template`].
pub fn check_html(report: &ParityReport) -> Result<String, ReportError> {
    render(
        "check.html",
        include_str!("check.html"),
        check::Page::new(report),
        |environment| environment.set_auto_escape_callback(|_| AutoEscape::Html),
    )
}

/// Writes a check as `check.html` and `check.json` into a folder, each whole or not at all.
///
/// # Errors
/// As [`check_html`], and a file that cannot be written, with its path.
pub fn write_check(report: &ParityReport, folder: &Path) -> Result<(), ReportError> {
    let page = check_html(report)?;
    create_folder(folder)?;
    write_whole(&folder.join("check.html"), |writer| {
        writer.write_all(page.as_bytes())
    })?;
    Ok(write_json(&folder.join("check.json"), report)?)
}

/// The same as [`html`] in GitHub's Markdown; figures in place of plots.
///
/// # Errors
/// As [`html`].
pub fn markdown(report: &Report) -> Result<String, ReportError> {
    let page = render(
        "report.md",
        include_str!("report.md"),
        Page::new(report)?,
        |environment| {
            environment.set_auto_escape_callback(|_| AutoEscape::None);
            environment.set_formatter(escape_markdown);
        },
    )?;
    // Optional parts leave empty lines behind. No value has one: see `escape_markdown`.
    let mut tidy = String::with_capacity(page.len());
    for line in page.trim().lines() {
        if !(line.is_empty() && tidy.ends_with("\n\n")) {
            tidy.push_str(line);
            tidy.push('\n');
        }
    }
    Ok(tidy)
}

impl Report {
    /// Writes `report.html`, `report.md` and `report.json` into a folder, each whole or not at all.
    ///
    /// # Errors
    /// As [`html`], and a file that cannot be written, with its path.
    pub fn write(&self, folder: &Path) -> Result<(), ReportError> {
        create_folder(folder)?;
        let json = |source| ReportError::Json {
            path: folder.join("report.json"),
            source,
        };
        let files = [
            ("report.html", html(self)?),
            ("report.md", markdown(self)?),
            (
                "report.json",
                serde_json::to_string_pretty(self).map_err(json)? + "\n",
            ),
        ];
        for (name, text) in files {
            write_whole(&folder.join(name), |writer| {
                writer.write_all(text.as_bytes())
            })?;
        }
        Ok(())
    }

    /// Reads a report's JSON.
    ///
    /// # Errors
    /// [`ReportError::File`], [`ReportError::Json`] or [`ReportError::Schema`], each with the path.
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let json = |source| ReportError::Json {
            path: path.into(),
            source,
        };
        let value: serde_json::Value = serde_json::from_slice(&read(path)?).map_err(json)?;
        let schema = value.get("schema").and_then(|schema| schema.as_str());
        if schema != Some(SCHEMA) {
            return Err(ReportError::Schema {
                path: path.into(),
                expected: SCHEMA,
                found: schema.unwrap_or("none").into(),
            });
        }
        serde_json::from_value(value).map_err(json)
    }
}

fn environment() -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build()?,
    );
    Ok(environment)
}

/// The template, filled in with what a page holds, in a language that is escaped so.
fn render(
    template: &'static str,
    text: &str,
    page: impl Serialize,
    escape: impl FnOnce(&mut Environment<'_>),
) -> Result<String, ReportError> {
    let page = Value::from(Serde(page));
    let render = || {
        let mut environment = environment()?;
        environment.add_template("style.css", include_str!("style.css"))?;
        environment.add_template("parts.html", include_str!("parts.html"))?;
        escape(&mut environment);
        environment.render_named_str(template, text, page)
    };
    render().map_err(|source| ReportError::Template { template, source })
}

/// Writes a value so that Markdown shows it as it is, on one line, also in a table.
fn escape_markdown(
    out: &mut Output<'_>,
    _: &mut State<'_, '_>,
    value: &Value,
) -> Result<(), minijinja::Error> {
    let text = value.to_string();
    if value.is_safe() {
        return Ok(out.write_str(&text)?);
    }
    let mut escaped = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            // An underscore within a word is only an underscore: `inception_v4` stays readable.
            '_' if escaped.ends_with(char::is_alphanumeric)
                && letters.peek().is_some_and(|next| next.is_alphanumeric()) =>
            {
                escaped.push('_');
            }
            '\\' | '|' | '*' | '_' | '`' | '[' | ']' | '~' | '#' | '$' => {
                escaped.extend(['\\', letter]);
            }
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            letter if letter.is_control() => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    Ok(out.write_str(&escaped)?)
}
