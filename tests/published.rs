//! The published networks beside the libraries that published them: `golden/published` was computed in float64 by each
//! library's own model (`scripts/golden/published.py`), from weights of the portable generator under the library's own
//! names. The same file is made here in memory, recognised, imported, exported and run.
#![allow(clippy::unwrap_used)]

#[path = "support/libraries.rs"]
mod libraries;

use std::collections::BTreeMap;
use std::fs;

use incept::exporters::net::{Net, NetOptions};
use incept::exporters::onnx::{self, ExportOptions, Output};
use incept::exporters::weights::{
    Choice, Recipe, Recognised, Tensor, Weights, import, random_image, recognise,
};
use incept::exporters::zoo;
use incept::runtime::{self, LoadOptions};
use libraries::{LISTS, checkpoint, file, golden_folder, lines};
use ndarray::{ArrayD, IxDyn};

/// Batch, height and width of the golden images. The auxiliary head was computed at the large size alone.
const SMALL: (&str, [usize; 4]) = ("small", [2, 3, 107, 139]);
const LARGE: (&str, [usize; 4]) = ("large", [1, 3, 299, 299]);

/// float32 rounding over these depths stays below a few 1e-6 of the range.
const FLOAT32: f64 = 1e-5;

/// The golden vectors of a list, float64, positions as whole numbers.
struct Golden {
    vectors: BTreeMap<String, Vec<f64>>,
    sha256: String,
}

impl Golden {
    fn read(list: &str) -> Self {
        let bytes = fs::read(golden_folder(&format!("published/{list}.safetensors"))).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let number = |bytes: &[u8; 8], kind| match kind {
            safetensors::Dtype::F64 => f64::from_le_bytes(*bytes),
            _ => i64::from_le_bytes(*bytes) as f64,
        };
        let vectors = file.tensors().into_iter().map(|(name, view)| {
            let (numbers, rest) = view.data().as_chunks::<8>();
            assert!(rest.is_empty());
            let numbers = numbers.iter().map(|bytes| number(bytes, view.dtype()));
            (name, numbers.collect())
        });
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let provenance = &header.metadata().as_ref().unwrap()["incept"];
        let provenance: serde_json::Value = serde_json::from_str(provenance).unwrap();
        Self {
            vectors: vectors.collect(),
            sha256: provenance["weights"]["sha256"].as_str().unwrap().into(),
        }
    }

    /// The names of what was computed at a size.
    fn names(&self, size: &str) -> Vec<&str> {
        let of_size = self.vectors.keys().filter_map(|name| {
            let name = name.strip_prefix(size)?.strip_prefix('/')?;
            Some(name.strip_suffix("/samples").unwrap_or(name))
        });
        of_size
            .filter(|name| !name.ends_with("/positions"))
            .collect()
    }

    /// The largest difference from what is stored under a name, as a share of the range of what is stored. Infinite
    /// where there is another number of values.
    fn difference(&self, size: &str, name: &str, found: &[f64]) -> f64 {
        let name = format!("{size}/{name}");
        let (expected, found) = match self.vectors.get(&format!("{name}/samples")) {
            Some(samples) => {
                let positions = &self.vectors[&format!("{name}/positions")];
                let at = |&position: &f64| found.get(position as usize).copied();
                let found: Option<Vec<f64>> = positions.iter().map(at).collect();
                (samples, found.unwrap_or_default())
            }
            None => (&self.vectors[&name], found.to_vec()),
        };
        if found.len() != expected.len() {
            return f64::INFINITY;
        }
        let largest = expected.iter().copied().fold(f64::MIN, f64::max);
        let smallest = expected.iter().copied().fold(f64::MAX, f64::min);
        let differences = expected.iter().zip(&found).map(|(e, f)| (e - f).abs());
        // A value that is not finite must not get lost in a maximum.
        let worst = differences.fold(0.0, |worst: f64, one| {
            if one > worst || one.is_nan() {
                one
            } else {
                worst
            }
        });
        worst / (largest - smallest)
    }
}

fn net_of(recognised: &Recognised, (size, shape): (&str, [usize; 4])) -> Net {
    let options = NetOptions {
        image_height: shape[2],
        image_width: shape[3],
        classes: recognised.classes.unwrap(),
        auxiliary_head: recognised.auxiliary_head && size == "large",
        ..NetOptions::default()
    };
    recognised.entry.build(&options).unwrap()
}

fn image(shape: [usize; 4]) -> ArrayD<f32> {
    ArrayD::from_shape_vec(IxDyn(&shape), random_image(0, shape.iter().product())).unwrap()
}

/// The named values of the network, stages and heads, as ONNX Runtime computes them from our file.
fn in_onnx_runtime(
    net: &Net,
    weights: &Weights,
    shape: [usize; 4],
    names: &[&str],
) -> BTreeMap<String, Vec<f64>> {
    let head = |name: &str| Output::ALL.into_iter().find(|head| head.name() == name);
    let stage = |name: &str| {
        let stage = net.stages().iter().find(|stage| stage.name == name);
        net.at(stage.unwrap().output).name.clone()
    };
    let (heads, stages): (Vec<&str>, Vec<&str>) =
        names.iter().partition(|name| head(name).is_some());
    let nodes: Vec<String> = stages.iter().map(|name| stage(name)).collect();
    let options = ExportOptions {
        outputs: heads.iter().filter_map(|name| head(name)).collect(),
        layers: nodes.clone(),
        ..ExportOptions::default()
    };
    let bytes = onnx::to_bytes(net, weights, &options).unwrap();
    let mut session = runtime::find("ort")
        .unwrap()
        .load(&bytes, LoadOptions::default())
        .unwrap();
    let values: BTreeMap<String, ArrayD<f32>> = session
        .run(image(shape).view())
        .unwrap()
        .into_iter()
        .collect();
    let of = |name: &str| values[name].iter().map(|&v| f64::from(v)).collect();
    heads
        .iter()
        .map(|&head| (head.to_string(), of(head)))
        .chain(
            stages
                .iter()
                .zip(&nodes)
                .map(|(&stage, node)| (stage.to_string(), of(node))),
        )
        .collect()
}

#[test]
fn onnx_runtime_agrees_with_every_library() {
    for (list, library, network, variant) in LISTS {
        let golden = Golden::read(list);
        let (tensors, sha256) = file(list);
        assert_eq!(
            sha256, golden.sha256,
            "{list}: other weights than the library had"
        );
        let checkpoint = checkpoint(tensors);
        let recognised = recognise(&checkpoint, &Choice::default()).unwrap();
        assert_eq!(recognised.naming.library, library, "{list}");
        assert_eq!(
            (recognised.entry.name, recognised.entry.variant),
            (network, variant),
            "{list}"
        );
        for (size, shape) in [SMALL, LARGE] {
            let net = net_of(&recognised, (size, shape));
            let recipe = Recipe::of(recognised.naming.clone());
            let weights = import(&checkpoint, &net, &recipe).unwrap().weights;
            let names = golden.names(size);
            let values = in_onnx_runtime(&net, &weights, shape, &names);
            for name in names {
                let difference = golden.difference(size, name, &values[name]);
                println!("{list} {size} {name}: {difference:.1e}");
                assert!(
                    difference < FLOAT32,
                    "{list} {size} {name}: {difference:.1e}"
                );
            }
        }
    }
}

/// Logits at the small size, from a list whose tensors are changed, in the network of a variant.
fn small_logits(
    list: &str,
    variant: Option<&str>,
    change: impl FnOnce(&mut BTreeMap<String, Tensor>),
    recipe: impl FnOnce(&mut Recipe),
) -> Vec<f64> {
    let (mut tensors, _) = file(list);
    change(&mut tensors);
    let checkpoint = checkpoint(tensors);
    let mut recognised = recognise(&checkpoint, &Choice::default()).unwrap();
    let mut of_file = Recipe::of(recognised.naming.clone());
    recipe(&mut of_file);
    if let Some(variant) = variant {
        recognised.entry = zoo::find(recognised.entry.name, Some(variant)).unwrap();
    }
    recognised.classes = recognised
        .classes
        .map(|classes| classes - usize::from(of_file.drop_background));
    let net = net_of(&recognised, SMALL);
    let weights = import(&checkpoint, &net, &of_file).unwrap().weights;
    in_onnx_runtime(&net, &weights, SMALL.1, &["logits"])["logits"].clone()
}

#[test]
fn one_weight_changed_is_noticed() {
    let list = "tf_slim.inception_v3";
    let name = "InceptionV3/Mixed_6b/Branch_1/Conv2d_0b_1x7/weights";
    let found = small_logits(
        list,
        None,
        |tensors| {
            let tensor = &tensors[name];
            let (shape, mut values) = (tensor.shape().to_vec(), tensor.values().into_owned());
            values[0] += 1.0;
            tensors.insert(name.into(), Tensor::owned(shape, values));
        },
        |_| {},
    );
    let difference = Golden::read(list).difference("small", "logits", &found);
    assert!(difference > FLOAT32, "{difference:.1e}");
}

#[test]
fn average_pools_that_count_the_padding_are_noticed() {
    let list = "keras.inception_v3.h5";
    let found = small_logits(list, Some("torchvision"), |_| {}, |_| {});
    let difference = Golden::read(list).difference("small", "logits", &found);
    assert!(difference > FLOAT32, "{difference:.1e}");
}

#[test]
fn without_the_background_the_other_classes_stay() {
    let list = "tf_slim.inception_v4";
    let mut golden = Golden::read(list);
    let found = small_logits(list, None, |_| {}, |recipe| recipe.drop_background = true);
    let logits = golden.vectors.get_mut("small/logits").unwrap();
    let without: Vec<f64> = logits
        .chunks(1001)
        .flat_map(|of_image| &of_image[1..])
        .copied()
        .collect();
    *logits = without;
    let difference = golden.difference("small", "logits", &found);
    assert!(difference < FLOAT32, "{difference:.1e}");
}

/// Keras's new files count layers otherwise than its old ones: both hold the same network.
#[test]
fn keras_new_files_hold_what_its_old_ones_hold() {
    for network in ["inception_v3", "inception_resnet_v2"] {
        let (old, _) = file(&format!("keras.{network}.h5"));
        let mut of_layer: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in lines(&format!("keras.{network}.h5")) {
            let layer = line[0].split('/').nth(1).unwrap().to_string();
            of_layer.entry(layer).or_default().push(line[0].clone());
        }
        let mut new = BTreeMap::new();
        for line in lines(&format!("keras.{network}.layers")) {
            for (place, name) in of_layer[&line[1]].iter().enumerate() {
                new.insert(
                    format!("layers/{}/vars/{place}", line[0]),
                    old[name].clone(),
                );
            }
        }
        let listed = lines(&format!("keras.{network}.weights.h5"));
        assert!(listed.iter().all(|line| new.contains_key(&line[0])));
        let weights = [old, new].map(|tensors| {
            let checkpoint = checkpoint(tensors);
            let recognised = recognise(&checkpoint, &Choice::default()).unwrap();
            let net = net_of(&recognised, SMALL);
            let recipe = Recipe::of(recognised.naming);
            import(&checkpoint, &net, &recipe).unwrap().weights
        });
        assert_eq!(weights[0].sha256(), weights[1].sha256(), "{network}");
    }
}

/// The comparator finds a value that is not finite, one that is missing, and one that is another.
#[test]
fn comparisons_fail_where_they_must() {
    let list = "timm.inception_v4";
    let golden = Golden::read(list);
    let right = golden.vectors["small/logits"].clone();
    assert_eq!(golden.difference("small", "logits", &right), 0.0);
    let mut changed = right.clone();
    changed[1500] = f64::NAN;
    let difference = golden.difference("small", "logits", &changed);
    assert!(difference.is_nan() || difference >= FLOAT32, "{difference}");
    changed[1500] = right[1500] + 1e-3;
    assert!(golden.difference("small", "logits", &changed) > FLOAT32);
    assert_eq!(
        golden.difference("small", "logits", &right[1..]),
        f64::INFINITY
    );
    assert_eq!(
        golden.difference("small", "stem", &[0.0; 10]),
        f64::INFINITY
    );
}
