//! Where each node of a model ran, and the proof that it was the device asked for.

use std::collections::BTreeMap;

use super::RuntimeError;

/// Where a session's runs were computed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// The runtime has this one device: there is nowhere else to run.
    OneDevice(&'static str),
    /// Every node that ran, once, in the order of its first run, as the runtime itself recorded it.
    Nodes(Vec<PlacedNode>),
}

/// A node that ran.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PlacedNode {
    /// Its name; of nodes that the runtime has fused or added, the name that it gave them.
    pub name: String,
    /// Its operator.
    pub operator: String,
    /// What computed it: an execution provider of ONNX Runtime, or a device.
    pub provider: String,
    /// Whether it computes with the model's numbers: see [`computes`].
    pub computes: bool,
}

/// The type and shape of a value, as a runtime records it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedValue {
    /// ONNX's name of the element type: `float`, `int64`, ...
    pub element_type: String,
    /// Its shape.
    pub shape: Vec<i64>,
}

/// Operators that move numbers between devices, or measure a value, whatever the device they are counted on.
const NO_COMPUTATION: &[&str] = &["MemcpyFromHost", "MemcpyToHost", "Shape", "Size"];

/// The types that sizes are computed in.
const SIZES: &[&str] = &["int64", "int32", "double"];

/// The most numbers that a size has: one for each dimension of the largest tensors there are.
const LONGEST_SIZE: i64 = 8;

/// Whether a node computes with the model's numbers.
///
/// A runtime keeps on the host, on purpose, what works out the sizes of tensors: the device would wait for the answer.
/// So these need not run on the device asked for, and only these: copies between host and device, `Shape` and `Size`; and
/// nodes all of whose results are sizes, which is to say at most 8 numbers in one dimension, of type int64, int32 or
/// float64. A model's own values are float32, float16, bfloat16 or bytes, or have a batch as a further dimension.
pub fn computes(operator: &str, results: &[RecordedValue]) -> bool {
    let is_size = |value: &RecordedValue| {
        let elements: i64 = value.shape.iter().product();
        SIZES.contains(&value.element_type.as_str())
            && value.shape.len() <= 1
            && elements <= LONGEST_SIZE
    };
    let sizes_only = !results.is_empty() && results.iter().all(is_size);
    !NO_COMPUTATION.contains(&operator) && !sizes_only
}

impl Placement {
    /// How many of the nodes that compute each provider ran; empty where the runtime has one device.
    pub fn providers(&self) -> BTreeMap<&str, usize> {
        let mut providers = BTreeMap::new();
        if let Self::Nodes(nodes) = self {
            for node in nodes.iter().filter(|node| node.computes) {
                *providers.entry(node.provider.as_str()).or_insert(0) += 1;
            }
        }
        providers
    }

    /// Proves that every node that computes ran on this provider, and that there was one.
    ///
    /// # Errors
    /// [`RuntimeError::Placement`] with the nodes that ran elsewhere, or that nothing ran.
    pub fn require(&self, provider: &str) -> Result<(), RuntimeError> {
        let refused = |computed, elsewhere| RuntimeError::Placement {
            expected: provider.into(),
            computed,
            elsewhere,
        };
        match self {
            Self::OneDevice(device) if *device == provider => Ok(()),
            Self::OneDevice(device) => Err(refused(
                1,
                vec![PlacedNode {
                    name: "the whole model".into(),
                    operator: "model".into(),
                    provider: (*device).into(),
                    computes: true,
                }],
            )),
            Self::Nodes(nodes) => {
                let computed = nodes.iter().filter(|node| node.computes);
                let count = computed.clone().count();
                let elsewhere = computed.filter(|node| node.provider != provider);
                let elsewhere: Vec<PlacedNode> = elsewhere.cloned().collect();
                match count > 0 && elsewhere.is_empty() {
                    true => Ok(()),
                    false => Err(refused(count, elsewhere)),
                }
            }
        }
    }
}

/// Nodes shown in a message; the error holds all.
const SHOWN: usize = 20;

/// The nodes of a message.
pub(super) fn listed(nodes: &[PlacedNode]) -> String {
    let shown = nodes.iter().take(SHOWN);
    let shown = shown.map(|n| format!("`{}` ({}) on {}", n.name, n.operator, n.provider));
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if nodes.len() > SHOWN {
        text += &format!(" and {} more", nodes.len() - SHOWN);
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn value(element_type: &str, shape: &[i64]) -> RecordedValue {
        RecordedValue {
            element_type: element_type.into(),
            shape: shape.into(),
        }
    }

    fn node(name: &str, provider: &str, computes: bool) -> PlacedNode {
        PlacedNode {
            name: name.into(),
            operator: "Conv".into(),
            provider: provider.into(),
            computes,
        }
    }

    #[test]
    fn only_copies_and_sizes_compute_nothing() {
        assert!(!computes("MemcpyToHost", &[value("float", &[1, 8, 9, 9])]));
        assert!(!computes("Shape", &[]));
        assert!(!computes("Cast", &[value("double", &[2])]));
        assert!(!computes("Gather", &[value("int64", &[])]));
        assert!(computes("Cast", &[value("float", &[2])]));
        assert!(computes("Cast", &[value("double", &[2, 3])]));
        assert!(computes("Mul", &[value("int64", &[1000])]));
        assert!(computes("Conv", &[value("float", &[1, 8, 9, 9])]));
        // A fused node may tell nothing of its results.
        assert!(computes("TRTKernel", &[]));
        assert!(computes(
            "Split",
            &[value("int64", &[1]), value("float", &[1, 8])]
        ));
    }

    #[test]
    fn one_node_elsewhere_is_found_among_many() {
        let mut nodes: Vec<PlacedNode> = (0..100)
            .map(|index| node(&format!("conv_{index}"), "CUDAExecutionProvider", true))
            .collect();
        nodes.push(node("size", "CPUExecutionProvider", false));
        let placement = Placement::Nodes(nodes.clone());
        placement.require("CUDAExecutionProvider").unwrap();
        assert_eq!(
            placement.providers(),
            BTreeMap::from([("CUDAExecutionProvider", 100)])
        );
        nodes[57].provider = "CPUExecutionProvider".into();
        let error = Placement::Nodes(nodes)
            .require("CUDAExecutionProvider")
            .unwrap_err();
        let said = error.to_string();
        assert!(said.contains("1 of 100"), "{said}");
        assert!(
            said.contains("`conv_57` (Conv) on CPUExecutionProvider"),
            "{said}"
        );
        assert!(!said.contains("`size`"), "{said}");
    }

    #[test]
    fn nothing_that_ran_proves_nothing() {
        for nodes in [vec![], vec![node("size", "CUDAExecutionProvider", false)]] {
            let error = Placement::Nodes(nodes)
                .require("CUDAExecutionProvider")
                .unwrap_err();
            assert!(error.to_string().contains("no node that computes ran"));
        }
    }

    #[test]
    fn a_long_list_is_cut_in_the_message_and_whole_in_the_error() {
        let nodes = (0..30).map(|index| node(&index.to_string(), "CPUExecutionProvider", true));
        let placement = Placement::Nodes(nodes.collect());
        let error = placement.require("CUDAExecutionProvider").unwrap_err();
        assert!(error.to_string().ends_with("and 10 more"), "{error}");
        let RuntimeError::Placement { elsewhere, .. } = error else {
            panic!("{error}");
        };
        assert_eq!(elsewhere.len(), 30);
    }

    #[test]
    fn the_one_device_is_the_one_or_not() {
        Placement::OneDevice("CPU").require("CPU").unwrap();
        let error = Placement::OneDevice("CPU").require("CUDAExecutionProvider");
        assert!(error.unwrap_err().to_string().contains("on CPU"));
    }
}
