//! The matrix as one table.

use super::{Cell, Matrix, Outcome};

impl Matrix {
    /// The table's headings: the case, then one column for each runtime.
    pub fn headings(&self) -> Vec<String> {
        let case = ["network", "variant", "precision", "batch norm"];
        let runtimes = self.runtimes.iter().map(|found| found.runtime.clone());
        case.iter()
            .map(|text| (*text).into())
            .chain(runtimes)
            .collect()
    }

    /// The table's rows: the relative error where it works, `gap` where it is known not to, `FAILS` where it is not known, and
    /// `WORKS` where it is known not to and does.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let mut rows: Vec<Vec<String>> = vec![];
        let columns = self.runtimes.len().max(1);
        for cells in self.cells.chunks(columns) {
            let Some(first) = cells.first() else { continue };
            let case = &first.case;
            let mut row = vec![
                case.network.clone(),
                case.variant.clone(),
                case.precision.to_string(),
                case.batch_norm.clone(),
            ];
            row.extend(cells.iter().map(text));
            rows.push(row);
        }
        rows
    }

    /// What stands below the table: each surprise, each known gap once with its reason, each runtime that is absent.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = vec![];
        for cell in self.cells.iter().filter(|cell| !cell.is_expected()) {
            let Cell { case, runtime, .. } = cell;
            notes.push(match (&cell.outcome, &cell.known_gap) {
                (Outcome::Fails { reason }, _) => {
                    format!("FAILS: {case} on {runtime}: {reason}")
                }
                (Outcome::Works, known) => format!(
                    "WORKS, and is listed as a known gap: {case} on {runtime}: {}",
                    known.as_deref().unwrap_or_default()
                ),
            });
        }
        for gap in &self.stale_gaps {
            notes.push(format!(
                "the known gap of {} covers no case: {}",
                gap.runtimes.join(", "),
                gap.reason
            ));
        }
        let known = self.cells.iter().filter(|cell| cell.is_expected());
        let known = known.filter_map(|cell| Some((&cell.runtime, cell.known_gap.as_ref()?)));
        let mut seen: Vec<(&String, &String)> = vec![];
        for gap in known {
            if !seen.contains(&gap) {
                seen.push(gap);
                notes.push(format!("gap: {}: {}", gap.0, gap.1));
            }
        }
        let absent = self.absent.iter();
        notes.extend(absent.map(|absent| format!("not run: {}", absent.reason)));
        notes
    }

    /// What came out, in one line.
    pub fn summary(&self) -> String {
        let unexpected = self.cells.iter().filter(|cell| !cell.is_expected()).count();
        let gaps = self
            .cells
            .iter()
            .filter(|cell| cell.known_gap.is_some())
            .count();
        let (cells, runtimes) = (self.cells.len(), self.runtimes.len());
        let stale = self.stale_gaps.len();
        match self.holds {
            true => format!(
                "the matrix holds: {cells} cells on {runtimes} runtimes, {gaps} of them known gaps"
            ),
            false if cells == 0 => "the matrix FAILS: nothing was run".into(),
            false => format!(
                "the matrix FAILS: {unexpected} of {cells} cells are not as they are known, {stale} known gaps cover no case"
            ),
        }
    }

    /// All of it as Markdown.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let headings = self.headings();
        let mut text = String::from("# Every network on every runtime\n\n");
        text += "`max|actual − reference| / max|reference|` of the logits, or of the embedding where there are none; the \
                 reference is libtorch in float64.\n\n";
        text += &line(&headings);
        text += &line(&vec!["---".to_string(); headings.len()]);
        self.rows().iter().for_each(|row| text += &line(row));
        text += &format!("\n{}.\n\n", self.summary());
        for found in &self.runtimes {
            text += &format!("- {}: {}, {}\n", found.runtime, found.version, found.device);
        }
        self.notes()
            .iter()
            .for_each(|note| text += &format!("- {note}\n"));
        text
    }
}

fn text(cell: &Cell) -> String {
    match (&cell.outcome, &cell.known_gap, cell.relative_error) {
        (Outcome::Works, None, Some(error)) => format!("{error:.1e}"),
        (Outcome::Works, None, None) => "works".into(),
        (Outcome::Works, Some(_), _) => "WORKS".into(),
        (Outcome::Fails { .. }, Some(_), _) => "gap".into(),
        (Outcome::Fails { .. }, None, _) => "FAILS".into(),
    }
}
