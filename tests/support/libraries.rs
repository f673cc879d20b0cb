//! The libraries' own files, made in memory: `golden/names` lists each library's tensors, and the portable generator fills
//! them as `scripts/libraries/tensors.py` does.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test that takes this is a program of its own and uses some of it"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use incept::exporters::weights::{
    Checkpoint, ElementType, Format, Library, Tensor, standard_normal, stream_key, uniform,
};
use prost::bytes::Bytes;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

/// A list of names, whose it is, the network and the variant it has to be recognised as.
pub type List = (&'static str, Library, &'static str, &'static str);

#[rustfmt::skip]
pub const LISTS: [List; 9] = [
    ("timm.inception_v4",                   Library::Timm,           "inception_v4",        "published"),
    ("timm.inception_resnet_v2",            Library::Timm,           "inception_resnet_v2", "published"),
    ("torchvision.inception_v3",            Library::Torchvision,    "inception_v3",        "torchvision"),
    ("facenet_pytorch.inception_resnet_v1", Library::FacenetPytorch, "inception_resnet_v1", "facenet"),
    ("keras.inception_v3.h5",               Library::Keras,          "inception_v3",        "tensorflow"),
    ("keras.inception_resnet_v2.h5",        Library::Keras,          "inception_resnet_v2", "published"),
    ("tf_slim.inception_v3",                Library::TfSlim,         "inception_v3",        "tensorflow"),
    ("tf_slim.inception_v4",                Library::TfSlim,         "inception_v4",        "published"),
    ("tf_slim.inception_resnet_v2",         Library::TfSlim,         "inception_resnet_v2", "published"),
];

pub fn golden_folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden")
        .join(path)
}

/// The lines of a list, taken apart at blanks.
pub fn lines(list: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(golden_folder(&format!("names/{list}.txt"))).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split_whitespace().map(str::to_string).collect())
        .collect()
}

/// What `scripts/libraries/tensors.py` fills a tensor with, seed 0, told by the last part of its name.
pub fn values(name: &str, shape: &[usize]) -> Vec<f32> {
    /// Standard deviation of a standard normal cut at two deviations.
    const CUT_DEVIATION: f64 = 0.879_625_661_034_239_8;
    let key = stream_key(0, name);
    let generate = |value: &(dyn Fn(f64) -> f64 + Sync)| {
        let count = shape.iter().product::<usize>() as u64;
        let indices = (0..count).into_par_iter();
        indices
            .map(|index| value(uniform(key, index)) as f32)
            .collect()
    };
    let weights = |fan_in: &[usize]| {
        let fan_in = fan_in.iter().product::<usize>() as f64;
        let deviation = (2.0 / fan_in).sqrt() / CUT_DEVIATION;
        generate(&|u| standard_normal(u) * deviation)
    };
    match name.rsplit(['.', '/']).next().unwrap() {
        "bias" | "biases" | "beta" | "running_mean" | "moving_mean" => {
            generate(&|u| 0.1 * standard_normal(u))
        }
        "running_var" | "moving_variance" => generate(&|u| 1.0 + 0.2 * u),
        "weight" if shape.len() == 1 => generate(&|u| 1.0 + 0.1 * standard_normal(u)),
        "weight" => weights(&shape[1..]),
        "kernel" | "weights" => weights(&shape[..shape.len() - 1]),
        other => panic!("{name}: {other}"),
    }
}

/// A library's file: its tensors by name, and the SHA-256 of all of them in the order of the list.
pub fn file(list: &str) -> (BTreeMap<String, Tensor>, String) {
    let mut tensors = BTreeMap::new();
    let mut digest = Sha256::new();
    for line in lines(list) {
        let (name, shape) = (&line[0], &line[1]);
        let shape: Vec<usize> = match shape.as_str() {
            "-" => vec![],
            shape => shape.split('x').map(|side| side.parse().unwrap()).collect(),
        };
        let tensor = if line.get(2).is_some_and(|kind| kind == "int64") {
            let zero = Bytes::from_static(&[0; 8]);
            digest.update(&zero);
            Tensor::contiguous(zero, ElementType::Int64, shape).unwrap()
        } else {
            let tensor = Tensor::owned(shape.clone(), values(name, &shape));
            digest.update(tensor.bytes());
            tensor
        };
        tensors.insert(name.clone(), tensor);
    }
    let hexadecimal = digest.finalize().into_iter().map(|b| format!("{b:02x}"));
    (tensors, hexadecimal.collect())
}

pub fn checkpoint(tensors: BTreeMap<String, Tensor>) -> Checkpoint {
    Checkpoint {
        path: "a-test".into(),
        format: Format::Safetensors,
        tensors,
        notes: vec![],
        metadata: BTreeMap::new(),
        order: vec![],
    }
}
