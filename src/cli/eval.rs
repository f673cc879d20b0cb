//! `incept eval`

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::network::image_size;
use super::output::{Align, message, only_data, print, table, write_json};
use super::progress::Bar;
use super::{Failure, Outcome};
use crate::evaluate::{ErrorRate, EvaluateOptions, Evaluation, evaluate};

/// Measure top-1 and top-5 error with 1, 10, 12 or 144 crops, of one model or an ensemble
///
/// The data is a folder with one folder of JPEG or PNG files for each class, in the order of the model's classes.
/// Softmax is averaged over crops, then over models.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A model; repeat it for an ensemble
    #[arg(long = "model", value_name = "MODEL.onnx", required = true, num_args = 1..)]
    models: Vec<PathBuf>,
    /// The dataset: one folder per class
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Crops of each image, or a file that describes them; 1 is made as the model says, if it says
    #[arg(long, value_name = "1|10|12|144|PLAN.toml", default_value = "1")]
    crops: String,
    /// Part of the image that a single crop keeps, for models that do not say [default: 0.875]
    #[arg(long, value_name = "F")]
    crop_fraction: Option<f64>,
    /// Image size in pixels, for models that take several
    #[arg(long, value_name = "N|HxW", value_parser = image_size)]
    image_size: Option<(usize, usize)>,
    /// Runtime the models run in
    #[arg(long, value_name = "NAME", default_value = "ort")]
    runtime: String,
    /// Crops in a batch
    #[arg(long, value_name = "N", default_value_t = 32)]
    batch: usize,
    /// Leave out files that cannot be decoded, counted and named, instead of stopping
    #[arg(long)]
    allow_undecodable: bool,
    /// Write the numbers as JSON; `-` for standard output
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let options = EvaluateOptions {
        crops: arguments.crops.clone(),
        crop_fraction: arguments.crop_fraction,
        image_size: arguments.image_size,
        runtime: arguments.runtime.clone(),
        batch: arguments.batch,
        allow_undecodable: arguments.allow_undecodable,
    };
    let bar = Bar::new("images");
    let start = Instant::now();
    let evaluation = evaluate(
        &arguments.models,
        &arguments.data,
        &options,
        &mut |progress| {
            bar.set(
                progress.images as u64,
                progress.total as u64,
                &format!("{} crops", progress.crops),
            );
        },
    )?;
    bar.finish();
    let seconds = start.elapsed().as_secs_f64();
    // The table first: where the file cannot be written, the numbers are not lost.
    if !only_data(arguments.json.as_deref()) {
        print(&text(&evaluation))?;
    }
    if let Some(path) = &arguments.json {
        write_json(path, &evaluation)?;
    }
    let crops = evaluation.crops.computed as f64;
    message(&format!(
        "{crops} crops in {seconds:.1} s, {:.1} crops per second",
        crops / seconds
    ));
    let alone = evaluation
        .models
        .iter()
        .map(|model| (model.path.as_str(), &model.errors));
    for (model, errors) in alone.filter(|(_, errors)| errors.not_finite > 0) {
        message(&format!(
            "warning: {model}: {} of {} images have probabilities that are NaN or infinite, counted as errors",
            errors.not_finite, errors.images
        ));
    }
    for name in &evaluation.data.undecodable {
        message(&format!("left out, cannot be decoded: {name}"));
    }
    Ok(Outcome::Done)
}

fn text(evaluation: &Evaluation) -> String {
    let Evaluation {
        data,
        crops,
        models,
        ensemble,
        ..
    } = evaluation;
    let mut rows: Vec<Vec<String>> = models
        .iter()
        .map(|model| row(&model.path, &model.errors))
        .collect();
    rows.extend(
        ensemble
            .iter()
            .map(|errors| row(&format!("all {} together", models.len()), errors)),
    );
    let columns = [
        ("model", Align::Left),
        ("images", Align::Right),
        ("top-1 error", Align::Right),
        ("95 % interval", Align::Right),
        ("top-5 error", Align::Right),
        ("95 % interval", Align::Right),
    ];
    let mut heading = format!(
        "{}: {} images, {} classes; crops: {} ({} per image)\n",
        data.folder, data.images, data.classes, crops.plan, crops.per_image
    );
    if !crops.note.is_empty() {
        heading += &format!("{}\n", crops.note);
    }
    heading + "\n" + &table(&columns, &rows)
}

fn row(name: &str, errors: &ErrorRate) -> Vec<String> {
    let interval = |(low, high): (f64, f64)| format!("{low:.2} to {high:.2}");
    vec![
        name.into(),
        errors.images.to_string(),
        format!("{:.2} %", errors.top1_percent),
        interval(errors.top1_interval),
        format!("{:.2} %", errors.top5_percent),
        interval(errors.top5_interval),
    ]
}
