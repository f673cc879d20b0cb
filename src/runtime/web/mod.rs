//! ONNX Runtime Web: WebAssembly in a headless Chromium, which `scripts/web/run.mjs` drives.

mod browser;

use std::sync::atomic::{AtomicU64, Ordering};

use half::f16;
use ndarray::{ArrayD, IxDyn};
use serde::Deserialize;
use serde_json::json;

use super::{
    InputTensor, LoadOptions, NamedOutput, Optimization, Placement, Runtime, RuntimeError, Session,
    shapes_of,
};
pub use browser::chromium;
use browser::{Browser, Installed};

const NAME: &str = "web";

/// The only device it is asked for.
const DEVICE: &str = "CPU, WebAssembly, one thread";

pub(super) struct Web;

/// What a model takes, as the page tells it.
#[derive(Deserialize)]
struct Input {
    name: String,
    #[serde(rename = "type")]
    element_type: String,
}

#[derive(Deserialize)]
struct LoadAnswer {
    inputs: Vec<Input>,
}

/// What a model put out.
#[derive(Deserialize)]
struct Output {
    name: String,
    #[serde(rename = "type")]
    element_type: String,
    shape: Vec<usize>,
    file: String,
}

#[derive(Deserialize)]
struct RunAnswer {
    outputs: Vec<Output>,
}

impl Runtime for Web {
    fn name(&self) -> &'static str {
        NAME
    }

    fn device(&self) -> &'static str {
        DEVICE
    }

    fn version(&self) -> Result<String, RuntimeError> {
        let installed = Installed::find()?;
        Ok(format!("ONNX Runtime Web {}", installed.version))
    }

    fn load(&self, model: &[u8], options: LoadOptions) -> Result<Box<dyn Session>, RuntimeError> {
        static SESSIONS: AtomicU64 = AtomicU64::new(0);
        let session = SESSIONS.fetch_add(1, Ordering::Relaxed);
        let installed = Installed::find()?;
        let optimization = match options.optimization {
            Optimization::All => "all",
            Optimization::Extended => "extended",
            Optimization::Basic => "basic",
            Optimization::None => "disabled",
        };
        let answer = Browser::with(&installed, |browser| {
            let file = format!("model.{session}");
            browser.write(&file, model)?;
            let job = json!({
                "do": "load", "session": session, "model": &file, "optimization": optimization,
            });
            let answer = browser.ask(job);
            // The page holds the model now, or has refused it.
            browser.remove(&file);
            answer
        });
        let answer: LoadAnswer = answer.map_err(|reason| RuntimeError::Load {
            runtime: NAME,
            reason,
        })?;
        let inputs = answer.inputs.into_iter();
        let (inputs, element_types) = inputs.map(|i| (i.name, i.element_type)).unzip();
        Ok(Box::new(Loaded {
            installed,
            session,
            inputs,
            element_types,
        }))
    }
}

struct Loaded {
    installed: Installed,
    session: u64,
    inputs: Vec<String>,
    element_types: Vec<String>,
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let job = json!({ "do": "release", "session": self.session });
        // A page that is gone has released everything.
        let _: Result<serde_json::Value, String> =
            Browser::with_running(|browser| browser.ask(job));
    }
}

impl Session for Loaded {
    fn inputs(&self) -> &[String] {
        &self.inputs
    }

    fn placement(&mut self) -> Result<Placement, RuntimeError> {
        Ok(Placement::OneDevice(DEVICE))
    }

    fn run_named(
        &mut self,
        inputs: &[(&str, InputTensor<'_>)],
    ) -> Result<Vec<NamedOutput>, RuntimeError> {
        let failed = |reason| RuntimeError::Run {
            runtime: NAME,
            shape: shapes_of(inputs),
            reason,
        };
        Browser::with(&self.installed, |browser| {
            let mut tensors = vec![];
            for (place, (name, input)) in inputs.iter().enumerate() {
                let known = self.inputs.iter().position(|known| known == name);
                let wanted = known.map_or("", |known| self.element_types[known].as_str());
                let (element_type, bytes) = bytes_of(input, wanted);
                let file = format!("input.{}.{place}", self.session);
                browser.write(&file, &bytes)?;
                tensors.push(json!({
                    "name": name, "type": element_type, "shape": input.shape(), "file": file,
                }));
            }
            let job = json!({ "do": "run", "session": self.session, "inputs": tensors });
            let answer: RunAnswer = browser.ask(job)?;
            let outputs = answer.outputs.into_iter();
            let outputs = outputs.map(|output| {
                let bytes = browser.take(&output.file)?;
                let array = as_float32(&output, &bytes)?;
                Ok((output.name, array))
            });
            outputs.collect()
        })
        .map_err(failed)
    }
}

/// The name of an input's type and its numbers, little-endian.
fn bytes_of(input: &InputTensor<'_>, wanted: &str) -> (&'static str, Vec<u8>) {
    match input {
        InputTensor::Floats(view) if wanted == "float16" => {
            let halves = view.iter().map(|&value| f16::from_f32(value));
            ("float16", halves.flat_map(f16::to_le_bytes).collect())
        }
        // A model that takes something else says so itself.
        InputTensor::Floats(view) => {
            let bytes = view.iter().flat_map(|value| value.to_le_bytes());
            ("float32", bytes.collect())
        }
        InputTensor::Bytes(view) => ("uint8", view.iter().copied().collect()),
        InputTensor::Integers(view) => {
            let bytes = view.iter().flat_map(|value| value.to_le_bytes());
            ("int64", bytes.collect())
        }
    }
}

/// An output as float32.
fn as_float32(output: &Output, bytes: &[u8]) -> Result<ArrayD<f32>, String> {
    fn numbers<const N: usize>(bytes: &[u8], to: fn([u8; N]) -> f32) -> Vec<f32> {
        let (whole, _) = bytes.as_chunks::<N>();
        whole.iter().map(|&number| to(number)).collect()
    }
    let values = match output.element_type.as_str() {
        "float32" => numbers(bytes, f32::from_le_bytes),
        "float16" => numbers(bytes, |bytes| f16::from_le_bytes(bytes).to_f32()),
        "float64" => numbers(bytes, |bytes| f64::from_le_bytes(bytes) as f32),
        "int64" => numbers(bytes, |bytes| i64::from_le_bytes(bytes) as f32),
        "int32" => numbers(bytes, |bytes| i32::from_le_bytes(bytes) as f32),
        "uint8" => numbers(bytes, |[byte]: [u8; 1]| f32::from(byte)),
        other => {
            let name = &output.name;
            return Err(format!("`{name}`: expected numbers, found {other}"));
        }
    };
    ArrayD::from_shape_vec(IxDyn(&output.shape), values)
        .map_err(|error| format!("`{}`: {error}", output.name))
}
