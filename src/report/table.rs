//! Tables as both pages lay them out.

use serde::Serialize;

/// A table: a heading of one or two rows, then rows of as many cells as there are columns.
#[derive(Debug, Serialize)]
pub(super) struct Table {
    title: String,
    /// The upper row of the heading; empty where no column belongs to a group.
    groups: Vec<Group>,
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Group {
    title: String,
    span: usize,
}

/// A column's heading.
#[derive(Debug, Serialize)]
pub(super) struct Column {
    title: String,
    /// The heading where there is only one row: with the group's name.
    flat: String,
    numeric: bool,
}

/// A cell.
#[derive(Debug, Serialize)]
pub(super) struct Cell {
    text: String,
    /// Smaller, after the text.
    detail: Option<String>,
    class: &'static str,
}

/// Words.
pub(super) fn words(text: impl Into<String>) -> Cell {
    cell(text, "words")
}

/// A sentence or more.
pub(super) fn prose(text: impl Into<String>) -> Cell {
    cell(text, "prose")
}

/// A number, standing at the right.
pub(super) fn number(text: impl Into<String>) -> Cell {
    cell(text, "number")
}

/// A number and its interval.
pub(super) fn number_with(text: impl Into<String>, detail: impl Into<String>) -> Cell {
    Cell {
        detail: Some(detail.into()),
        ..number(text)
    }
}

/// A name or a file.
pub(super) fn code(text: impl Into<String>) -> Cell {
    cell(text, "code")
}

/// One hash or several, which may be broken anywhere.
pub(super) fn hash(text: impl Into<String>) -> Cell {
    cell(text, "code hash")
}

/// No value.
pub(super) fn dash() -> Cell {
    cell("–", "number none")
}

/// Good or bad, said in words besides the colour.
pub(super) fn judged(good: bool, text: impl Into<String>) -> Cell {
    cell(text, if good { "good" } else { "bad" })
}

fn cell(text: impl Into<String>, class: &'static str) -> Cell {
    Cell {
        text: text.into(),
        detail: None,
        class,
    }
}

impl Table {
    /// A table with this heading: for each group its title (empty for columns of their own) and columns, each with its
    /// title and whether it holds numbers.
    pub(super) fn new(title: impl Into<String>, heading: &[(&str, &[(&str, bool)])]) -> Self {
        let mut table = Self {
            title: title.into(),
            groups: vec![],
            columns: vec![],
            rows: vec![],
            notes: vec![],
        };
        for (group, columns) in heading {
            table.groups.push(Group {
                title: (*group).into(),
                span: columns.len(),
            });
            for &(title, numeric) in *columns {
                table.columns.push(Column {
                    title: title.into(),
                    flat: if group.is_empty() {
                        title.into()
                    } else {
                        format!("{group}: {title}")
                    },
                    numeric,
                });
            }
        }
        if heading.iter().all(|(group, _)| group.is_empty()) {
            table.groups.clear();
        }
        table
    }

    /// Adds a row.
    pub(super) fn row(&mut self, cells: Vec<Cell>) {
        debug_assert_eq!(cells.len(), self.columns.len(), "{}", self.title);
        self.rows.push(cells);
    }

    /// Adds a remark under the table.
    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }
}
