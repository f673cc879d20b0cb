//! Metrics as JSON lines.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::files::FileError;

/// One training step, a line of `metrics.jsonl` with `"kind": "step"`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Steps taken, this one included.
    pub step: u64,
    /// Epochs gone by after it.
    pub epoch: f64,
    /// Mean cross-entropy over its batch, without weight decay.
    pub loss: f64,
    /// The learning rate it was taken with.
    pub learning_rate: f64,
    /// Images a second, over this step.
    pub images_per_second: f64,
}

/// One validation with the averaged parameters, a line with `"kind": "validation"`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ValidationRecord {
    /// Steps taken before it.
    pub step: u64,
    /// Epochs gone by before it.
    pub epoch: f64,
    /// Validation images, each as a single centre crop.
    pub images: usize,
    /// Share of images whose class is not the first guess.
    pub top1_error: f64,
    /// Share of images whose class is not among the first five guesses.
    pub top5_error: f64,
    /// Mean cross-entropy; infinite, and `null` in the file, for averages too young to be of use.
    #[serde(deserialize_with = "infinite_if_null")]
    pub loss: f64,
}

/// JSON has no infinity: it is written as null.
fn infinite_if_null<'de, D: serde::Deserializer<'de>>(number: D) -> Result<f64, D::Error> {
    let number = Option::<f64>::deserialize(number)?;
    Ok(number.unwrap_or(f64::INFINITY))
}

/// The open file of metrics.
pub struct Metrics {
    path: PathBuf,
    file: File,
    last_validation: Option<ValidationRecord>,
}

impl Metrics {
    /// Opens `metrics.jsonl` in the folder and cuts off what lies after `step`: lines of steps beyond the checkpoint
    /// that is continued from, and a last line that was not finished. With step 0 the file starts anew.
    ///
    /// # Errors
    /// [`FileError`] with the path.
    pub fn open(folder: &Path, step: u64) -> Result<Self, FileError> {
        let path = folder.join("metrics.jsonl");
        let failed = |error| FileError::new("write", &path, error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        let mut reader = BufReader::new(&file);
        let (mut kept, mut line, mut last_validation) = (0, String::new(), None);
        loop {
            line.clear();
            // What is not text is not ours either.
            let read = reader.read_line(&mut line).unwrap_or(0);
            if read == 0
                || step == 0
                || !line.ends_with('\n')
                || step_of(&line).is_none_or(|s| s > step)
            {
                break;
            }
            kept += read as u64;
            if line.contains("\"validation\"") {
                last_validation = serde_json::from_str(&line).ok();
            }
        }
        file.set_len(kept).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        Ok(Self {
            path,
            file,
            last_validation,
        })
    }

    /// The last validation of the run that is continued.
    pub fn last_validation(&self) -> Option<ValidationRecord> {
        self.last_validation
    }

    /// Appends a step.
    ///
    /// # Errors
    /// [`FileError`] with the path.
    pub fn step(&mut self, record: &StepRecord) -> Result<(), FileError> {
        self.append("step", serde_json::to_value(record))
    }

    /// Appends a validation.
    ///
    /// # Errors
    /// [`FileError`] with the path.
    pub fn validation(&mut self, record: &ValidationRecord) -> Result<(), FileError> {
        self.append("validation", serde_json::to_value(record))
    }

    fn append(&mut self, kind: &str, record: serde_json::Result<Value>) -> Result<(), FileError> {
        let failed = |error: std::io::Error| FileError::new("write", &self.path, error);
        let mut line = serde_json::Map::new();
        line.insert("kind".into(), kind.into());
        if let Value::Object(fields) = record.map_err(|error| failed(error.into()))? {
            line.extend(fields);
        }
        // One write a line, so that a line is cut short only where the machine stops.
        let text = format!("{}\n", Value::Object(line));
        self.file.write_all(text.as_bytes()).map_err(failed)
    }

    /// Waits until all lines are on the disk.
    ///
    /// # Errors
    /// [`FileError`] with the path.
    pub fn sync(&self) -> Result<(), FileError> {
        self.file
            .sync_data()
            .map_err(|error| FileError::new("write", &self.path, error))
    }
}

fn step_of(line: &str) -> Option<u64> {
    serde_json::from_str::<Value>(line)
        .ok()?
        .get("step")?
        .as_u64()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn record(step: u64) -> StepRecord {
        StepRecord {
            step,
            epoch: 0.5,
            loss: 2.25,
            learning_rate: 0.045,
            images_per_second: 10.0,
        }
    }

    #[test]
    fn an_infinite_validation_loss_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut metrics = Metrics::open(folder.path(), 0).unwrap();
        let record = ValidationRecord {
            step: 3,
            epoch: 1.0,
            images: 8,
            top1_error: 1.0,
            top5_error: 0.5,
            loss: f64::INFINITY,
        };
        metrics.validation(&record).unwrap();
        let metrics = Metrics::open(folder.path(), 3).unwrap();
        assert_eq!(metrics.last_validation(), Some(record));
    }

    #[test]
    fn lines_after_the_checkpoint_are_cut_off_and_none_stands_twice() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut metrics = Metrics::open(folder.path(), 0).unwrap();
        (1..=4).for_each(|step| metrics.step(&record(step)).unwrap());
        metrics
            .file
            .write_all(b"{\"kind\":\"step\",\"step\":5,\"lo")
            .unwrap();
        let mut metrics = Metrics::open(folder.path(), 3).unwrap();
        (4..=5).for_each(|step| metrics.step(&record(step)).unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        let steps: Vec<u64> = text.lines().filter_map(step_of).collect();
        assert_eq!(steps, [1, 2, 3, 4, 5]);
        let first = text.lines().next().unwrap();
        assert_eq!(
            first,
            r#"{"kind":"step","step":1,"epoch":0.5,"loss":2.25,"learning_rate":0.045,"images_per_second":10.0}"#
        );
        drop(Metrics::open(folder.path(), 0).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }
}
