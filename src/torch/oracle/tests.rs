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

/// The accumulated deviation is what errors in the weights and the image really do: a network whose every weight and
/// pixel is off by a random part of a unit roundoff, many times, against the deviation of no other rounding.
#[test]
fn accumulated_deviations_are_those_of_random_errors() {
    let net = small("inception_v4", None);
    let weights = Weights::randomised(&net, 5);
    let unit = 8_192.0;
    let rounding = Rounding {
        given: 0.0,
        weights: unit,
        sums: 0.0,
        values: 0.0,
        smallest: 0.0,
    };
    let oracle = Oracle::new(&net, &weights).unwrap();
    let traced = trace(&oracle, &net, &image(), &rounding);
    let mut square: Vec<ArrayD<f64>> = vec![];
    let runs = 6;
    for run in 0..runs {
        let key = stream_key(run, "weights");
        let mut index = 0;
        let changed: std::collections::BTreeMap<String, Vec<f32>> = weights
            .iter()
            .map(|(name, tensor)| {
                let off = name.ends_with("/weight");
                let change = |&value: &f32| {
                    index += 1;
                    let part = 2.0 * uniform(key, index) - 1.0;
                    let change = if off { part * unit * UNIT } else { 0.0 };
                    (f64::from(value) * (1.0 + change)) as f32
                };
                (
                    name.to_string(),
                    tensor.values().iter().map(change).collect(),
                )
            })
            .collect();
        let changed = Weights::from_tensors(
            changed
                .into_iter()
                .map(|(name, values)| {
                    let shape = weights.get(&name).unwrap().shape().to_vec();
                    (
                        name,
                        crate::exporters::weights::Tensor::owned(shape, values),
                    )
                })
                .collect(),
            "changed",
        );
        let other = Oracle::new(&net, &changed).unwrap();
        let values = trace(&other, &net, &image(), &rounding);
        for (place, (value, traced)) in values.iter().zip(&traced).enumerate() {
            let error = value.value().unwrap() - traced.value().unwrap();
            match square.get_mut(place) {
                Some(sum) => *sum += &error.mapv(|e| e * e),
                None => square.push(error.mapv(|e| e * e)),
            }
        }
    }
    for (node, (traced, square)) in net.nodes().iter().zip(traced.iter().zip(square)).skip(1) {
        let found = (square.sum() / runs as f64).sqrt();
        let expected = traced
            .accumulated()
            .unwrap()
            .mapv(|d| f64::from(d).powi(2))
            .sum()
            .sqrt();
        if found == 0.0 && expected == 0.0 {
            continue;
        }
        // Errors of neighbours are taken for independent by convolutions and for equal by pools; so the two differ, and by
        // this much at most.
        let ratio = expected / found;
        assert!((0.6..6.0).contains(&ratio), "{}: {ratio}", node.name);
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
