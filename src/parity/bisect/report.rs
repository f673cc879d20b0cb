//! What a bisection found, in numbers and in words.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::shrink::Example;
use super::trial::{Failure, Trials};
use crate::parity::against::{CLOSENESS, Side, Tolerance};
use crate::provenance::Provenance;

/// Nodes that a report lists.
const LISTED: usize = 20;

/// A node of the part that fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CulpritNode {
    /// Its name, or its first output's.
    pub name: String,
    /// Its operator.
    pub operator: String,
    /// Its place among the model's nodes, from 0.
    pub place: usize,
}

/// An input or output of the part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorShape {
    /// Its name.
    pub name: String,
    /// Its sizes.
    pub shape: Vec<usize>,
}

/// The smallest part of a model that fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BisectReport {
    /// `incept.bisect/1`.
    pub schema: String,
    /// Where it comes from.
    pub provenance: Provenance,
    /// The model that fails.
    pub a: Side,
    /// The reference.
    pub b: Side,
    /// The verdict's formula.
    pub formula: String,
    /// The tolerances in it.
    pub tolerance: Tolerance,
    /// The nodes of the part.
    pub nodes: Vec<CulpritNode>,
    /// Nodes of the whole model.
    pub of_nodes: usize,
    /// What the part takes.
    pub inputs: Vec<TensorShape>,
    /// What it puts out.
    pub outputs: Vec<TensorShape>,
    /// How it fails.
    pub failure: Failure,
    /// Whether the same part of the reference is in the folder.
    pub has_reference: bool,
    /// Parts that were tried.
    pub tried: usize,
}

impl BisectReport {
    pub(super) fn new(
        provenance: Provenance,
        a: Side,
        b: Side,
        trials: &Trials<'_>,
        example: &Example,
    ) -> Self {
        let nodes = trials.a.nodes();
        let shapes = |name: &String, shape: &[usize]| TensorShape {
            name: name.clone(),
            shape: shape.into(),
        };
        Self {
            schema: "incept.bisect/1".into(),
            provenance,
            a,
            b,
            formula: CLOSENESS.into(),
            tolerance: trials.tolerance,
            nodes: example
                .cut
                .nodes
                .iter()
                .map(|&place| CulpritNode {
                    name: nodes[place].title().into(),
                    operator: nodes[place].operator.clone(),
                    place,
                })
                .collect(),
            of_nodes: nodes.len(),
            inputs: example
                .inputs
                .iter()
                .map(|(name, tensor)| shapes(name, tensor.shape()))
                .collect(),
            outputs: example
                .outputs
                .iter()
                .map(|(name, array)| shapes(name, array.shape()))
                .collect(),
            failure: example.failure.clone(),
            has_reference: example.reference.is_some(),
            tried: trials.tried,
        }
    }

    /// What fails, in a sentence.
    pub fn failure_text(&self) -> String {
        match &self.failure {
            Failure::NotLoaded { reason } => {
                format!("{} does not load it: {reason}", self.a.version)
            }
            Failure::NotRun { reason } => format!("{} does not run it: {reason}", self.a.version),
            Failure::Values { output, difference } => {
                let reason = match &difference.verdict {
                    crate::parity::Verdict::Fails { reason } => reason.as_str(),
                    crate::parity::Verdict::Holds => "",
                };
                let most = difference.metrics.map_or_else(String::new, |metrics| {
                    format!(
                        ", largest difference {:.3e} where the largest number is {:.3e}",
                        metrics.max_absolute_error, metrics.max_reference
                    )
                });
                format!("`{output}`: {reason}{most}, at {:?}", difference.worst)
            }
        }
    }

    /// The report for people, with the commands that show the failure.
    pub(super) fn markdown(&self) -> String {
        let mut text = String::new();
        let first = self.nodes.first().map_or("", |node| node.operator.as_str());
        let title = match self.nodes.len() {
            1 => format!("`{first}` alone"),
            several => format!("{several} nodes together"),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "# {title}: {}\n",
            match &self.failure {
                Failure::Values { .. } => "other values than the reference",
                Failure::NotLoaded { .. } => "the model is not loaded",
                Failure::NotRun { .. } => "the model does not run",
            }
        );
        let _ = writeln!(text, "{}\n", self.failure_text());
        let _ = writeln!(text, "| | file | runtime | device |\n|---|---|---|---|");
        for (side, name) in [(&self.a, "A, which fails"), (&self.b, "B, the reference")] {
            let file = side.path.file_name().unwrap_or_default().to_string_lossy();
            let _ = writeln!(
                text,
                "| {name} | `{file}` | {} | {} |",
                side.version, side.device
            );
        }
        let _ = writeln!(
            text,
            "\nOf {} nodes of A these are left; without any of them it does not fail:\n",
            self.of_nodes
        );
        for node in self.nodes.iter().take(LISTED) {
            let _ = writeln!(text, "- {} `{}`", node.operator, node.name);
        }
        if self.nodes.len() > LISTED {
            let _ = writeln!(text, "- and {} more", self.nodes.len() - LISTED);
        }
        let _ = writeln!(text, "\n`model.onnx` takes and puts out:\n");
        for (tensors, file) in [(&self.inputs, "input"), (&self.outputs, "output")] {
            for (place, tensor) in tensors.iter().enumerate() {
                let _ = writeln!(
                    text,
                    "- `{}` {:?}: `test_data_set_0/{file}_{place}.pb`",
                    tensor.name, tensor.shape
                );
            }
        }
        let _ = writeln!(text, "\nThe outputs there are B's.");
        if self.has_reference {
            let _ = writeln!(
                text,
                "`reference.onnx` is the same part of B, under B's names."
            );
        }
        let _ = writeln!(
            text,
            "A holds where {}; with {}.",
            self.formula,
            self.tolerance.text()
        );
        text + &self.commands()
    }

    fn commands(&self) -> String {
        let rtol = self.tolerance.rtol;
        let atol = self.tolerance.atol.unwrap_or_else(|| match &self.failure {
            Failure::Values { difference, .. } => {
                rtol * difference
                    .metrics
                    .map_or(1.0, |metrics| metrics.max_reference)
            }
            _ => rtol,
        });
        format!(
            r#"
## Seeing it

All of these run in this folder.

ONNX Runtime, in Python:

```python
import numpy, onnx, onnxruntime
from glob import glob

def tensors(kind):
    for path in sorted(glob(f"test_data_set_0/{{kind}}_*.pb"), key=lambda path: int(path.split("_")[-1][:-3])):
        tensor = onnx.load_tensor(path)
        yield tensor.name, onnx.numpy_helper.to_array(tensor)

session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
expected = dict(tensors("output"))
for (name, b), a in zip(expected.items(), session.run(list(expected), dict(tensors("input")))):
    print(name, "largest difference", numpy.abs(a - b).max(), "close", numpy.allclose(a, b, rtol={rtol:e}, atol={atol:e}))
```

tract's command line:

```text
tract model.onnx --onnx-test-data-set test_data_set_0 compare --pbdir test_data_set_0
```

Polygraphy, with this file as `load_data.py`:

```python
import onnx
from glob import glob

def load_data():
    tensors = [onnx.load_tensor(path) for path in glob("test_data_set_0/input_*.pb")]
    yield {{tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in tensors}}
```

```text
polygraphy run model.onnx --onnxrt --data-loader-script load_data.py --save-outputs outputs.json
```
"#
        )
    }
}
