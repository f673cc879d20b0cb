//! What was measured so far, kept in a file: a measurement that was interrupted goes on where it was.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use incept_exporters::onnx::Precision;
use incept_exporters::text::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Effect;
use crate::files::FileError;
use crate::provenance::Provenance;

/// The precisions of one run.
pub(super) type Blocks = BTreeMap<String, Precision>;

/// What came of one run: the effect, or why there is none.
pub(super) type Measured = Result<Effect, String>;

/// One line of the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    blocks: Blocks,
    effect: Option<Effect>,
    refused: Option<String>,
}

/// A file of JSON lines: the first tells what the others were measured on.
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    known: Vec<(Blocks, Measured)>,
}

impl Journal {
    /// Opens a journal, or begins one where there is none or it is of something else: other files, another runtime, other
    /// crops.
    ///
    /// # Errors
    /// [`FileError`] with the path.
    pub(super) fn open(
        path: &Path,
        provenance: &Provenance,
        settings: &impl Serialize,
    ) -> Result<Self, FileError> {
        let head = head(provenance, settings);
        let text = fs::read_to_string(path).unwrap_or_default();
        let mut lines = text.lines();
        let known = match lines.next() == Some(&head) {
            // Of a line that was cut off nothing is known.
            true => lines
                .map_while(|line| serde_json::from_str::<Line>(line).ok())
                .collect(),
            false => vec![],
        };
        let failed = |source| FileError::new("write", path, source);
        // Written anew, so that what follows a line that was cut off is readable.
        let mut text = head + "\n";
        for line in &known {
            text += &to_text(line);
        }
        fs::write(path, text).map_err(failed)?;
        let file = OpenOptions::new().append(true).open(path).map_err(failed)?;
        let measured = |line: Line| {
            let effect = line.effect.ok_or_else(|| line.refused.unwrap_or_default());
            (line.blocks, effect)
        };
        Ok(Self {
            path: path.into(),
            file,
            known: known.into_iter().map(measured).collect(),
        })
    }

    /// Runs that are known.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// What came of a run, where it is known.
    pub(super) fn find(&self, blocks: &Blocks) -> Option<Measured> {
        let found = self.known.iter().find(|(known, _)| known == blocks);
        found.map(|(_, measured)| measured.clone())
    }

    /// Adds a run.
    ///
    /// # Errors
    /// [`FileError`] with the path.
    pub(super) fn add(&mut self, blocks: &Blocks, measured: &Measured) -> Result<(), FileError> {
        let line = Line {
            blocks: blocks.clone(),
            effect: measured.as_ref().ok().copied(),
            refused: measured.as_ref().err().cloned(),
        };
        let written = self.file.write_all(to_text(&line).as_bytes());
        written.map_err(|source| FileError::new("write", &self.path, source))
    }

    /// Removes the file of a measurement that came to its end.
    ///
    /// # Errors
    /// [`FileError`] with the path.
    pub(super) fn end(path: &Path) -> Result<(), FileError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(FileError::new("remove", path, error))
            }
            _ => Ok(()),
        }
    }
}

fn to_text(line: &Line) -> String {
    // Names, numbers and text have a JSON form.
    serde_json::to_string(line).unwrap_or_default() + "\n"
}

fn head(provenance: &Provenance, settings: &impl Serialize) -> String {
    let all = (
        &provenance.version,
        &provenance.inputs,
        &provenance.runtimes,
        settings,
    );
    let hash = Sha256::digest(serde_json::to_vec(&all).unwrap_or_default());
    let head =
        serde_json::json!({ "schema": "incept.sensitivity-journal/1", "measured_on": hex(&hash) });
    head.to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn blocks(block: &str) -> Blocks {
        [(block.to_string(), Precision::Int8)].into()
    }

    #[test]
    fn what_was_written_is_known_again_and_only_for_the_same_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.toml.journal");
        let provenance = Provenance::of_this_run();
        let open = |settings: &str| Journal::open(&path, &provenance, &settings).unwrap();
        let effect = Effect {
            flips: 3,
            change: 0.1 + 0.2,
            ..Effect::default()
        };
        let mut journal = open("1 crop");
        assert_eq!(journal.len(), 0);
        journal.add(&blocks("stem.0"), &Ok(effect)).unwrap();
        journal
            .add(&blocks("logits"), &Err("too large".into()))
            .unwrap();
        drop(journal);
        // Cut off in the middle of a line, as by a power failure.
        let text = fs::read_to_string(&path).unwrap() + "{\"blocks\":{\"stem.1";
        fs::write(&path, text).unwrap();
        let mut journal = open("1 crop");
        assert_eq!(journal.len(), 2);
        assert_eq!(journal.find(&blocks("stem.0")), Some(Ok(effect)));
        assert_eq!(
            journal.find(&blocks("logits")),
            Some(Err("too large".into()))
        );
        assert_eq!(journal.find(&blocks("stem.1")), None);
        journal.add(&blocks("stem.1"), &Ok(effect)).unwrap();
        drop(journal);
        assert_eq!(open("1 crop").len(), 3);
        assert_eq!(open("10 crops").len(), 0);
        assert_eq!(open("1 crop").len(), 0, "begun anew by the other");
        Journal::end(&path).unwrap();
        assert!(!path.exists());
        Journal::end(&path).unwrap();
    }
}
