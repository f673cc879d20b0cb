//! `incept synth`

use std::path::PathBuf;

use clap::Args;

use super::output::message;
use super::progress::Bar;
use super::{Failure, Outcome};
use crate::images::Dataset;
use crate::images::synthetic::{SyntheticOptions, write_dataset};

/// Draw the synthetic dataset, as JPEG files
///
/// Objects and textures on cluttered backgrounds, off-centre and at varied scale, so that crops matter. The same seed
/// gives the same bytes.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The folder to make: `train/<class>/*.jpg` and `val/<class>/*.jpg`
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Images in all
    #[arg(long, value_name = "N", default_value_t = 2000)]
    images: u32,
    /// Number of classes
    #[arg(long, value_name = "N", default_value_t = 16)]
    classes: usize,
    /// Decides every image
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let options = SyntheticOptions {
        images: arguments.images,
        classes: arguments.classes,
        seed: arguments.seed,
        ..SyntheticOptions::default()
    };
    let bar = Bar::new("images");
    let dataset = write_dataset(&arguments.folder, &options, &mut |done, total| {
        bar.set(done as u64, total as u64, "");
    })?;
    bar.finish();
    let training = Dataset::open(&dataset.train)?.samples().len();
    let validation = Dataset::open(&dataset.validation)?.samples().len();
    message(&format!(
        "{}: {training} training and {validation} validation images of {} classes, seed {}; {} drawn, {} already there",
        arguments.folder.display(),
        dataset.classes.len(),
        arguments.seed,
        dataset.drawn,
        dataset.kept
    ));
    Ok(Outcome::Done)
}
