//! The names that libraries give the tensors of these networks, and the order in which they store their numbers.
//!
//! A library's file says, for each stage of a network, how it calls the layers of one block, in the order in which our
//! description has them. How often the block stands in a row, which layers have batch normalisation, and every shape is
//! walked from the [`Net`]: [`Naming::bind`] gives for each of its tensors the name to look for and what to do with it.

mod facenet_pytorch;
mod keras;
mod style;
mod tf_slim;
mod timm;
mod torchvision;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use style::Layout;
use style::{Part, Style};

use super::Tensor;
use crate::net::{Net, Node, Op, Parameter};

/// Whose names a file's tensors have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Library {
    /// Our own names: `<stage>.<index>/<branch>/<layer>/<part>`.
    Incept,
    /// torchvision; timm has the same names for Inception-v3.
    Torchvision,
    /// timm, and Cadene's pretrainedmodels, which differ in the classifier's name.
    Timm,
    /// facenet-pytorch.
    FacenetPytorch,
    /// TF-slim's variables, and those of the original facenet.
    TfSlim,
    /// Keras: the numbered layers of HDF5 files, old and new.
    Keras,
}

impl Library {
    /// Every library, in the order in which they are tried.
    pub const ALL: [Self; 6] = [
        Self::Incept,
        Self::Torchvision,
        Self::Timm,
        Self::FacenetPytorch,
        Self::TfSlim,
        Self::Keras,
    ];

    /// Its name at the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Incept => "incept",
            Self::Timm => "timm",
            Self::Torchvision => "torchvision",
            Self::FacenetPytorch => "facenet_pytorch",
            Self::TfSlim => "tf_slim",
            Self::Keras => "keras",
        }
    }

    /// The variant whose function is the library's own, for each network that it has; for our own names every one.
    pub fn is_origin_of(self, network: &str, variant: &str) -> bool {
        match self {
            Self::Incept => true,
            // The same layers in both, but pools that divide by another number.
            Self::Torchvision | Self::Timm if network == "inception_v3" => variant == "torchvision",
            Self::TfSlim | Self::Keras if network == "inception_v3" => variant == "tensorflow",
            _ => self.has(network, variant),
        }
    }

    /// Whether its names for this network are known.
    pub fn has(self, network: &str, variant: &str) -> bool {
        match self {
            Self::Incept => true,
            Self::Keras => keras::has(network, variant),
            _ => self.network(network, variant).is_some(),
        }
    }

    fn network(self, network: &str, variant: &str) -> Option<&'static Network> {
        match (self, network, variant) {
            (Self::Timm, "inception_v4", "published") => Some(&timm::INCEPTION_V4),
            (Self::Timm, "inception_resnet_v2", "published") => Some(&timm::INCEPTION_RESNET_V2),
            (Self::Timm | Self::Torchvision, "inception_v3", _) => Some(&torchvision::INCEPTION_V3),
            (Self::FacenetPytorch, "inception_resnet_v1", "facenet") => {
                Some(&facenet_pytorch::INCEPTION_RESNET_V1)
            }
            (Self::TfSlim, "inception_v4", "published") => Some(&tf_slim::INCEPTION_V4),
            (Self::TfSlim, "inception_resnet_v2", "published") => {
                Some(&tf_slim::INCEPTION_RESNET_V2)
            }
            (Self::TfSlim, "inception_resnet_v1", "facenet") => Some(&tf_slim::INCEPTION_RESNET_V1),
            (Self::TfSlim, "inception_v3", _) => Some(&tf_slim::INCEPTION_V3),
            _ => None,
        }
    }

    /// Whether a name ends as this library's do: enough to leave out libraries that cannot have written a file.
    pub(super) fn may_have_written(self, name: &str) -> bool {
        match self {
            Self::Keras => keras::may_have_written(name),
            _ => name.ends_with(&self.style().mean_of_batch_norm()),
        }
    }

    fn style(self) -> &'static Style {
        match self {
            Self::Incept => &style::INCEPT,
            Self::Timm | Self::Torchvision | Self::FacenetPytorch => &style::PYTORCH,
            Self::TfSlim => &style::TF_SLIM,
            Self::Keras => &style::KERAS,
        }
    }
}

impl fmt::Display for Library {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What the names of a file are made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Naming {
    /// Whose they are.
    pub library: Library,
    /// What stands before each of them: `model.`, or nothing.
    #[serde(default)]
    pub prefix: String,
    /// Whether the averages that TensorFlow keeps beside its variables are taken instead of these.
    #[serde(default)]
    pub averaged: bool,
}

/// What TensorFlow appends to a variable's name for its moving average.
pub(super) const AVERAGE: &str = "/ExponentialMovingAverage";

impl Naming {
    /// A library's names as they are.
    pub fn of(library: Library) -> Self {
        Self {
            library,
            prefix: String::new(),
            averaged: false,
        }
    }
}

impl fmt::Display for Naming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.library)?;
        if self.averaged {
            f.write_str(":ema")?;
        }
        Ok(())
    }
}

/// A choice of names at the command line: a library, `:ema` behind it for TensorFlow's averages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamesChoice {
    /// Whose names.
    pub library: Library,
    /// Averages instead of the variables themselves.
    pub averaged: bool,
}

impl FromStr for NamesChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, averaged) = match text.strip_suffix(":ema") {
            Some(name) => (name, true),
            None => (text, false),
        };
        let known = Library::ALL
            .into_iter()
            .find(|library| library.name() == name.replace('-', "_"));
        match known {
            Some(library) if !averaged || library == Library::TfSlim => {
                Ok(Self { library, averaged })
            }
            _ => {
                let names = Library::ALL.map(Library::name).join(", ");
                Err(format!(
                    "expected one of {names}, tf_slim:ema, found `{text}`"
                ))
            }
        }
    }
}

/// A network in a library's names.
struct Network {
    /// The stages, in any order.
    stages: &'static [Stage],
    /// Nodes whose names follow no rule: ours, and theirs with older ones behind it.
    nodes: &'static [(&'static str, &'static [&'static str])],
    /// Slips in the library's own code: the name the rules give, and the one it has.
    slips: &'static [(&'static str, &'static str)],
}

/// A stage in a library's names.
struct Stage {
    /// Ours.
    stage: &'static str,
    /// Their name of its block of this index.
    block: fn(usize) -> String,
    /// Their names of the block's layers in our order, apart by blanks; `.` where the block is a layer itself.
    layers: &'static str,
}

/// Where one tensor of a network is found in a file, and what is to be done with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Binding {
    /// Ours.
    pub parameter: Parameter,
    /// Theirs, the library's present name first, then older ones.
    pub sources: Vec<String>,
    /// How its numbers lie there.
    pub layout: Layout,
    /// The value it stands for where the library leaves it out: batch normalisation's factor 1.
    pub default: Option<f32>,
}

impl Naming {
    /// Binds each tensor of `net`, in the order of its nodes, to a name in the file; `tensors` are the file's, whose
    /// numbers decide what Keras calls its layers. `None` where the library does not have this network.
    pub fn bind(&self, net: &Net, tensors: &BTreeMap<String, Tensor>) -> Option<Vec<Binding>> {
        let style = self.library.style();
        let mut bindings: Vec<Binding> = match self.library {
            Library::Incept => net
                .parameters()
                .into_iter()
                .map(|parameter| Binding {
                    sources: vec![parameter.name.clone()],
                    layout: Layout::Same,
                    default: None,
                    parameter,
                })
                .collect(),
            Library::Keras => keras::bind(net, tensors)?,
            _ => {
                let network = self.library.network(net.name(), net.variant())?;
                let layers = layers(net, network, style)?;
                let bound = |(node, names): (&Node, Vec<String>)| {
                    let of = |parameter: Parameter| {
                        let part = style.part(parameter.kind);
                        Binding {
                            sources: names.iter().map(|name| format!("{name}{part}")).collect(),
                            layout: style.layout(parameter.kind),
                            default: style.default(parameter.kind),
                            parameter,
                        }
                    };
                    net.parameters_of(node)
                        .into_iter()
                        .map(of)
                        .collect::<Vec<_>>()
                };
                layers.into_iter().flat_map(bound).collect()
            }
        };
        for binding in &mut bindings {
            for name in &mut binding.sources {
                // Keras's names come whole from the file.
                if self.library != Library::Keras {
                    name.insert_str(0, &self.prefix);
                }
                if self.averaged {
                    let average = format!("{name}{AVERAGE}");
                    if tensors.contains_key(&average) {
                        *name = average;
                    }
                }
            }
        }
        Some(bindings)
    }

    /// Why a tensor that no layer takes may be left out, if it may.
    pub fn ignored(&self, name: &str, known: impl Fn(&str) -> bool) -> Option<&'static str> {
        let name = match self.library {
            Library::Keras => name,
            _ => name.strip_prefix(&self.prefix).unwrap_or(name),
        };
        match self.library {
            Library::Incept => None,
            Library::Timm | Library::Torchvision | Library::FacenetPytorch => style::counter(name),
            Library::TfSlim => tf_slim::ignored(name, self.averaged, |name| {
                known(&format!("{}{name}", self.prefix))
            }),
            Library::Keras => keras::ignored(name),
        }
    }

    /// Whether a tensor is one of the auxiliary head, as far as its name says.
    pub(super) fn is_auxiliary(&self, name: &str) -> bool {
        let separator = self.library.style().separator;
        let parts: Vec<&str> = name.split(separator).collect();
        match self.library {
            Library::Incept => parts.iter().any(|part| part.starts_with("auxiliary")),
            _ => parts.contains(&"AuxLogits"),
        }
    }
}

/// The nodes of `net` that have tensors, with their names and all but the part: `Mixed_5b.branch1x1.conv`.
fn layers<'a>(
    net: &'a Net,
    network: &Network,
    style: &Style,
) -> Option<Vec<(&'a Node, Vec<String>)>> {
    let mut layers = vec![];
    let mut claim = |node: &'a Node, layer: Option<String>, part: Part| {
        let listed = network.nodes.iter().find(|(ours, _)| *ours == node.name);
        let names = match (listed, layer) {
            (Some((_, theirs)), _) => theirs.iter().map(|name| (*name).into()).collect(),
            (None, Some(layer)) => vec![layer + style.layer_part(part)],
            // A stage that the library's network does not have.
            (None, None) => vec![],
        };
        layers.push((node, names));
    };
    for stage in net.stages() {
        let nodes = &net.nodes()[stage.first.index()..=stage.output.index()];
        let weighted: Vec<&Node> = nodes
            .iter()
            .filter(|node| matches!(node.op, Op::Convolution { .. } | Op::Linear { .. }))
            .collect();
        let described = network.stages.iter().find(|s| s.stage == stage.name);
        let theirs: Vec<&str> = described.map_or(vec![], |s| s.layers.split_whitespace().collect());
        for (position, node) in weighted.iter().enumerate() {
            let layer = described.and_then(|stage| {
                let layer = theirs.get(position % theirs.len())?;
                let block = (stage.block)(position / theirs.len());
                Some(network.corrected(style.joined(&block, layer)))
            });
            let normalised = net.node(&format!("{}/batch_norm", node.name));
            let part = if normalised.is_some() {
                Part::Normalised
            } else {
                Part::Alone
            };
            claim(node, layer.clone(), part);
            if let Some(normalised) = normalised {
                claim(normalised, layer, Part::BatchNorm);
            }
        }
        // A block described with other layers than ours has would shift every name after it.
        if described.is_some() && weighted.len() != theirs.len() * stage.repeat {
            return None;
        }
    }
    Some(layers)
}

impl Network {
    fn corrected(&self, name: String) -> String {
        let slip = self.slips.iter().find(|(ruled, _)| *ruled == name);
        slip.map_or(name, |(_, real)| (*real).into())
    }
}
