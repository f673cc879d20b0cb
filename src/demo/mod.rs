//! The main job, end to end: data, training, export, check, evaluation, report. Interrupted, it resumes.

mod error;
mod recipe;
mod settings;
mod training;

use std::io::Write;
use std::path::{Path, PathBuf};

use incept_exporters::files::{create_folder, write_whole};
use incept_exporters::onnx::{self, ExportOptions};
use incept_exporters::weights::Weights;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::DemoError;
pub use settings::{NETWORKS, Settings};

use crate::evaluate::{self, EvaluateOptions, Evaluation, evaluate};
use crate::images::synthetic::{SyntheticDataset, write_dataset};
use crate::images::{Dataset, contact_sheet, load};
use crate::parity::{CheckOptions, ParityReport, check};
use crate::provenance::{Provenance, sha256_of_file};
use crate::report::{
    CurvePoint, DataDescription, LossPoint, NetworkReport, Report, SCHEMA, Samples,
};
use crate::torch::{Event, TrainingSummary};
use crate::training::{Records, TrainingConfig};

/// What the demonstration is doing.
#[derive(Debug)]
pub enum DemoEvent<'a> {
    /// A new part begins.
    Part {
        /// Its number, from 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// What it does.
        title: String,
    },
    /// Images drawn, of how many.
    Drawing(usize, usize),
    /// Something happened in the training of the named network.
    Training(&'a str, &'a Event),
    /// A message of the check.
    Checking(&'a str),
    /// Images evaluated.
    Evaluating(evaluate::Progress),
    /// The part's result, in one line.
    Result(String),
}

/// The files a demonstration leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoFiles {
    /// The page.
    pub html: PathBuf,
    /// The same as Markdown.
    pub markdown: PathBuf,
    /// Whether parity held for every network.
    pub parity_holds: bool,
}

/// Runs the whole job in `folder`, or what is left of it.
///
/// # Errors
/// [`DemoError`] from whichever part failed; what was finished stays and is not done again.
pub fn run(
    folder: &Path,
    settings: &Settings,
    observer: &mut dyn FnMut(DemoEvent<'_>),
) -> Result<DemoFiles, DemoError> {
    let mut demo = Demo {
        folder,
        settings,
        observer,
        part: 0,
    };
    create_folder(folder)?;
    let data = demo.data()?;
    let configs = NETWORKS
        .iter()
        .map(|name| settings.training(name, folder))
        .collect::<Result<Vec<_>, _>>()?;
    let summaries = demo.training(&configs)?;
    let mut networks = vec![];
    for ((name, config), summary) in NETWORKS.iter().zip(&configs).zip(&summaries) {
        networks.push(demo.network(name, &data, config, summary)?);
    }
    let mut evaluations = vec![];
    for crops in settings.crops {
        evaluations.push(demo.evaluation(crops, &data)?);
    }
    demo.report(&data, networks, evaluations)
}

struct Demo<'a> {
    folder: &'a Path,
    settings: &'a Settings,
    observer: &'a mut dyn FnMut(DemoEvent<'_>),
    part: usize,
}

impl Demo<'_> {
    fn begin(&mut self, title: String) {
        self.part += 1;
        // Data, training, two parts for each network, one for each crop plan, the report.
        let of = 3 + 2 * NETWORKS.len() + self.settings.crops.len();
        (self.observer)(DemoEvent::Part {
            number: self.part,
            of,
            title,
        });
    }

    fn result(&mut self, text: String) {
        (self.observer)(DemoEvent::Result(text));
    }

    fn model(&self, network: &str) -> PathBuf {
        self.folder.join(network).join("model.onnx")
    }

    fn data(&mut self) -> Result<SyntheticDataset, DemoError> {
        let options = &self.settings.data;
        self.begin(format!(
            "drawing {} synthetic images of {} classes",
            options.images, options.classes
        ));
        let data = write_dataset(&self.folder.join("data"), options, &mut |done, total| {
            (self.observer)(DemoEvent::Drawing(done, total));
        })?;
        self.result(format!(
            "{} images drawn, {} were there",
            data.drawn, data.kept
        ));
        Ok(data)
    }

    fn training(&mut self, configs: &[TrainingConfig]) -> Result<Vec<TrainingSummary>, DemoError> {
        let Settings { width, steps, .. } = self.settings;
        self.begin(format!(
            "training all {} networks, width {width}, {steps} steps each",
            configs.len()
        ));
        let summaries = training::train_all(configs, &mut |number, event| {
            (self.observer)(DemoEvent::Training(NETWORKS[number], event));
        })?;
        let each = summaries
            .iter()
            .map(|summary| format!("{:.1} %", 100.0 * summary.validation.top1_error));
        self.result(format!(
            "single-crop top-1 error {}",
            each.collect::<Vec<_>>().join(", ")
        ));
        Ok(summaries)
    }

    /// Exports and checks one network.
    fn network(
        &mut self,
        name: &str,
        data: &SyntheticDataset,
        config: &TrainingConfig,
        summary: &TrainingSummary,
    ) -> Result<NetworkReport, DemoError> {
        let net = config.net(data.classes.len())?;
        let title = incept_exporters::zoo::find(name, None)?.title;
        self.begin(format!("exporting {title} to ONNX"));
        let model = self.model(name);
        let weights = Weights::read(&summary.weights)?;
        onnx::write(&net, &weights, &ExportOptions::default(), &model)?;
        self.result(format!("{}", model.display()));

        self.begin(format!(
            "checking {title}: ONNX Runtime and rten beside libtorch in float64"
        ));
        let parity = self.parity(name, &model, summary)?;
        let verdict = if parity.holds { "holds" } else { "FAILS" };
        let worst = parity
            .worst()
            .and_then(|(_, comparison)| comparison.metrics);
        let error = worst.map_or(f64::NAN, |metrics| metrics.relative_error);
        self.result(format!(
            "parity {verdict}, largest relative error {error:.1e}"
        ));

        let cost = net.cost();
        let records = Records::read(&config.output)?;
        Ok(NetworkReport {
            name: name.into(),
            title: title.into(),
            parameters: cost.parameters,
            multiply_adds: cost.multiply_adds,
            image_size: (net.options().image_height, net.options().image_width),
            width_multiplier: net.options().width_multiplier,
            training: recipe::training(config, &records, summary.steps),
            curve: curve(&records),
            losses: losses(&records),
            parity,
        })
    }

    fn parity(
        &mut self,
        name: &str,
        model: &Path,
        summary: &TrainingSummary,
    ) -> Result<ParityReport, DemoError> {
        let path = self.folder.join(name).join("parity.json");
        let done = |report: &ParityReport| is_from(&report.provenance, &[model, &summary.weights]);
        if let Some(report) = earlier(&path, done) {
            return Ok(report);
        }
        let options = CheckOptions {
            weights: Some(summary.weights.clone()),
            // The page shows the verdict and the errors, not what a runtime differs from itself.
            noise: false,
            ..CheckOptions::default()
        };
        let report = check(model, &options, &mut |message| {
            (self.observer)(DemoEvent::Checking(message))
        })?;
        write_json(&path, &report)?;
        Ok(report)
    }

    fn evaluation(
        &mut self,
        crops: &str,
        data: &SyntheticDataset,
    ) -> Result<Evaluation, DemoError> {
        self.begin(format!(
            "evaluating all networks and their ensemble with {crops} crops"
        ));
        let models: Vec<PathBuf> = NETWORKS.iter().map(|name| self.model(name)).collect();
        let path = self.folder.join(format!("evaluation-{crops}.json"));
        let inputs: Vec<&Path> = models.iter().map(PathBuf::as_path).collect();
        let listing = Dataset::open(&data.validation)?.sha256().to_string();
        let done = |found: &Evaluation| {
            found.data.sha256 == listing && is_from(&found.provenance, &inputs)
        };
        let evaluation = match earlier(&path, done) {
            Some(evaluation) => evaluation,
            None => {
                let options = EvaluateOptions {
                    crops: crops.into(),
                    batch: 64,
                    ..EvaluateOptions::default()
                };
                let evaluation = evaluate(&models, &data.validation, &options, &mut |progress| {
                    (self.observer)(DemoEvent::Evaluating(progress));
                })?;
                write_json(&path, &evaluation)?;
                evaluation
            }
        };
        let each = evaluation
            .models
            .iter()
            .map(|model| format!("{:.1} %", model.errors.top1_percent));
        let ensemble = evaluation
            .ensemble
            .map_or(f64::NAN, |errors| errors.top1_percent);
        self.result(format!(
            "top-1 error {}; ensemble {ensemble:.1} %",
            each.collect::<Vec<_>>().join(", ")
        ));
        Ok(evaluation)
    }

    fn report(
        &mut self,
        data: &SyntheticDataset,
        networks: Vec<NetworkReport>,
        evaluations: Vec<Evaluation>,
    ) -> Result<DemoFiles, DemoError> {
        self.begin("writing the report".into());
        let mut provenance = Provenance::of_this_run();
        for name in NETWORKS {
            provenance.add_file(&self.model(name))?;
        }
        let runtimes = networks
            .iter()
            .flat_map(|network| &network.parity.provenance.runtimes);
        for runtime in runtimes {
            if !provenance.runtimes.contains(runtime) {
                provenance.runtimes.push(runtime.clone());
            }
        }
        let parity_holds = networks.iter().all(|network| network.parity.holds);
        let training = Dataset::open(&data.train)?;
        let report = Report {
            schema: SCHEMA.into(),
            title: "Inception-v4 and Inception-ResNet on synthetic images".into(),
            quick: self.settings.quick,
            provenance,
            data: DataDescription {
                folder: data.train.parent().unwrap_or(&data.train).display().to_string(),
                kind: "synthetic images".into(),
                how_made: "Drawn by incept synth: one object or texture of its class on a cluttered background, off-centre \
                           and at varied scale."
                    .into(),
                training_images: training.samples().len(),
                validation_images: Dataset::open(&data.validation)?.samples().len(),
                classes: data.classes.clone(),
                image_sizes: "96 to 320 pixels a side, landscape, portrait and square".into(),
                seed: Some(self.settings.data.seed),
            },
            networks,
            evaluations,
            samples: Some(Samples::new(&samples(&training)?, "The first two training images of each class.")?),
        };
        report.write(self.folder)?;
        let files = DemoFiles {
            html: self.folder.join("report.html"),
            markdown: self.folder.join("report.md"),
            parity_holds,
        };
        self.result(format!(
            "{} and {}",
            files.html.display(),
            files.markdown.display()
        ));
        Ok(files)
    }
}

fn curve(records: &Records) -> Vec<CurvePoint> {
    let point = |record: &crate::training::ValidationRecord| CurvePoint {
        epoch: record.epoch,
        top1_percent: 100.0 * record.top1_error,
        top5_percent: 100.0 * record.top5_error,
    };
    records.validations.iter().map(point).collect()
}

fn losses(records: &Records) -> Vec<LossPoint> {
    records
        .steps
        .iter()
        .map(|record| LossPoint {
            step: record.step,
            loss: record.loss,
        })
        .collect()
}

/// The first two images of each class, on one sheet.
fn samples(dataset: &Dataset) -> Result<crate::images::RgbImage, DemoError> {
    let mut images = vec![];
    for class in 0..dataset.classes().len() {
        let of_class = dataset
            .samples()
            .iter()
            .filter(|sample| sample.class == class)
            .take(2);
        for sample in of_class {
            images.push(load(&dataset.path_of(sample))?);
        }
    }
    Ok(contact_sheet(&images, 8, 112)?)
}

/// A result of an earlier run, where it is whole and still true.
fn earlier<T: DeserializeOwned>(path: &Path, done: impl Fn(&T) -> bool) -> Option<T> {
    let bytes = std::fs::read(path).ok()?;
    serde_json::from_slice(&bytes).ok().filter(done)
}

/// Whether a result was made from these very files, by this version.
fn is_from(provenance: &Provenance, files: &[&Path]) -> bool {
    let same_version = provenance.version == env!("CARGO_PKG_VERSION");
    same_version
        && files.iter().all(|file| {
            let known = provenance.inputs.get(&file.display().to_string());
            known.is_some() && known == sha256_of_file(file).ok().as_ref()
        })
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<(), DemoError> {
    let text = serde_json::to_vec_pretty(value).map_err(|source| DemoError::Json {
        path: path.into(),
        source,
    })?;
    Ok(write_whole(path, |writer| writer.write_all(&text))?)
}
