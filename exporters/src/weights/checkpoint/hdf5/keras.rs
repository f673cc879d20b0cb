//! The names Keras means: which group holds the weights, what its layers are called, and in which order they come.
//!
//! | written by | a dataset's path | its name here |
//! |---|---|---|
//! | `save_weights("x.h5")`, Keras 1 and 2 | `conv2d_1/conv2d_1/kernel:0` | the same |
//! | `save("x.h5")`, Keras 2 | `model_weights/conv2d_1/conv2d_1/kernel:0` | `conv2d_1/conv2d_1/kernel:0` |
//! | `save("x.h5")`, Keras 3 | `model_weights/conv2d_1/conv2d_1/kernel` | `conv2d_1/conv2d_1/kernel` |
//! | `x.weights.h5` and `x.keras`, Keras 3 | `layers/dense/vars/0`, where `vars` has the attribute `name` | `predictions/0` |
//! | the same, older versions | `layers/dense/vars/0`, `_layer_checkpoint_dependencies/dense/vars/0` | the same |
//!
//! In the last two, the path has the layer's class and its place among the model's layers of that class, and the number
//! its place among the layer's variables: kernel, bias; gamma, beta, moving mean, moving variance, without those it lacks.

use std::collections::{BTreeMap, HashSet};

use hdf5_reader::group::Group;
use hdf5_reader::messages::HdfMessage;
use hdf5_reader::messages::attribute::AttributeMessage;
use hdf5_reader::object_header::ObjectHeader;

use super::attributes::{of_group, texts};
use super::source::Source;
use crate::weights::Tensor;
use crate::weights::checkpoint::{Contents, Malformed};

/// The group that holds the weights in a file with the whole model.
const WEIGHTS: &str = "model_weights";
/// What a group of Keras 3 with the variables of one object is called.
const VARIABLES: &str = "vars";
/// The group of the optimiser in Keras 3: its variables keep their paths.
const OPTIMIZER: &str = "optimizer";

/// What the attributes of the groups say.
#[derive(Default)]
pub(super) struct Names {
    /// The names of the layers in their order, and the path of the group that lists them.
    layers: Option<(String, Vec<String>)>,
    /// By a layer's path, the paths of its weights within it, in their order.
    weights: BTreeMap<String, Vec<String>>,
    /// By the path of a group of variables, the name of the layer they are of.
    variables: BTreeMap<String, String>,
}

impl Names {
    /// Reads the attributes of a group, if Keras gives such a group any that matter.
    pub(super) fn read(
        &mut self,
        source: &Source,
        path: &str,
        group: &Group,
        header: &ObjectHeader,
    ) -> Result<(), Malformed> {
        let has_any = header.messages.iter().any(|message| {
            matches!(
                message,
                HdfMessage::Attribute(_) | HdfMessage::AttributeInfo(_)
            )
        });
        if !has_any {
            return Ok(());
        }
        let attributes = of_group(source, group.address(), header)?;
        let list = |name: &str| list(source, group, &attributes, name);
        if (path.is_empty() || path == WEIGHTS)
            && let Some(layers) = list("layer_names")?
        {
            self.layers = Some((path.to_string(), layers));
        }
        if let Some(weights) = list("weight_names")? {
            self.weights.insert(path.to_string(), weights);
        }
        let (parent, last) = path.rsplit_once('/').unwrap_or(("", path));
        let of_optimizer = parent.split('/').next() == Some(OPTIMIZER);
        if last == VARIABLES && !of_optimizer {
            let name = list("name")?.and_then(|names| names.into_iter().next());
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                self.variables.insert(path.to_string(), name);
            }
        }
        Ok(())
    }

    /// Names the tensors as Keras means them, and gives the order of the layers' weights.
    ///
    /// # Errors
    /// [`Malformed`] where the lists name a layer or weight twice, or one that is not there.
    pub(super) fn apply(
        self,
        tensors: BTreeMap<String, Tensor>,
        mut notes: Vec<String>,
    ) -> Result<(Contents, Vec<String>), Malformed> {
        let order = self.order(&tensors)?;
        let (tensors, named) = after_layers(&self.variables, tensors);
        if let Some((from, to)) = named {
            notes.push(format!("named after their layers: `{from}` is `{to}`"));
        }
        let in_model = |name: &str| {
            name.strip_prefix(WEIGHTS)
                .and_then(|name| name.strip_prefix('/'))
                .map(str::to_string)
        };
        let is_model = matches!(&self.layers, Some((path, _)) if path == WEIGHTS)
            && !tensors
                .keys()
                .filter_map(|name| in_model(name))
                .any(|name| tensors.contains_key(&name));
        if !is_model {
            return Ok(((tensors, notes), order));
        }
        notes.push(format!("took `{WEIGHTS}/` off the names"));
        let short = |name: String| in_model(&name).unwrap_or(name);
        let tensors = tensors
            .into_iter()
            .map(|(name, tensor)| (short(name), tensor));
        Ok((
            (tensors.collect(), notes),
            order.into_iter().map(short).collect(),
        ))
    }

    /// The paths of the weights, layer after layer.
    fn order(&self, tensors: &BTreeMap<String, Tensor>) -> Result<Vec<String>, Malformed> {
        let Some((group, layers)) = &self.layers else {
            return Ok(vec![]);
        };
        let mut order = vec![];
        let mut seen = HashSet::new();
        for layer in layers {
            if !seen.insert(layer) {
                return Err(Malformed::new(format!(
                    "`layer_names` lists `{layer}` twice"
                )));
            }
            let path = match group.as_str() {
                "" => layer.clone(),
                group => format!("{group}/{layer}"),
            };
            let Some(weights) = self.weights.get(&path) else {
                return Err(Malformed::new(format!(
                    "`layer_names` lists `{layer}`, and there is no group `{path}` with `weight_names`"
                )));
            };
            let mut seen = HashSet::new();
            for weight in weights {
                let name = format!("{path}/{weight}");
                if !tensors.contains_key(&name) {
                    let reason = "is listed in `weight_names`, and there is no such dataset";
                    return Err(Malformed::new(reason).in_tensor(name));
                }
                if !seen.insert(weight) {
                    let reason = "is listed in `weight_names` twice";
                    return Err(Malformed::new(reason).in_tensor(name));
                }
                order.push(name);
            }
        }
        Ok(order)
    }
}

/// Names the variables `LAYER/NUMBER` where the file says of which layer they are; those that would share a name keep their
/// paths. Also gives the first path and name that differ.
fn after_layers(
    variables: &BTreeMap<String, String>,
    tensors: BTreeMap<String, Tensor>,
) -> (BTreeMap<String, Tensor>, Option<(String, String)>) {
    let name_of = |path: &str| {
        let (group, number) = path.rsplit_once('/')?;
        Some(format!("{}/{number}", variables.get(group)?))
    };
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for path in tensors.keys() {
        *times
            .entry(name_of(path).unwrap_or_else(|| path.clone()))
            .or_default() += 1;
    }
    let mut first = None;
    let named = tensors
        .iter()
        .map(|(path, tensor)| {
            let name = name_of(path)
                .filter(|name| times.get(name) == Some(&1) && !tensors.contains_key(name));
            if let Some(name) = &name {
                first.get_or_insert_with(|| (path.clone(), name.clone()));
            }
            (name.unwrap_or_else(|| path.clone()), tensor.clone())
        })
        .collect();
    (named, first)
}

/// The texts of the attribute of that name. Keras cuts lists that are longer than an attribute may be into `name0`,
/// `name1` and so on.
fn list(
    source: &Source,
    group: &Group,
    attributes: &[AttributeMessage],
    name: &str,
) -> Result<Option<Vec<String>>, Malformed> {
    let find = |name: &str| attributes.iter().find(|attribute| attribute.name == name);
    if let Some(attribute) = find(name) {
        return texts(source, group, attribute).map(Some);
    }
    let mut all = None;
    for attribute in (0_usize..).map_while(|part| find(&format!("{name}{part}"))) {
        let part = texts(source, group, attribute)?;
        all.get_or_insert_with(Vec::new).extend(part);
    }
    Ok(all)
}
