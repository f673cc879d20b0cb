//! Metrics of a run, read back.

use std::path::Path;

use serde_json::Value;

use super::{StepRecord, ValidationRecord};
use crate::files::{self, FileError};

/// What `metrics.jsonl` holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Records {
    /// The steps, in order.
    pub steps: Vec<StepRecord>,
    /// The validations, in order.
    pub validations: Vec<ValidationRecord>,
}

impl Records {
    /// Reads the metrics of the run in `folder`. A line that is not whole is left out: a run that is under way may be
    /// writing it.
    ///
    /// # Errors
    /// [`FileError`] with the path.
    pub fn read(folder: &Path) -> Result<Self, FileError> {
        let bytes = files::read(&folder.join("metrics.jsonl"))?;
        let mut records = Self::default();
        for line in String::from_utf8_lossy(&bytes).lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            match line.get("kind").and_then(Value::as_str) {
                Some("step") => records
                    .steps
                    .extend(serde_json::from_value::<StepRecord>(line)),
                Some("validation") => records
                    .validations
                    .extend(serde_json::from_value::<ValidationRecord>(line)),
                _ => {}
            }
        }
        Ok(records)
    }
}
