//! What a file takes and puts out, in the hands of the runtimes: bytes, resizes, sizes, heads, contracts.

#![allow(clippy::unwrap_used)]

mod contract;
mod dynamic;
mod image_input;
mod resize;
#[path = "../support/mod.rs"]
mod support;

use std::path::PathBuf;

use incept::exporters::net::{Net, NetOptions};
use incept::exporters::onnx::{self, ExportOptions, Input};
use incept::exporters::weights::Weights;
use incept::exporters::zoo;
use incept::runtime::{self, InputTensor, LoadOptions, NamedOutput, Session};
use ndarray::ArrayD;

/// A network of a tenth of the width.
fn net(network: &str, (height, width): (usize, usize)) -> Net {
    let options = NetOptions {
        image_height: height,
        image_width: width,
        classes: 10,
        width_multiplier: 0.1,
        ..NetOptions::default()
    };
    zoo::find(network, None).unwrap().build(&options).unwrap()
}

fn model(net: &Net, options: &ExportOptions) -> Vec<u8> {
    onnx::to_bytes(net, &Weights::randomised(net, 5), options).unwrap()
}

fn taking(input: Input) -> ExportOptions {
    ExportOptions {
        input,
        opset: input.oldest_opset().max(17),
        ..ExportOptions::default()
    }
}

fn load(name: &str, model: &[u8]) -> Box<dyn Session> {
    let runtime = runtime::find(name).unwrap();
    runtime
        .load(model, LoadOptions::default())
        .unwrap_or_else(|error| panic!("{error}"))
}

fn compute(name: &str, model: &[u8], images: InputTensor<'_>) -> Vec<NamedOutput> {
    let outputs = load(name, model).run_images(images);
    outputs.unwrap_or_else(|error| panic!("{error}"))
}

#[track_caller]
fn output<'a>(outputs: &'a [NamedOutput], name: &str) -> &'a ArrayD<f32> {
    let found = outputs.iter().find(|(output, _)| output == name);
    &found.unwrap_or_else(|| panic!("no output `{name}`")).1
}

fn bits(array: &ArrayD<f32>) -> Vec<u32> {
    array.iter().map(|value| value.to_bits()).collect()
}

/// The model with a further value put out.
fn putting_out(model: Vec<u8>, value: &str) -> Vec<u8> {
    onnx::with_outputs(&model.into(), &[value.into()]).unwrap()
}

/// onnx's checker and strict shape inference.
fn accepted_by_onnx(models: &[PathBuf]) {
    let mut command = support::python();
    let output = command
        .arg("scripts/check_onnx.py")
        .args(models)
        .output()
        .unwrap();
    let said = support::Said::from(output);
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
    let all = format!("{0} of {0} files valid", models.len());
    assert!(said.stdout.contains(&all), "{}", said.stdout);
}
