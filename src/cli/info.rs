//! `incept info`

use clap::Args;
use incept_exporters::net::{Cost, Net, NetOptions, ReceptiveField};
use incept_exporters::zoo::Entry;
use serde::Serialize;

use super::network::NetworkArguments;
use super::output::{Align, json, print, table, thousands};
use super::{Failure, Outcome};

/// Show a network's stages, shapes and costs
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    network: NetworkArguments,
    /// Print JSON, with every tensor's name and shape
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct StageInfo {
    name: String,
    repeat: usize,
    /// `[channels, height, width]` or `[features]`.
    output: Vec<usize>,
    output_node: String,
    cost: Cost,
    receptive_field: Option<ReceptiveField>,
}

#[derive(Serialize)]
struct TensorInfo {
    name: String,
    shape: Vec<usize>,
}

#[derive(Serialize)]
struct Info {
    schema: &'static str,
    network: &'static str,
    variant: &'static str,
    title: &'static str,
    source: &'static str,
    options: NetOptions,
    cost: Cost,
    stages: Vec<StageInfo>,
    tensors: Vec<TensorInfo>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let (entry, net) = arguments.network.build()?;
    let info = describe(entry, &net);
    print(&if arguments.json {
        json(&info)?
    } else {
        text(&info)
    })?;
    Ok(Outcome::Done)
}

fn describe(entry: &Entry, net: &Net) -> Info {
    let fields = net.receptive_fields();
    let stage = |stage: &incept_exporters::net::Stage| StageInfo {
        name: stage.name.clone(),
        repeat: stage.repeat,
        output: net.at(stage.output).shape.dimensions(),
        output_node: net.at(stage.output).name.clone(),
        cost: net.stage_cost(stage),
        receptive_field: fields[stage.output.index()],
    };
    let tensors = net.parameters().into_iter().map(|p| TensorInfo {
        name: p.name,
        shape: p.shape,
    });
    Info {
        schema: "incept.info/1",
        network: entry.name,
        variant: entry.variant,
        title: entry.title,
        source: entry.source,
        options: net.options().clone(),
        cost: net.cost(),
        stages: net.stages().iter().map(stage).collect(),
        tensors: tensors.collect(),
    }
}

fn text(info: &Info) -> String {
    let NetOptions {
        image_height,
        image_width,
        classes,
        width_multiplier,
        ..
    } = info.options;
    let cost = info.cost;
    let heading = format!(
        "{} ({}, variant {}): {}\nimage {image_height}x{image_width}, {classes} classes, width {width_multiplier}\n\n\
         {:>16}  parameters\n{:>16}  multiply-adds per image\n{:>16}  convolutions, {} of them with bias and without \
         batch normalisation\n\n",
        info.title,
        info.network,
        info.variant,
        info.source,
        thousands(cost.parameters as u64),
        thousands(cost.multiply_adds),
        thousands(cost.convolutions as u64),
        cost.linear_convolutions,
    );
    let rows: Vec<Vec<String>> = info.stages.iter().map(row).collect();
    let columns = [
        ("stage", Align::Left),
        ("output", Align::Right),
        ("parameters", Align::Right),
        ("multiply-adds", Align::Right),
        ("receptive field", Align::Right),
        ("stride", Align::Right),
    ];
    heading + &table(&columns, &rows)
}

fn row(stage: &StageInfo) -> Vec<String> {
    let output: Vec<String> = stage.output.iter().map(usize::to_string).collect();
    let repeat = if stage.repeat > 1 {
        format!(" x{}", stage.repeat)
    } else {
        String::new()
    };
    let (field, stride) = match stage.receptive_field {
        Some(f) if f.height == f.width => (f.height.to_string(), f.stride.to_string()),
        Some(f) => (format!("{}x{}", f.height, f.width), f.stride.to_string()),
        None => Default::default(),
    };
    vec![
        format!("{}{repeat}", stage.name),
        output.join("x"),
        thousands(stage.cost.parameters as u64),
        thousands(stage.cost.multiply_adds),
        field,
        stride,
    ]
}
