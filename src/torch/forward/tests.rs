#![allow(clippy::unwrap_used)]
use super::*;
use crate::exporters::net::{NetOptions, valid};
use crate::exporters::weights::{Tensor as Named, randomised_values};
use crate::exporters::zoo;
use crate::torch::Reference;
use ndarray::{Array, IxDyn};
use std::collections::BTreeMap;

fn small(name: &str) -> Net {
    let options = NetOptions {
        classes: 10,
        width_multiplier: 0.1,
        ..NetOptions::default()
    };
    let entry = zoo::find(name, None).unwrap();
    entry.build(&options.image_size(75)).unwrap()
}

fn randomised(net: &Net) -> Weights {
    let tensors: BTreeMap<_, _> = net
        .parameters()
        .into_iter()
        .map(|p| {
            (
                p.name.clone(),
                Named::owned(p.shape.clone(), randomised_values(3, &p)),
            )
        })
        .collect();
    Weights::from_tensors(tensors, "test")
}

fn image(batch: usize, side: usize) -> Vec<f32> {
    crate::exporters::weights::random_image(5, batch * 3 * side * side)
}

fn tensor(batch: usize, side: usize) -> Tensor {
    Tensor::from_slice(&image(batch, side)).view([batch as i64, 3, side as i64, side as i64])
}

/// The greatest difference, as a share of the greatest value.
fn difference(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (a.to_kind(Kind::Double), b.to_kind(Kind::Double));
    let scale = b.abs().max().double_value(&[]);
    (a - b).abs().max().double_value(&[]) / scale
}

#[test]
fn float32_agrees_with_float64_in_every_node_of_every_network() {
    let options = NetOptions {
        classes: 10,
        width_multiplier: 0.1,
        ..NetOptions::default()
    };
    let options = options.image_size(75);
    let with_head = NetOptions {
        auxiliary_head: true,
        ..options.clone()
    };
    for entry in zoo::REGISTRY {
        let net = entry.build(&with_head).or_else(|_| entry.build(&options));
        let net = net.unwrap();
        let weights = randomised(&net);
        let all: Vec<NodeId> = net
            .nodes()
            .iter()
            .map(|n| net.id(&n.name).unwrap())
            .collect();
        let run = |kind| {
            let model = Model::new(&net, &weights, kind, Device::Cpu).unwrap();
            model.forward_values(&tensor(2, 75), &all).unwrap()
        };
        let (single, double) = (run(Kind::Float), run(Kind::Double));
        for ((id, a), b) in all.iter().zip(&single).zip(&double) {
            let found = difference(a, b);
            assert!(found < 2e-5, "{}: {found}", net.at(*id).name);
            // And they are not the same numbers cast.
            assert_eq!(b.kind(), Kind::Double);
        }
        let exact = difference(single.last().unwrap(), double.last().unwrap());
        assert!(exact > 0.0, "float32 cannot be exact");
    }
}

#[test]
fn the_auxiliary_head_stands_beside_the_logits_and_changes_none() {
    let build = |auxiliary_head| {
        let options = NetOptions {
            classes: 10,
            width_multiplier: 0.1,
            auxiliary_head,
            ..NetOptions::default()
        };
        let entry = zoo::find("inception_v3", None).unwrap();
        entry.build(&options.image_size(75)).unwrap()
    };
    let run = |net: &Net| {
        let model = Model::new(net, &randomised(net), Kind::Float, Device::Cpu).unwrap();
        model
            .training_logits(&tensor(2, 75), Mode::Evaluation)
            .unwrap()
    };
    let (alone, none) = run(&build(false));
    let (logits, auxiliary) = run(&build(true));
    assert!(none.is_none());
    assert_eq!(auxiliary.unwrap().size(), [2, 10]);
    assert!(alone.equal(&logits));
}

#[test]
fn an_embedding_has_length_one_and_nothing_divides_by_zero() {
    let net = Net::build(
        "test",
        "paper",
        &NetOptions::default().image_size(75),
        |image| {
            image
                .stage("stem", 1, [4, 299, 299], |x| x.conv_1x1(4))
                .embedding_and_classifier(6)
        },
    )
    .unwrap();
    let embedding = [net.id("embedding").unwrap()];
    let run = |weights: &Weights| {
        let model = Model::new(&net, weights, Kind::Double, Device::Cpu).unwrap();
        model
            .forward_values(&tensor(3, 75), &embedding)
            .unwrap()
            .remove(0)
    };
    let lengths = run(&randomised(&net))
        .square()
        .sum_dim_intlist(1, false, Kind::Double);
    let worst = (lengths - 1.0).abs().max().double_value(&[]);
    assert!(worst < 1e-12, "{worst}");
    // Where every feature is 0 the quotient is 0, not NaN.
    let zeros = net.parameters().into_iter().map(|p| {
        let elements = p.elements();
        (p.name, Named::owned(p.shape, vec![0.0; elements]))
    });
    let dead = run(&Weights::from_tensors(zeros.collect(), "test"));
    assert_eq!(dead.abs().max().double_value(&[]), 0.0);
}

#[test]
fn asking_for_inner_values_changes_none_and_the_order_is_as_asked() {
    let net = small("inception_resnet_v2");
    let model = Model::new(&net, &randomised(&net), Kind::Float, Device::Cpu).unwrap();
    let all: Vec<NodeId> = net
        .nodes()
        .iter()
        .map(|n| net.id(&n.name).unwrap())
        .collect();
    let together = model.forward_values(&tensor(1, 75), &all).unwrap();
    for name in [
        "logits",
        "stem.0/conv_3x3",
        "image",
        "inception_resnet_b.1/relu",
    ] {
        let id = net.id(name).unwrap();
        let alone = model.forward_values(&tensor(1, 75), &[id, all[0]]).unwrap();
        assert_eq!(alone[0], together[id.index()], "{name}");
        assert_eq!(alone[1], together[0]);
    }
    let stages: Vec<NodeId> = net.stages().iter().rev().map(|s| s.output).collect();
    for (id, value) in stages
        .iter()
        .zip(model.forward_values(&tensor(1, 75), &stages).unwrap())
    {
        assert_eq!(value, together[id.index()], "{}", net.at(*id).name);
    }
}

/// One small network with every kind of node, against sums written out here.
#[test]
fn pools_concatenation_and_residuals_are_what_their_nodes_say() {
    let net = small("inception_resnet_v1");
    let model = Model::new(&net, &randomised(&net), Kind::Double, Device::Cpu).unwrap();
    let all: Vec<NodeId> = net
        .nodes()
        .iter()
        .map(|n| net.id(&n.name).unwrap())
        .collect();
    let values = model.forward_values(&tensor(1, 75), &all).unwrap();
    let value = |id: &NodeId| &values[id.index()];
    let mut seen = [0; 4];
    for (node, id) in net.nodes().iter().zip(&all) {
        let found = value(id);
        match node.op {
            Op::ScaledAdd { scale } => {
                let expected = value(&node.inputs[0]) + value(&node.inputs[1]) * scale;
                assert!(difference(found, &expected) < 1e-14, "{}", node.name);
                seen[0] += 1;
            }
            Op::BatchNorm { epsilon } => {
                let of = |name: &str| {
                    let weights = randomised(&net);
                    let t = weights
                        .get(&format!("{}/{name}", node.name))
                        .unwrap()
                        .clone();
                    Tensor::from_slice(&t.values())
                        .to_kind(Kind::Double)
                        .view([1, -1, 1, 1])
                };
                let x = value(&node.inputs[0]);
                let normal = (x - of("running_mean")) / (of("running_variance") + epsilon).sqrt();
                let expected = normal * of("gamma") + of("beta");
                assert!(difference(found, &expected) < 1e-12, "{}", node.name);
                seen[1] += 1;
            }
            Op::Concatenate => {
                let mut at = 0;
                for input in &node.inputs {
                    let channels = net.at(*input).shape.channels() as i64;
                    assert_eq!(
                        &found.narrow(1, at, channels),
                        value(input),
                        "{}",
                        node.name
                    );
                    at += channels;
                }
                seen[2] += 1;
            }
            Op::GlobalAveragePool => {
                let x = value(&node.inputs[0]);
                let size = x.size();
                let expected = x
                    .view([size[0], size[1], -1])
                    .sum_dim_intlist(2, false, None)
                    / ((size[2] * size[3]) as f64);
                assert!(difference(found, &expected) < 1e-14, "{}", node.name);
                seen[3] += 1;
            }
            _ => {}
        }
    }
    assert!(seen.iter().all(|&count| count > 0), "{seen:?}");
}

#[test]
fn an_average_pool_divides_by_the_real_pixels() {
    let options = NetOptions::default().image_size(75);
    let net = Net::build("pool", "test", &options, |x| x.average_pool_3x3_same()).unwrap();
    let weights = Weights::from_tensors(BTreeMap::new(), "none");
    let model = Model::new(&net, &weights, Kind::Double, Device::Cpu).unwrap();
    let ones = Tensor::ones([1, 3, 75, 75], (Kind::Float, Device::Cpu));
    let last = net.id(&net.nodes().last().unwrap().name).unwrap();
    let pooled = model.forward_values(&ones, &[last]).unwrap().remove(0);
    // With the padding counted the corner would be 4/9.
    assert_eq!(pooled.double_value(&[0, 0, 0, 0]), 1.0);
    assert_eq!(pooled.min().double_value(&[]), 1.0);
}

#[test]
fn training_moves_the_statistics_by_momentum_times_the_unbiased_variance() {
    let options = NetOptions::default().image_size(75);
    let net = Net::build("one", "test", &options, |x| x.conv_3x3(valid(2).stride(2))).unwrap();
    let model = Model::new(&net, &randomised(&net), Kind::Double, Device::Cpu).unwrap();
    let of = |model: &Model, suffix: &str| {
        let weights = model.weights("test").unwrap();
        let found = weights
            .iter()
            .find(|(name, _)| name.ends_with(suffix))
            .unwrap();
        found.1.values().to_vec()
    };
    let before = (of(&model, "running_mean"), of(&model, "running_variance"));
    let nodes = net.nodes();
    let convolution = net.id(&nodes[1].name).unwrap();
    let x = model
        .forward_values(&tensor(4, 75), &[convolution])
        .unwrap()
        .remove(0);
    let after_evaluation = (of(&model, "running_mean"), of(&model, "running_variance"));
    assert_eq!(before, after_evaluation);
    let mode = Mode::Training {
        batch_norm_momentum: 0.25,
        dropout_seed: 1,
    };
    let last = net.id(&nodes[3].name).unwrap();
    model.compute(&tensor(4, 75), &[last], mode).unwrap();
    for channel in 0..2 {
        let values = x.narrow(1, channel, 1).contiguous().view(-1);
        let (mean, variance) = (values.mean(None), values.var(true));
        for (before, found, batch) in [
            (&before.0, of(&model, "running_mean"), mean),
            (&before.1, of(&model, "running_variance"), variance),
        ] {
            let channel = channel as usize;
            let expected = 0.75 * f64::from(before[channel]) + 0.25 * batch.double_value(&[]);
            let found = f64::from(found[channel]);
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}

#[test]
fn dropout_acts_in_training_only_and_is_decided_by_its_seed() {
    let net = small("inception_v4");
    let model = Model::new(&net, &randomised(&net), Kind::Float, Device::Cpu).unwrap();
    let pooled = net.id("features").unwrap();
    let kept = net.id("dropout").unwrap();
    let training = |dropout_seed| Mode::Training {
        batch_norm_momentum: 0.0,
        dropout_seed,
    };
    let run = |mode| {
        let values = model
            .compute(&tensor(8, 75), &[pooled, kept], mode)
            .unwrap();
        (to_vec(&values[0]).unwrap(), to_vec(&values[1]).unwrap())
    };
    let (before, after) = run(Mode::Evaluation);
    assert_eq!(before, after);
    let (before, after) = run(training(1));
    let dropped = before
        .iter()
        .zip(&after)
        .filter(|&(&before, &after)| {
            assert!(after == 0.0 || (after - before * 1.25).abs() <= 1e-6 * before.abs());
            after == 0.0 && before != 0.0
        })
        .count();
    let share = dropped as f64 / before.iter().filter(|&&x| x != 0.0).count() as f64;
    assert!((0.15..0.25).contains(&share), "{share}");
    assert_eq!(run(training(1)).1, after);
    assert_ne!(run(training(2)).1, after);
}

#[test]
fn one_wrong_weight_changes_the_output() {
    let net = small("inception_v4");
    let weights = randomised(&net);
    let logits = |weights: &Weights| {
        let model = Model::new(&net, weights, Kind::Float, Device::Cpu).unwrap();
        to_vec(&model.logits(&tensor(1, 75), Mode::Evaluation).unwrap()).unwrap()
    };
    let right = logits(&weights);
    let mut planted = weights.clone();
    let name = "stem.0/conv_3x3/weight";
    let tensor = weights.get(name).unwrap();
    let mut values = tensor.values().to_vec();
    values[7] += 0.25;
    planted.insert(name, Named::owned(tensor.shape().to_vec(), values));
    let wrong = logits(&planted);
    assert!(
        right.iter().zip(&wrong).any(|(a, b)| (a - b).abs() > 1e-4),
        "{right:?} {wrong:?}"
    );
}

#[test]
fn the_reference_gives_float64_values_of_the_asked_nodes() {
    let net = small("inception_resnet_v1");
    let weights = randomised(&net);
    let reference = Reference::new(&net, &weights).unwrap();
    let images = Array::from_shape_vec(IxDyn(&[2, 3, 75, 75]), image(2, 75)).unwrap();
    let ids = [net.id("logits").unwrap(), net.id("features").unwrap()];
    let values = reference.run(images.view(), &ids).unwrap();
    assert_eq!(values[0].shape(), [2, 10]);
    let model = Model::new(&net, &weights, Kind::Double, Device::Cpu).unwrap();
    let expected = model.forward_values(&tensor(2, 75), &ids).unwrap();
    for (found, expected) in values.iter().zip(&expected) {
        let expected = Vec::<f64>::try_from(expected.view(-1)).unwrap();
        assert_eq!(found.iter().copied().collect::<Vec<f64>>(), expected);
    }
    // A view that is not in row-major order gives the same.
    let turned = images.view().permuted_axes(IxDyn(&[0, 1, 3, 2])).to_owned();
    let back = turned.view().permuted_axes(IxDyn(&[0, 1, 3, 2]));
    assert_eq!(reference.run(back, &ids).unwrap(), values);
}

#[test]
fn wrong_images_weights_and_nodes_are_named() {
    let net = small("inception_resnet_v1");
    let mut weights = randomised(&net);
    let model = Model::new(&net, &weights, Kind::Float, Device::Cpu).unwrap();
    let error = model.logits(&tensor(1, 80), Mode::Evaluation).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("`image`") && text.contains("[N, 3, 75, 75]"),
        "{text}"
    );
    assert!(text.contains("[1, 3, 80, 80]"), "{text}");
    let empty = Tensor::zeros([0, 3, 75, 75], (Kind::Float, Device::Cpu));
    assert!(model.logits(&empty, Mode::Evaluation).is_err());
    let error = Model::new(&net, &weights, Kind::Half, Device::Cpu)
        .err()
        .unwrap();
    assert!(matches!(error, TorchError::ElementType { .. }), "{error}");
    weights.insert("logits/weight", Named::owned(vec![1, 2], vec![0.0; 2]));
    let error = Model::new(&net, &weights, Kind::Float, Device::Cpu)
        .err()
        .unwrap();
    assert!(error.to_string().contains("logits/weight"), "{error}");
    let other = small("inception_v4");
    let far = other.id("logits").unwrap();
    assert!(far.index() >= net.nodes().len());
    let error = model.forward_values(&tensor(1, 75), &[far]).unwrap_err();
    assert!(matches!(error, TorchError::NoSuchNode { .. }), "{error}");
}
