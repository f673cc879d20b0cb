#![allow(clippy::unwrap_used)]
use incept_exporters::net::NetOptions;
use incept_exporters::weights::{random_image, stream_key, uniform};
use incept_exporters::zoo;

use super::*;
use crate::torch::Reference;

fn small(network: &str, variant: Option<&str>) -> Net {
    let options = NetOptions {
        classes: 10,
        width_multiplier: 0.1,
        ..NetOptions::default()
    };
    let entry = zoo::find(network, variant).unwrap();
    entry.build(&options.image_size(75)).unwrap()
}

fn image() -> ArrayD<f32> {
    ArrayD::from_shape_vec(IxDyn(&[1, 3, 75, 75]), random_image(3, 3 * 75 * 75)).unwrap()
}

/// Every node of a network, all of whose values are given.
fn trace(oracle: &Oracle, net: &Net, image: &ArrayD<f32>, rounding: &Rounding) -> Vec<Traced> {
    let mut traced = vec![oracle.image(image.view(), rounding, 0.0).unwrap()];
    for node in &net.nodes()[1..] {
        let inputs: Vec<TracedInput<'_>> = node
            .inputs
            .iter()
            .map(|input| TracedInput {
                traced: &traced[input.index()],
                given: true,
            })
            .collect();
        let id = net.id(&node.name).unwrap();
        let next = oracle.step(id, &inputs, rounding).unwrap();
        traced.push(next);
    }
    traced
}

#[test]
fn values_are_the_references() {
    for (network, variant) in [
        ("inception_resnet_v2", None),
        ("inception_resnet_v1", Some("facenet")),
    ] {
        let net = small(network, variant);
        let weights = Weights::randomised(&net, 5);
        let oracle = Oracle::new(&net, &weights).unwrap();
        let traced = trace(&oracle, &net, &image(), &Rounding::FLOAT32);
        let reference = Reference::new(&net, &weights).unwrap();
        let ids: Vec<NodeId> = net
            .nodes()
            .iter()
            .map(|n| net.id(&n.name).unwrap())
            .collect();
        let values = reference.run(image().view(), &ids[1..]).unwrap();
        for (traced, value) in traced[1..].iter().zip(values) {
            assert_eq!(traced.value().unwrap(), value);
        }
    }
}

/// What the oracle says of every value's accumulated deviation, over what it is where the weights are changed at random:
/// `change` is given a weight's part of [-1, 1] and the largest of its filter.
fn over_measured(rounding: &Rounding, change: impl Fn(f64, f64, f64) -> f64) -> Vec<(String, f64)> {
    let net = small("inception_v4", None);
    let weights = Weights::randomised(&net, 5);
    let oracle = Oracle::new(&net, &weights).unwrap();
    let traced = trace(&oracle, &net, &image(), rounding);
    let mut square: Vec<ArrayD<f64>> = vec![];
    let runs = 6;
    for run in 0..runs {
        let key = stream_key(run, "weights");
        let mut index = 0;
        let mut changed = weights.clone();
        for (name, tensor) in weights.iter().filter(|(name, _)| name.ends_with("/weight")) {
            let shape = tensor.shape().to_vec();
            let mut values = tensor.values().into_owned();
            let each = values.len() / shape[0];
            for filter in values.chunks_mut(each) {
                let largest = filter
                    .iter()
                    .fold(0.0, |most: f64, &w| most.max(f64::from(w).abs()));
                for value in filter {
                    index += 1;
                    let part = 2.0 * uniform(key, index) - 1.0;
                    *value = change(f64::from(*value), largest, part) as f32;
                }
            }
            changed.insert(
                name,
                crate::exporters::weights::Tensor::owned(shape, values),
            );
        }
        let other = Oracle::new(&net, &changed).unwrap();
        let values = trace(&other, &net, &image(), rounding);
        for (place, (value, traced)) in values.iter().zip(&traced).enumerate() {
            let error = value.value().unwrap() - traced.value().unwrap();
            match square.get_mut(place) {
                Some(sum) => *sum += &error.mapv(|e| e * e),
                None => square.push(error.mapv(|e| e * e)),
            }
        }
    }
    let pairs = net.nodes().iter().zip(traced.iter().zip(square)).skip(1);
    let ratios = pairs.filter_map(|(node, (traced, square))| {
        let found = (square.sum() / runs as f64).sqrt();
        let deviation = traced.accumulated().unwrap();
        let expected = deviation.mapv(|d| f64::from(d).powi(2)).sum().sqrt();
        let both_zero = found == 0.0 && expected == 0.0;
        (!both_zero).then(|| (node.name.clone(), expected / found))
    });
    ratios.collect()
}

const EXACT: Rounding = Rounding {
    given: 0.0,
    rounded: 0.0,
    weights: 0.0,
    sums: 0.0,
    values: 0.0,
    smallest: 0.0,
    int8: false,
};

/// The accumulated deviation is what errors in the weights really do: a network whose every weight is off by a random part
/// of a unit roundoff, many times, against the deviation of no other rounding. Errors of neighbours are taken for
/// independent by convolutions and for equal by pools; so the two differ, and by this much at most.
#[test]
fn accumulated_deviations_are_those_of_random_errors() {
    let unit = 8_192.0;
    let rounding = Rounding {
        weights: unit,
        ..EXACT
    };
    for (node, ratio) in over_measured(&rounding, |w, _, part| w * (1.0 + part * unit * UNIT)) {
        assert!((0.6..6.0).contains(&ratio), "{node}: {ratio}");
    }
}

/// The same of weights stored as int8, off by up to half a step. Errors are that large that they lift values over the edge
/// of ReLU, more of them in each layer: so the stem is looked at.
#[test]
fn deviations_of_int8_weights_are_those_of_half_a_step() {
    let rounding = Rounding {
        int8: true,
        ..EXACT
    };
    let ratios = over_measured(&rounding, |w, largest, part| w + part * largest / 254.0);
    let stem: Vec<_> = ratios
        .iter()
        .filter(|(node, _)| node.starts_with("stem."))
        .collect();
    assert!(stem.len() > 30);
    for (node, ratio) in stem {
        assert!((0.6..6.0).contains(ratio), "{node}: {ratio}");
    }
}

#[test]
fn numbers_below_the_smallest_normal_one_keep_its_error() {
    let net = small("inception_v4", None);
    let oracle = Oracle::new(&net, &Weights::randomised(&net, 5)).unwrap();
    let rounding = Rounding {
        given: 8_192.0,
        values: 8_192.0,
        smallest: 1.0 / 16_384.0,
        ..Rounding::FLOAT32
    };
    let tiny = image().mapv(|value| value * 1e-9);
    let traced = trace(&oracle, &net, &tiny, &rounding);
    // Half the distance of float16's smallest numbers, 2⁻²⁵, over √3.
    let least = 1.0 / f64::from(1 << 25) / 3.0_f64.sqrt();
    let relu = net
        .nodes()
        .iter()
        .position(|node| node.op == Op::Relu)
        .unwrap();
    let deviation = traced[relu].isolated().unwrap();
    let value = traced[relu].value().unwrap();
    for (&deviation, &value) in deviation.iter().zip(&value) {
        assert!(
            value == 0.0 || f64::from(deviation) >= 0.999 * least,
            "{deviation} of {value}"
        );
    }
}
