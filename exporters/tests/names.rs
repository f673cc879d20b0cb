//! The libraries' names: every list of tensors that a library itself wrote becomes a network's weights and nothing is
//! left over, and whatever is wrong with one is told by name.
//!
//! `golden/names` holds the lists: name and shape of each tensor, as the library named in the first line saves them.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use bytes::Bytes;
use incept_exporters::net::{Net, NetOptions};
use incept_exporters::weights::checkpoint::files_of;
use incept_exporters::weights::import::{OpenError, Opened, Request, open};
use incept_exporters::weights::{
    Checkpoint, Choice, ElementType, Format, Imported, Library, NamesChoice, Naming, Recipe,
    Recognised, Tensor, Weights, WeightsError, import, load, recognise,
};
use incept_exporters::zoo;

/// List, then what it holds: library, network, variant, classes, whether it has an auxiliary head.
type List = (
    &'static str,
    Library,
    &'static str,
    &'static str,
    usize,
    bool,
);

#[rustfmt::skip]
const LISTS: [List; 11] = [
    ("timm.inception_v4",                   Library::Timm,           "inception_v4",        "published",   1000, false),
    ("timm.inception_resnet_v2",            Library::Timm,           "inception_resnet_v2", "published",   1000, false),
    ("torchvision.inception_v3",            Library::Torchvision,    "inception_v3",        "torchvision", 1000, true),
    ("facenet_pytorch.inception_resnet_v1", Library::FacenetPytorch, "inception_resnet_v1", "facenet",     8631, false),
    ("tf_slim.inception_v4",                Library::TfSlim,         "inception_v4",        "published",   1001, true),
    ("tf_slim.inception_resnet_v2",         Library::TfSlim,         "inception_resnet_v2", "published",   1001, true),
    ("tf_slim.inception_v3",                Library::TfSlim,         "inception_v3",        "tensorflow",  1001, true),
    ("keras.inception_v3.h5",               Library::Keras,          "inception_v3",        "tensorflow",  1000, false),
    ("keras.inception_v3.weights.h5",       Library::Keras,          "inception_v3",        "tensorflow",  1000, false),
    ("keras.inception_resnet_v2.h5",        Library::Keras,          "inception_resnet_v2", "published",   1000, false),
    ("keras.inception_resnet_v2.weights.h5", Library::Keras,         "inception_resnet_v2", "published",   1000, false),
];

fn lines(list: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../golden/names/{list}.txt"));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split_whitespace().map(str::to_string).collect())
        .collect()
}

/// A tensor that is `value` throughout, in the memory of one number.
fn filled(shape: &[usize], value: f32) -> Tensor {
    let bytes = Bytes::copy_from_slice(&value.to_le_bytes());
    let strides = vec![0; shape.len()];
    Tensor::strided(bytes, ElementType::Float32, shape.into(), strides, 0).unwrap()
}

fn counter(value: i64) -> Tensor {
    let bytes = Bytes::copy_from_slice(&value.to_le_bytes());
    Tensor::contiguous(bytes, ElementType::Int64, vec![]).unwrap()
}

fn holding(tensors: BTreeMap<String, Tensor>) -> Checkpoint {
    Checkpoint {
        path: "a-test".into(),
        format: Format::Safetensors,
        tensors,
        notes: vec![],
        metadata: BTreeMap::new(),
        order: vec![],
    }
}

/// The tensors of a list; each is filled with its own number, from 1 on.
fn tensors_of(list: &str) -> BTreeMap<String, Tensor> {
    let mut tensors = BTreeMap::new();
    for (number, line) in lines(list).into_iter().enumerate() {
        let shape: Vec<usize> = match line[1].as_str() {
            "-" => vec![],
            dimensions => dimensions.split('x').map(|d| d.parse().unwrap()).collect(),
        };
        let tensor = match line.get(2).map(String::as_str) {
            None => filled(&shape, number as f32 + 1.0),
            Some("int64") => counter(number as i64),
            Some(other) => panic!("{line:?}: {other}"),
        };
        assert!(tensors.insert(line[0].clone(), tensor).is_none());
    }
    tensors
}

fn checkpoint(list: &str) -> Checkpoint {
    holding(tensors_of(list))
}

/// The network of a list, with everything that the list has.
fn net_of(recognised: &Recognised) -> Net {
    let options = NetOptions {
        classes: recognised.classes.unwrap_or(1000),
        auxiliary_head: recognised.auxiliary_head,
        width_multiplier: recognised.width_multiplier,
        ..NetOptions::default()
    };
    recognised.entry.build(&options).unwrap()
}

fn imported(checkpoint: &Checkpoint) -> (Net, Imported) {
    let recognised = recognise(checkpoint, &Choice::default()).unwrap();
    let net = net_of(&recognised);
    let imported = import(checkpoint, &net, &Recipe::of(recognised.naming)).unwrap();
    (net, imported)
}

/// What is wrong with a changed list: the text of the error.
fn complaint(list: &str, change: impl FnOnce(&mut BTreeMap<String, Tensor>)) -> String {
    let right = recognise(&checkpoint(list), &Choice::default()).unwrap();
    let mut tensors = tensors_of(list);
    change(&mut tensors);
    let changed = holding(tensors);
    let recognised = recognise(&changed, &Choice::default()).unwrap();
    assert_eq!(recognised.entry.name, right.entry.name, "{list}");
    assert_eq!(recognised.entry.variant, right.entry.variant, "{list}");
    let error = import(&changed, &net_of(&right), &Recipe::of(recognised.naming)).unwrap_err();
    error.to_string()
}

#[test]
fn every_list_is_recognised() {
    for (list, library, network, variant, classes, auxiliary) in LISTS {
        let recognised = recognise(&checkpoint(list), &Choice::default()).unwrap();
        assert_eq!(recognised.naming, Naming::of(library), "{list}");
        assert_eq!(recognised.entry.name, network, "{list}");
        assert_eq!(recognised.entry.variant, variant, "{list}");
        assert_eq!(recognised.classes, Some(classes), "{list}");
        assert_eq!(recognised.auxiliary_head, auxiliary, "{list}");
        let embedding = (variant == "facenet").then_some(512);
        assert_eq!(recognised.embedding, embedding, "{list}");
        assert_eq!(recognised.width_multiplier, 1.0, "{list}");
        assert_eq!(recognised.found, recognised.expected, "{list}");
    }
}

#[test]
fn every_tensor_of_a_list_is_used_once_and_every_parameter_filled() {
    for (list, library, ..) in LISTS {
        let file = checkpoint(list);
        let (net, Imported { weights, report }) = imported(&file);
        let sources: BTreeSet<&String> = report.used.iter().map(|used| &used.source).collect();
        assert_eq!(
            sources.len(),
            report.used.len(),
            "{list}: a tensor is used twice"
        );
        let ignored: BTreeSet<&String> = report.ignored.iter().map(|i| &i.source).collect();
        assert!(sources.is_disjoint(&ignored), "{list}");
        let all: BTreeSet<&String> = file.tensors.keys().collect();
        assert_eq!(&sources | &ignored, all, "{list}: not accounted for");
        for name in ignored {
            let is_counter = name.ends_with("num_batches_tracked") || name == "global_step";
            assert!(is_counter, "{list}: {name}");
        }

        let parameters = net.parameters();
        let filled: BTreeSet<&str> = weights.iter().map(|(name, _)| name).collect();
        let wanted: BTreeSet<&str> = parameters.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(filled, wanted, "{list}");
        let targets = report.used.iter().map(|used| used.target.as_str());
        let targets = targets.chain(report.made.iter().map(|made| made.target.as_str()));
        assert_eq!(targets.collect::<Vec<_>>().len(), wanted.len(), "{list}");
        let gammas = matches!(library, Library::TfSlim | Library::Keras);
        let expected = wanted
            .iter()
            .filter(|name| name.ends_with("/gamma"))
            .count();
        assert_eq!(
            report.made.len(),
            if gammas { expected } else { 0 },
            "{list}"
        );
        for made in &report.made {
            assert!(made.target.ends_with("/batch_norm/gamma"), "{list}");
            assert!(
                weights
                    .get(&made.target)
                    .unwrap()
                    .values()
                    .iter()
                    .all(|&g| g == 1.0)
            );
        }
        for parameter in &parameters {
            assert_eq!(
                weights.get(&parameter.name).unwrap().shape(),
                parameter.shape
            );
        }
        // The numbers are those of the tensor it says.
        for used in &report.used {
            let (ours, theirs) = (
                weights.get(&used.target).unwrap(),
                &file.tensors[&used.source],
            );
            let first = |tensor: &Tensor| tensor.sliced(0, 0, 1).unwrap().values()[0];
            assert_eq!(first(ours), first(theirs), "{list}: {used:?}");
        }
    }
}

/// What a name says of its layer must be so: kernels of the same height and width, parts of the same kind.
#[test]
fn names_that_tell_their_kernel_or_part_agree_with_ours() {
    let mut kernels = 0;
    for (list, library, ..) in LISTS {
        let (_, Imported { report, .. }) = imported(&checkpoint(list));
        for used in &report.used {
            let ours = used.target.rsplit('/').next().unwrap();
            let theirs = used.source.rsplit(['/', '.']).next().unwrap();
            let same = match ours {
                "gamma" => theirs == "weight",
                "beta" => ["bias", "beta", "0"].contains(&theirs),
                "running_mean" => ["running_mean", "moving_mean", "1"].contains(&theirs),
                "running_variance" => ["running_var", "moving_variance", "2"].contains(&theirs),
                "bias" => ["bias", "biases", "1"].contains(&theirs),
                _ => ["weight", "weights", "kernel", "0"].contains(&theirs),
            };
            assert!(same, "{list}: {used:?}");
            if library == Library::TfSlim && used.target.contains("/conv_") {
                // `Conv2d_0b_1x7` is our `conv_1x7`; Inception-v3's reduction calls two 3×3 convolutions 1×1.
                let misnamed = used.source.contains("InceptionV3/Mixed_6a")
                    && used.source.contains("Conv2d_1a_1x1");
                let named = ["1x1", "3x3", "5x5", "1x7", "7x1", "1x3", "3x1"];
                let kernel = named
                    .iter()
                    .find(|k| used.source.contains(&format!("_{k}/")));
                if let Some(kernel) = kernel.filter(|_| !misnamed) {
                    assert!(used.target.contains(&format!("conv_{kernel}")), "{used:?}");
                    kernels += 1;
                }
            }
        }
    }
    assert!(kernels > 1000, "{kernels}");
}

/// Keras's two kinds of file number the same layers in two ways; Keras itself says which numbers go together.
#[test]
fn both_numberings_of_keras_name_the_same_layers() {
    for network in ["inception_v3", "inception_resnet_v2"] {
        let layer_of = |kind: &str, layer: &dyn Fn(&str) -> String| {
            let (_, imported) = imported(&checkpoint(&format!("keras.{network}.{kind}")));
            let used = imported.report.used.into_iter();
            let layers: BTreeMap<String, String> = used
                .map(|used| (used.target, layer(&used.source)))
                .collect();
            layers
        };
        let part =
            |name: &str, from_end: usize| name.rsplit('/').nth(from_end).unwrap().to_string();
        let by_class = layer_of("weights.h5", &|name| part(name, 2));
        let by_creation = layer_of("h5", &|name| part(name, 1));
        let same: BTreeMap<String, String> = lines(&format!("keras.{network}.layers"))
            .into_iter()
            .map(|line| (line[0].clone(), line[1].clone()))
            .collect();
        assert_eq!(by_class.len(), by_creation.len());
        for (target, layer) in &by_class {
            assert_eq!(same[layer], by_creation[target], "{network}: {target}");
        }
        // A comparison that can fail: the two orders differ.
        assert!(same.iter().any(|(a, b)| a != b && b.starts_with("conv2d_")));
    }
}

/// New files of Keras tell the layers' own names: the reader names their tensors by the layer and the variable's number.
#[test]
fn keras_layers_with_names_and_numbered_variables_are_those_of_old_files() {
    for list in ["keras.inception_v3.h5", "keras.inception_resnet_v2.h5"] {
        let numbered = |name: &str| {
            let mut parts = name.rsplit('/');
            let (part, layer) = (parts.next().unwrap(), parts.next().unwrap());
            let place = match part.split(':').next().unwrap() {
                "kernel" => 0,
                // These networks' normalisation has no factor.
                "beta" => 0,
                "bias" | "moving_mean" => 1,
                "moving_variance" => 2,
                _ => panic!("{name}"),
            };
            format!("{layer}/{place}")
        };
        let plain = tensors_of(list);
        let renamed = plain
            .iter()
            .map(|(name, tensor)| (numbered(name), tensor.clone()));
        let (_, a) = imported(&holding(plain.clone()));
        let (_, b) = imported(&holding(renamed.collect()));
        assert_eq!(a.report.used.len(), b.report.used.len());
        for (x, y) in a.report.used.iter().zip(&b.report.used) {
            assert_eq!(numbered(&x.source), y.source);
            assert_eq!(x.target, y.target);
        }
    }
}

/// Keras numbers on from whatever the program made before.
#[test]
fn keras_layers_may_be_numbered_from_anywhere() {
    for list in ["keras.inception_v3.h5", "keras.inception_resnet_v2.h5"] {
        let shifted = |name: &str| {
            let part = |part: &str| -> String {
                for class in ["conv2d", "batch_normalization"] {
                    let number = part
                        .strip_prefix(class)
                        .map(|rest| rest.trim_start_matches('_'));
                    if let Some(number) = number {
                        let number = if number.is_empty() {
                            0
                        } else {
                            number.parse::<usize>().unwrap()
                        };
                        return format!("{class}_{}", number + 94);
                    }
                }
                part.into()
            };
            let parts: Vec<String> = name.split('/').map(part).collect();
            // As tf.keras wrote it.
            format!("{}:0", parts.join("/"))
        };
        let plain = tensors_of(list);
        let renamed = plain
            .iter()
            .map(|(name, tensor)| (shifted(name), tensor.clone()));
        let (_, a) = imported(&holding(plain.clone()));
        let (_, b) = imported(&holding(renamed.collect()));
        assert_eq!(a.weights.iter().count(), b.weights.iter().count());
        for (x, y) in a.report.used.iter().zip(&b.report.used) {
            assert_eq!(shifted(&x.source), y.source);
            assert_eq!(x.target, y.target);
        }
    }
}

#[test]
fn a_tensor_removed_added_renamed_or_of_whole_numbers_is_named() {
    for (list, library, ..) in LISTS {
        let tensors = tensors_of(list);
        let floating = tensors
            .iter()
            .filter(|(_, tensor)| tensor.element_type().is_floating());
        let names: Vec<&String> = floating.map(|(name, _)| name).collect();
        for removed in names.iter().step_by(names.len() / 5) {
            let removed = removed.as_str();
            let text = complaint(list, |tensors| drop(tensors.remove(removed)));
            // A numbered layer of Keras that is gone with its only tensor is known by its number alone.
            let layer = removed.trim_start_matches("model_weights/");
            let layer = layer.split_once('/').map_or(layer, |(_, name)| name);
            let name = if library == Library::Keras {
                layer
            } else {
                removed
            };
            assert!(
                text.contains("1 missing:") && text.contains(name),
                "{list}: {text}"
            );
            assert!(
                !text.contains("unused:") && !text.contains("misshapen:"),
                "{list}: {text}"
            );
        }
        let [whole, renamed] = [names[names.len() / 3], names[names.len() / 2]];
        let text = complaint(list, |tensors| {
            tensors.insert(whole.clone(), counter(1));
            tensors.insert("extra/thing".into(), filled(&[3], 0.0));
            if library != Library::Keras {
                let tensor = tensors.remove(renamed).unwrap();
                tensors.insert(format!("{renamed}z"), tensor);
            }
        });
        assert!(
            text.contains("1 not numbers with a fraction:"),
            "{list}: {text}"
        );
        assert!(
            text.contains(&format!("`{whole}`: int64")),
            "{list}: {text}"
        );
        assert!(text.contains("`extra/thing`"), "{list}: {text}");
        if library == Library::Keras {
            assert!(
                text.contains("1 unused:") && !text.contains("missing:"),
                "{list}: {text}"
            );
        } else {
            let parts = ["1 missing:", "2 unused:", &format!("(is it `{renamed}z`?)")];
            assert!(
                parts.iter().all(|part| text.contains(part)),
                "{list}: {text}"
            );
        }
    }
}

/// A convolution whose axes are in the other library's order, of equally many numbers, is no weight.
#[test]
fn a_tensor_with_its_axes_in_another_order_is_misshapen() {
    for (list, ..) in LISTS {
        let mut wrong = 0;
        for (name, tensor) in tensors_of(list) {
            let shape = tensor.shape().to_vec();
            let axes: &[usize] = match shape.len() {
                4 => &[2, 3, 1, 0],
                2 => &[1, 0],
                _ => continue,
            };
            let turned = tensor.permuted(axes).unwrap();
            if turned.shape() == shape || wrong == 3 {
                continue;
            }
            wrong += 1;
            let text = complaint(list, |tensors| {
                tensors.insert(name.clone(), turned.clone());
            });
            let expected = format!("`{name}`: expected {shape:?}, found {:?}", turned.shape());
            assert!(
                text.contains("1 misshapen:") && text.contains(&expected),
                "{list}: {text}"
            );
        }
        assert_eq!(wrong, 3, "{list}");
    }
}

#[test]
fn what_is_not_finite_is_named_under_both_names() {
    for (list, ..) in LISTS {
        let mut tensors = tensors_of(list);
        let (name, tensor) = tensors.iter().find(|(_, t)| t.shape().len() == 4).unwrap();
        let (name, shape) = (name.clone(), tensor.shape().to_vec());
        let mut values = vec![0.25; tensor.elements()];
        values[1] = f32::NAN;
        values[3] = f32::NEG_INFINITY;
        tensors.insert(name.clone(), Tensor::owned(shape, values));
        let (net, Imported { weights, report }) = imported(&holding(tensors.clone()));
        let target = report.used.iter().find(|used| used.source == name).unwrap();
        let expected = format!(
            "`{}`, in the file `{name}`: 2 NaN or infinite values",
            target.target
        );
        let text = weights.check(&net).unwrap_err().to_string();
        assert!(
            text.contains("1 not finite:") && text.contains(&expected),
            "{list}: {text}"
        );
        // Together with what else is wrong.
        let text = complaint(list, |changed| {
            changed.insert(name.clone(), tensors[&name].clone());
            changed.insert("extra/thing".into(), filled(&[1], 0.0));
        });
        assert!(
            text.contains("1 unused:") && text.contains(&expected),
            "{list}: {text}"
        );
    }
}

#[test]
fn a_prefix_is_found_and_said() {
    for (list, library, network, ..) in LISTS {
        let separator = if matches!(library, Library::TfSlim | Library::Keras) {
            '/'
        } else {
            '.'
        };
        for prefix in ["module", "state_dict.module"] {
            let prefix = format!("{}{separator}", prefix.replace('.', &separator.to_string()));
            let tensors = tensors_of(list).into_iter();
            let prefixed = tensors.map(|(name, tensor)| (format!("{prefix}{name}"), tensor));
            let file = holding(prefixed.collect());
            let recognised = recognise(&file, &Choice::default()).unwrap();
            assert_eq!(recognised.entry.name, network, "{list}");
            if library != Library::Keras {
                assert_eq!(recognised.naming.prefix, prefix, "{list}");
            }
            imported(&file);
        }
        // Two models in one file: it is not guessed which.
        if library == Library::Timm {
            let mut both = tensors_of(list);
            for (name, tensor) in tensors_of(list) {
                both.insert(format!("teacher.{name}"), tensor);
            }
            let error = recognise(&holding(both), &Choice::default()).unwrap_err();
            assert!(
                matches!(error, WeightsError::Ambiguous { .. }),
                "{list}: {error}"
            );
            assert!(error.to_string().contains("behind `teacher.`"), "{error}");
        }
    }
}

#[test]
fn a_classifier_of_another_name_is_found() {
    // Cadene's names, and timm's older ones.
    for (list, from, to) in [
        ("timm.inception_v4", "last_linear.", "classif."),
        ("timm.inception_resnet_v2", "classif.", "last_linear."),
        ("torchvision.inception_v3", "fc.", "last_linear."),
        ("keras.inception_v3.h5", "predictions", "dense_7"),
        ("keras.inception_resnet_v2.h5", "predictions", "dense"),
    ] {
        let renamed = tensors_of(list).into_iter().map(|(name, tensor)| {
            let replaced = match name.strip_prefix(from) {
                Some(part) => format!("{to}{part}"),
                None if from == "predictions" => name.replace(from, to),
                None => name,
            };
            (replaced, tensor)
        });
        let file = holding(renamed.collect());
        let (_, imported) = imported(&file);
        let used = imported.report.used.iter();
        let classifier = used.filter(|used| used.target.starts_with("logits/"));
        let sources: Vec<&str> = classifier.map(|used| used.source.as_str()).collect();
        assert_eq!(sources.len(), 2, "{list}");
        assert!(
            sources.iter().all(|name| name.contains(to)),
            "{list}: {sources:?}"
        );
    }
}

/// A file in a folder, to be opened as a user's.
struct File {
    folder: tempfile::TempDir,
}

impl File {
    /// Safetensors with these names; the numbers are all the same.
    fn new(tensors: BTreeMap<String, Tensor>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let weights = Weights::from_tensors(tensors, "a test");
        let file = Self { folder };
        weights.write(&file.path(), &BTreeMap::new()).unwrap();
        file
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("weights.safetensors")
    }

    fn open(&self, request: &Request) -> Result<Opened, OpenError> {
        open(&self.path(), request, &NetOptions::default())
    }
}

/// The list's floating-point tensors: what `Weights::write` writes is float32.
fn floating(list: &str) -> BTreeMap<String, Tensor> {
    let tensors = tensors_of(list).into_iter();
    tensors
        .filter(|(_, tensor)| tensor.element_type().is_floating())
        .collect()
}

#[test]
fn the_background_is_left_out_only_when_asked_for_and_to_the_bit() {
    let mut tensors = floating("tf_slim.inception_v3");
    let name = "InceptionV3/Logits/Conv2d_1c_1x1/weights";
    let (inputs, classes) = (2048, 1001);
    let value = |input: usize, class: usize| (input * classes + class) as f32 * 1e-7 - 0.1;
    let numbers = (0..inputs * classes).map(|i| value(i / classes, i % classes));
    let weight = Tensor::owned(vec![1, 1, inputs, classes], numbers.collect());
    tensors.insert(name.into(), weight);
    let biases: Vec<f32> = (0..classes).map(|class| class as f32).collect();
    let bias = "InceptionV3/Logits/Conv2d_1c_1x1/biases";
    tensors.insert(bias.into(), Tensor::owned(vec![classes], biases));
    let file = File::new(tensors);

    let as_it_is = file.open(&Request::default()).unwrap();
    assert_eq!(as_it_is.net.options().classes, 1001);
    let all = as_it_is
        .weights
        .get("logits/weight")
        .unwrap()
        .values()
        .into_owned();
    assert_eq!(all[3 * inputs + 5], value(5, 3));

    let asked = Request {
        drop_background: true,
        ..Request::default()
    };
    for classes in [None, Some(1000)] {
        let opened = file
            .open(&Request {
                classes,
                ..asked.clone()
            })
            .unwrap();
        assert_eq!(opened.net.options().classes, 1000);
        assert_eq!(
            opened.weights.get("logits/weight").unwrap().values(),
            &all[inputs..]
        );
        let bias = opened
            .weights
            .get("logits/bias")
            .unwrap()
            .values()
            .into_owned();
        assert_eq!((bias[0], bias.len()), (1.0, 1000));
        opened.weights.check(&opened.net).unwrap();
        assert!(opened.report.to_string().contains("1000 of 1001 classes"));
    }

    // Nothing is guessed.
    let classes = Some(1000);
    let error = file
        .open(&Request {
            classes,
            ..Request::default()
        })
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("expected [1000], found [1001]"), "{text}");
    assert!(
        error.hint().unwrap().contains("--drop-background"),
        "{error}"
    );
    let again = Request {
        classes: Some(1001),
        ..asked
    };
    assert!(
        file.open(&again)
            .unwrap_err()
            .to_string()
            .contains("expected [1002], found [1001]")
    );
}

#[test]
fn a_classifier_for_other_classes_is_made_only_when_asked_for() {
    let file = File::new(floating("timm.inception_v4"));
    let ten = Request {
        classes: Some(10),
        ..Request::default()
    };
    let error = file.open(&ten).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`last_linear.bias`: expected [10], found [1000]")
    );
    assert!(
        error.hint().unwrap().contains("--reset-classifier"),
        "{error}"
    );
    let opened = file
        .open(&Request {
            reset_classifier: Some(7),
            ..ten
        })
        .unwrap();
    opened.weights.check(&opened.net).unwrap();
    let fresh = Weights::initial(&opened.net, 7);
    let name = "logits/weight";
    assert_eq!(
        opened.weights.get(name).unwrap().values(),
        fresh.get(name).unwrap().values()
    );
    let replaced: Vec<&str> = opened
        .report
        .ignored
        .iter()
        .filter(|ignored| ignored.reason.contains("replaced"))
        .map(|ignored| ignored.source.as_str())
        .collect();
    assert_eq!(replaced, ["last_linear.bias", "last_linear.weight"]);
    assert_eq!(opened.report.made.len(), 2);
}

#[test]
fn a_file_without_classifier_serves_outputs_that_need_none() {
    let mut tensors = floating("facenet_pytorch.inception_resnet_v1");
    tensors.remove("logits.weight");
    tensors.remove("logits.bias");
    let file = File::new(tensors);
    let error = file.open(&Request::default()).unwrap_err();
    assert!(error.to_string().contains("2 missing:"), "{error}");
    assert!(
        error.hint().unwrap().contains("--reset-classifier"),
        "{error}"
    );
    let without = Request {
        without_classifier: true,
        ..Request::default()
    };
    let opened = file.open(&without).unwrap();
    assert_eq!(opened.entry.variant, "facenet");
    opened.weights.check(&opened.net).unwrap();
    assert_eq!(opened.report.made.len(), 2);
    // The same again from the recipe alone, as `check` does it.
    let recipe = opened.weights.recipe().unwrap();
    let again = load(&opened.net, &file.path(), Some(recipe)).unwrap();
    assert_eq!(again.weights.sha256(), opened.weights.sha256());
    // Where the file has one it is taken.
    let whole = File::new(floating("facenet_pytorch.inception_resnet_v1"));
    let opened = whole.open(&without).unwrap();
    assert_eq!(opened.net.options().classes, 8631);
    assert!(opened.report.made.is_empty());
}

#[test]
fn an_auxiliary_head_is_left_out_kept_or_missed() {
    for list in ["torchvision.inception_v3", "tf_slim.inception_v4"] {
        let file = File::new(floating(list));
        let opened = file.open(&Request::default()).unwrap();
        assert!(!opened.net.options().auxiliary_head);
        let reasons = opened.report.ignored.iter();
        let auxiliary = reasons.filter(|ignored| ignored.reason.contains("auxiliary head"));
        assert!(auxiliary.count() >= 10, "{list}");
        opened.weights.check(&opened.net).unwrap();
        let kept = Request {
            keep_auxiliary_head: true,
            ..Request::default()
        };
        let opened = file.open(&kept).unwrap();
        assert!(opened.weights.get("auxiliary_logits/weight").is_some());
        opened.weights.check(&opened.net).unwrap();
    }
    let file = File::new(floating("timm.inception_v4"));
    let options = NetOptions {
        auxiliary_head: true,
        ..NetOptions::default()
    };
    let error = open(&file.path(), &Request::default(), &options).unwrap_err();
    assert!(error.to_string().contains("12 missing:"), "{error}");
    assert!(
        error.hint().unwrap().contains("no auxiliary head"),
        "{error}"
    );
}

#[test]
fn training_leftovers_of_tensorflow_are_left_out_and_averages_only_used_when_asked_for() {
    let list = "tf_slim.inception_v3";
    let mut tensors = tensors_of(list);
    for (name, tensor) in tensors_of(list) {
        if !tensor.element_type().is_floating() {
            continue;
        }
        let shape = tensor.shape();
        for slot in ["RMSProp", "RMSProp_1", "Momentum"] {
            tensors.insert(format!("{name}/{slot}"), filled(shape, -1.0));
        }
        tensors.insert(
            format!("{name}/ExponentialMovingAverage"),
            filled(shape, -2.0),
        );
    }
    tensors.insert("beta1_power".into(), filled(&[], 0.9));
    let file = holding(tensors.clone());
    let first = |imported: &Imported| {
        let weights = &imported.weights;
        weights.get("stem.0/conv_3x3/weight").unwrap().values()[0]
    };
    let (net, plain) = imported(&file);
    assert!(first(&plain) > 0.0);
    let text = plain.report.to_string();
    assert!(
        text.contains("ignored: an average; --names tf_slim:ema uses these"),
        "{text}"
    );
    assert!(text.contains("ignored: a state of the optimizer"), "{text}");

    let choice = Choice {
        names: Some("tf_slim:ema".parse::<NamesChoice>().unwrap()),
        ..Choice::default()
    };
    let naming = recognise(&file, &choice).unwrap().naming;
    assert_eq!(naming.to_string(), "tf_slim:ema");
    let averaged = import(&file, &net, &Recipe::of(naming)).unwrap();
    assert_eq!(first(&averaged), -2.0);
    let text = averaged.report.to_string();
    assert!(text.contains("ignored: its average is used"), "{text}");

    // A slot of a variable that is not the network's is not explained away.
    tensors.insert(
        "InceptionV3/Other/weights/RMSProp".into(),
        filled(&[1], 0.0),
    );
    let error = import(
        &holding(tensors),
        &net,
        &Recipe::of(Naming::of(Library::TfSlim)),
    );
    assert!(error.unwrap_err().to_string().contains("1 unused:"));
}

#[test]
fn another_network_than_the_one_asked_for_is_an_error_that_names_both() {
    let file = checkpoint("timm.inception_v4");
    let asked = |network: &str, variant: Option<&str>| {
        let choice = Choice {
            network: Some(network.into()),
            variant: variant.map(str::to_string),
            ..Choice::default()
        };
        recognise(&file, &choice)
    };
    for (network, variant) in [
        ("inception_resnet_v2", None),
        ("inception_v3", Some("tensorflow")),
        ("inception_v4", Some("paper")),
    ] {
        let error = asked(network, variant).unwrap_err();
        assert!(
            matches!(error, WeightsError::OtherNetwork { .. }),
            "{error}"
        );
        let text = error.to_string();
        assert!(text.contains(&format!("`{network}`")), "{text}");
        assert!(
            text.contains("found `inception_v4` (published) in the names of timm"),
            "{text}"
        );
    }
    assert_eq!(
        asked("inception_v4", None).unwrap().entry.variant,
        "published"
    );

    // The layers of Inception-v3 are the same in both variants: the other one may be asked for.
    let file = checkpoint("torchvision.inception_v3");
    for variant in ["torchvision", "tensorflow"] {
        let choice = Choice {
            variant: Some(variant.into()),
            ..Choice::default()
        };
        let recognised = recognise(&file, &choice).unwrap();
        assert_eq!(recognised.entry.variant, variant);
        assert_eq!(recognised.naming.library, Library::Torchvision);
    }
    let choice = Choice {
        names: Some("timm".parse().unwrap()),
        ..Choice::default()
    };
    assert_eq!(
        recognise(&file, &choice).unwrap().entry.variant,
        "torchvision"
    );
    assert!(
        "pytorch"
            .parse::<NamesChoice>()
            .unwrap_err()
            .contains("facenet_pytorch")
    );
    assert!("timm:ema".parse::<NamesChoice>().is_err());
}

#[test]
fn names_of_nobody_are_said_to_be_like_the_nearest() {
    let other = |names: &[&str]| {
        let tensors = names
            .iter()
            .map(|name| ((*name).to_string(), filled(&[3], 0.0)));
        recognise(&holding(tensors.collect()), &Choice::default()).unwrap_err()
    };
    let error = other(&["layer1.0.conv1.weight", "layer1.0.bn1.weight"]);
    assert!(
        matches!(error, WeightsError::Unrecognised { like: None, .. }),
        "{error}"
    );
    let text = other(&["features.0.conv.weigth", "features.0.bn.weight"]).to_string();
    assert!(
        text.contains("most like `inception_v4` (published) in the names of timm"),
        "{text}"
    );
    assert!(
        text.contains("lacks `features.0.conv.weight` (is it `features.0.conv.weigth`?)"),
        "{text}"
    );
    assert!(other(&[]).to_string().contains("0 tensors"));
}

fn small(entry: &zoo::Entry, width_multiplier: f64) -> Net {
    let options = NetOptions {
        classes: 7,
        width_multiplier,
        ..NetOptions::default()
    };
    entry.build(&options.image_size(75)).unwrap()
}

#[test]
fn our_own_files_are_recognised_with_their_width_and_classes() {
    for entry in zoo::REGISTRY {
        for width in [1.0, 0.5, 0.25, 0.1, 0.05, 0.37] {
            let net = small(entry, width);
            // Widths of nothing but shapes: the numbers do not matter.
            let tensors = net
                .parameters()
                .into_iter()
                .map(|p| (p.name, filled(&p.shape, 0.5)));
            let mut file = holding(tensors.collect());
            let either = Choice::default();
            if entry.name == "inception_v3" {
                // Both variants have the same tensors: only what the file says, or the user, can tell.
                let error = recognise(&file, &either).unwrap_err();
                assert!(matches!(error, WeightsError::Ambiguous { .. }), "{error}");
                file.metadata.insert("network".into(), entry.name.into());
                file.metadata.insert("variant".into(), entry.variant.into());
            }
            let recognised = recognise(&file, &either).unwrap();
            let found = (recognised.entry.name, recognised.entry.variant);
            assert_eq!(found, (entry.name, entry.variant), "width {width}");
            assert_eq!(recognised.naming.library, Library::Incept);
            assert_eq!(recognised.classes, Some(7));
            let options = NetOptions {
                classes: 7,
                width_multiplier: recognised.width_multiplier,
                ..NetOptions::default()
            };
            let rebuilt = entry.build(&options.image_size(75)).unwrap();
            assert_eq!(
                rebuilt.parameters(),
                net.parameters(),
                "{found:?} width {width}"
            );
            assert_eq!(recognised.width_multiplier, width, "{found:?}");
        }
    }
}

#[test]
fn conversion_writes_our_names_the_same_bytes_and_what_it_is() {
    let source = File::new(floating("torchvision.inception_v3"));
    let opened = source.open(&Request::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let metadata = BTreeMap::from([
        ("network".to_string(), opened.entry.name.to_string()),
        ("variant".to_string(), opened.entry.variant.to_string()),
    ]);
    let written = |name: &str| {
        let path = folder.path().join(name);
        let opened = source.open(&Request::default()).unwrap();
        opened.weights.write(&path, &metadata).unwrap();
        path
    };
    let (a, b) = (written("a"), written("b"));
    assert!(fs::read(&a).unwrap() == fs::read(&b).unwrap());
    let back = open(&a, &Request::default(), &NetOptions::default()).unwrap();
    assert_eq!(back.entry.variant, "torchvision");
    assert_eq!(back.report.recipe, Recipe::of(Naming::of(Library::Incept)));
    assert_eq!(back.weights.sha256(), opened.weights.sha256());
}

#[test]
fn numbers_of_half_the_size_and_of_twice_are_taken() {
    let list = "timm.inception_v4";
    for (element_type, bytes) in [
        (ElementType::Float16, vec![0x00, 0x3e]),
        (ElementType::BFloat16, vec![0xc0, 0x3f]),
        (ElementType::Float64, 1.5_f64.to_le_bytes().to_vec()),
    ] {
        let tensors = tensors_of(list).into_iter().map(|(name, tensor)| {
            let shape = tensor.shape().to_vec();
            if !tensor.element_type().is_floating() {
                return (name, tensor);
            }
            let strides = vec![0; shape.len()];
            let bytes = Bytes::from(bytes.clone());
            (
                name,
                Tensor::strided(bytes, element_type, shape, strides, 0).unwrap(),
            )
        });
        let (_, Imported { weights, .. }) = imported(&holding(tensors.collect()));
        assert_eq!(weights.get("logits/bias").unwrap().values()[0], 1.5);
    }
}

/// What is hashed as a checkpoint is what is read: an index and its own shards, by whichever name it is called.
#[test]
fn the_files_of_a_checkpoint_are_its_index_and_shards() {
    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| folder.path().join(name);
    let own = [
        "model.ckpt.index",
        "model.ckpt.data-00000-of-00002",
        "model.ckpt.data-00001-of-00002",
    ];
    let others = [
        "model.ckpt.meta",
        "other.ckpt.data-00000-of-00001",
        "one.h5",
    ];
    for name in own.iter().chain(&others) {
        fs::write(inside(name), b"").unwrap();
    }
    let expected: Vec<_> = own.iter().map(|name| inside(name)).collect();
    for name in own.iter().chain(&["model.ckpt"]) {
        assert_eq!(files_of(&inside(name)), expected, "{name}");
    }
    assert_eq!(files_of(&inside("one.h5")), [inside("one.h5")]);
    assert_eq!(files_of(&inside("absent")), [inside("absent")]);
}
