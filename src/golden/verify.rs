//! `incept golden verify`: runtimes beside bundles, whoever made them.

use std::path::{Path, PathBuf};

use incept_exporters::onnx::{self, ModelFacts};

use super::GoldenError;
use super::bundle::{self, Bundle, MODEL};
use super::compare::{FORMULA, Verdict};
use super::report::{Compared, Counts, GoldenReport, Kind, RuntimeVerified};
use crate::provenance::{Provenance, sha256_of_file};
use crate::runtime::{self, LoadOptions, Runtime};

/// What is verified.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Runtimes by name; [`runtime::DEFAULT`] where empty.
    pub runtimes: Vec<String>,
    /// A model to run instead of the bundles' own.
    pub model: Option<PathBuf>,
    /// Instead of what a bundle or else ONNX's tests say.
    pub atol: Option<f64>,
    /// Instead of what a bundle or else ONNX's tests say.
    pub rtol: Option<f64>,
    /// Layers' checksums too.
    pub layers: bool,
    /// Instead of the tolerance a bundle gives for its layers.
    pub tolerance: Option<f64>,
}

/// Runs every data set of every bundle at or below `folder` in every runtime, and compares what comes out with what the
/// bundle holds.
///
/// # Errors
/// [`GoldenError`] where nothing could be run at all: no bundle, no such runtime. A model that a runtime refuses, a file
/// that is missing or is none, and a difference are failures in the report.
pub fn verify(
    folder: &Path,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(&str),
) -> Result<GoldenReport, GoldenError> {
    let folders = bundle::find(folder)?;
    let mut runtimes: Vec<(&dyn Runtime, RuntimeVerified)> = vec![];
    let mut provenance = Provenance::of_this_run();
    for runtime in runtime::find_each(&options.runtimes, runtime::DEFAULT)? {
        let version = runtime.version()?;
        let device = runtime.device();
        provenance.runtimes.push(format!("{version}, {device}"));
        let verified = RuntimeVerified {
            runtime: runtime.name().into(),
            version,
            device: device.into(),
            counts: Counts::default(),
        };
        runtimes.push((runtime, verified));
    }
    let mut verification = Verification {
        options,
        provenance,
        notes: vec![],
        values: vec![],
    };
    for path in &folders {
        let name = path.strip_prefix(folder).unwrap_or(path);
        let name = match name.as_os_str().is_empty() {
            true => ".".to_string(),
            false => name.display().to_string(),
        };
        progress(&format!("verifying {}", path.display()));
        if let Err(reason) = verification.bundle(path, &name, &runtimes) {
            let place = Place {
                bundle: &name,
                data_set: "",
                runtime: "",
            };
            verification.whole(place, Verdict::failed(reason));
        }
    }
    let Verification {
        provenance,
        notes,
        values,
        ..
    } = verification;
    let counts = Counts::of(&values);
    let runtimes: Vec<RuntimeVerified> = runtimes
        .into_iter()
        .map(|(_, runtime)| RuntimeVerified {
            counts: Counts::of(values.iter().filter(|v| v.runtime == runtime.runtime)),
            ..runtime
        })
        .collect();
    let all_ran = runtimes.iter().all(|runtime| runtime.counts.matched > 0);
    Ok(GoldenReport {
        schema: "incept.golden-verify/1".into(),
        provenance,
        formula: FORMULA.into(),
        bundles: folders.len(),
        holds: all_ran && counts.failed == 0,
        runtimes,
        counts,
        notes,
        values,
    })
}

/// Where a value belongs.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) bundle: &'a str,
    pub(super) data_set: &'a str,
    pub(super) runtime: &'a str,
}

impl Place<'_> {
    pub(super) fn value(self, value: &str, kind: Kind, verdict: Verdict) -> Compared {
        Compared {
            bundle: self.bundle.into(),
            data_set: self.data_set.into(),
            runtime: self.runtime.into(),
            value: value.into(),
            kind,
            verdict,
            tolerance: None,
            differences: None,
            distance: None,
        }
    }
}

/// A model that is verified, with what its file says.
pub(super) struct Model {
    pub(super) bytes: onnx::Bytes,
    pub(super) facts: ModelFacts,
}

pub(super) struct Verification<'a> {
    pub(super) options: &'a VerifyOptions,
    provenance: Provenance,
    notes: Vec<String>,
    pub(super) values: Vec<Compared>,
}

impl Verification<'_> {
    pub(super) fn whole(&mut self, place: Place<'_>, verdict: Verdict) {
        self.values.push(place.value("", Kind::Whole, verdict));
    }

    /// Verifies one bundle in every runtime.
    ///
    /// # Errors
    /// In words, where no runtime was reached.
    fn bundle(
        &mut self,
        folder: &Path,
        name: &str,
        runtimes: &[(&dyn Runtime, RuntimeVerified)],
    ) -> Result<(), String> {
        let bundle = Bundle::read(folder)?;
        if bundle.data_sets.is_empty() {
            return Err("it is empty: expected a folder `test_data_set_0`, found none".into());
        }
        let model = self.model(&bundle, name)?;
        for (runtime, _) in runtimes {
            let place = Place {
                bundle: name,
                data_set: "",
                runtime: runtime.name(),
            };
            match runtime.load(&model.bytes, LoadOptions::default()) {
                Ok(mut session) => {
                    for set in &bundle.data_sets {
                        let data_set = set.name.as_str();
                        let place = Place { data_set, ..place };
                        let run = self.outputs(place, &bundle, set, &model, session.as_mut());
                        if let Err(verdict) = run {
                            self.whole(place, verdict);
                        }
                    }
                }
                Err(error) => self.whole(place, Verdict::failed(error.to_string())),
            }
            if self.options.layers
                && let Err(verdict) = self.layers(place, &bundle, &model, *runtime)
            {
                self.whole(place, verdict);
            }
        }
        Ok(())
    }

    /// The model to run: the one asked for, or the bundle's own.
    fn model(&mut self, bundle: &Bundle, name: &str) -> Result<Model, String> {
        let own = bundle.folder.join(MODEL);
        let path = self.options.model.as_deref().unwrap_or(&own);
        if !path.exists() {
            return Err(format!(
                "expected `{MODEL}`, found none; --model gives another"
            ));
        }
        let in_words = |error: &dyn std::error::Error| {
            let mut text = error.to_string();
            let mut cause = error.source();
            while let Some(error) = cause {
                text += &format!(": {error}");
                cause = error.source();
            }
            text
        };
        let loaded = onnx::Model::load(path).map_err(|error| in_words(&error))?;
        let facts = ModelFacts::read(&loaded.bytes);
        let facts = facts.map_err(|error| format!("`{MODEL}`: {error}"))?;
        let added = self.provenance.add_file(path);
        added.map_err(|error| in_words(&error))?;
        let written = bundle.record.as_ref();
        let written = written.and_then(|record| record.model_sha256.as_ref());
        if let Some(expected) = written {
            let found = sha256_of_file(path).map_err(|error| in_words(&error))?;
            if found != *expected {
                self.notes.push(format!(
                    "{name}: another model than the bundle was written with: expected SHA-256 {expected}, found {found}"
                ));
            }
        }
        Ok(Model {
            bytes: loaded.bytes,
            facts,
        })
    }
}
