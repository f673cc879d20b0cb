#![allow(clippy::unwrap_used)]
use super::*;
use crate::exporters::net::{Net, NetOptions};
use crate::exporters::zoo;
use tch::{Device, Kind};

/// A layout whose first number is decayed and whose second is not would need a network of two numbers; the rules are
/// tested on a made-up one instead.
fn optimizer(rule: Rule, gradient: GradientSettings, decayed: i64, trained: i64) -> Optimizer {
    let options = (Kind::Double, Device::Cpu);
    Optimizer {
        rule,
        gradient,
        decayed,
        mean_square: matches!(rule, Rule::RmsProp { .. })
            .then(|| Tensor::f_ones([trained], options).unwrap()),
        accumulated: Tensor::f_zeros([trained], options).unwrap(),
    }
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    Vec::<f64>::try_from(tensor).unwrap()
}

fn near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() < 1e-14,
            "expected {expected}, found {found}"
        );
    }
}

const PAPER: Rule = Rule::RmsProp {
    decay: 0.9,
    epsilon: 1.0,
    momentum: 0.9,
};

#[test]
fn rms_prop_takes_tensorflows_steps() {
    let mut optimizer = optimizer(PAPER, GradientSettings::default(), 0, 2);
    let mut weights = Tensor::from_slice(&[1.0_f64, -2.0]);
    // By hand, learning rate 0.1, gradients (2, -0.5):
    // s = 0.9·1 + 0.1·4 = 1.3, 0.9 + 0.1·0.25 = 0.925
    // m = 0.1·2/√2.3 = 0.131876094679157, 0.1·(-0.5)/√1.925 = -0.036037498507822
    let gradient = Tensor::from_slice(&[2.0_f64, -0.5]);
    optimizer.step(&mut weights, gradient, 0.1).unwrap();
    near(
        &numbers(&weights),
        &[1.0 - 0.13187609467915742, -2.0 + 0.03603749850782236],
    );
    near(
        &numbers(optimizer.mean_square.as_ref().unwrap()),
        &[1.3, 0.925],
    );
    // Learning rate 0.05, gradients (-1, 3):
    // s = 0.9·1.3 + 0.1·1 = 1.27, 0.9·0.925 + 0.1·9 = 1.7325
    // m = 0.9·0.131876… - 0.05/√2.27 = 0.085502320…, -0.9·0.036037… + 0.15/√2.7325 = 0.058308842…
    let gradient = Tensor::from_slice(&[-1.0_f64, 3.0]);
    optimizer.step(&mut weights, gradient, 0.05).unwrap();
    near(
        &numbers(&optimizer.accumulated),
        &[0.08550231963124308, 0.0583088419457954],
    );
    near(
        &numbers(&weights),
        &[0.7826215856895995, -2.022271343437973],
    );
}

#[test]
fn pytorchs_form_is_another_optimiser() {
    // s from 0, ε outside the root, the rate outside the momentum: the first step with g = 2, rate 0.1 is
    // 0.1·2/(√0.4 + 1) = 0.122515…, against TensorFlow's 0.131876….
    let mut optimizer = optimizer(PAPER, GradientSettings::default(), 0, 1);
    let mut weights = Tensor::from_slice(&[0.0_f64]);
    optimizer
        .step(&mut weights, Tensor::from_slice(&[2.0_f64]), 0.1)
        .unwrap();
    let pytorch = 0.1 * 2.0 / (0.4_f64.sqrt() + 1.0);
    let found = -numbers(&weights)[0];
    assert!((found - 0.13187609467915742).abs() < 1e-14);
    assert!((found - pytorch).abs() > 0.009, "{found} {pytorch}");
}

#[test]
fn momentum_takes_tensorflows_steps() {
    let rule = Rule::Momentum { momentum: 0.9 };
    let mut optimizer = optimizer(rule, GradientSettings::default(), 0, 1);
    let mut weights = Tensor::from_slice(&[1.0_f64]);
    // m = 2, w = 1 - 0.1·2 = 0.8; m = 0.9·2 - 1 = 0.8, w = 0.8 - 0.05·0.8 = 0.76
    optimizer
        .step(&mut weights, Tensor::from_slice(&[2.0_f64]), 0.1)
        .unwrap();
    near(&numbers(&weights), &[0.8]);
    optimizer
        .step(&mut weights, Tensor::from_slice(&[-1.0_f64]), 0.05)
        .unwrap();
    near(&numbers(&weights), &[0.76]);
    assert_eq!(optimizer.slots().len(), 1);
}

#[test]
fn decay_acts_on_the_first_numbers_only_and_clipping_on_all() {
    let gradient = GradientSettings {
        weight_decay: 0.1,
        clip_norm: Some(1.0),
    };
    let mut optimizer = optimizer(Rule::Momentum { momentum: 0.0 }, gradient, 1, 2);
    let mut weights = Tensor::from_slice(&[10.0_f64, 10.0]);
    // Gradient (2 + 0.1·10, 4) = (3, 4), norm 5, scaled to (0.6, 0.8).
    let norm = optimizer
        .step(&mut weights, Tensor::from_slice(&[2.0_f64, 4.0]), 1.0)
        .unwrap();
    near(&[norm.unwrap()], &[5.0]);
    near(&numbers(&weights), &[9.4, 9.2]);
    // (-0.94 + 0.94, 0.5), norm 0.5: below the limit, so left as it is.
    let small = Tensor::from_slice(&[-0.94_f64, 0.5]);
    optimizer.step(&mut weights, small, 1.0).unwrap();
    near(&numbers(&weights), &[9.4, 8.7]);
}

#[test]
fn a_networks_decayed_numbers_are_its_convolution_and_linear_weights() {
    let options = NetOptions {
        classes: 10,
        width_multiplier: 0.1,
        ..NetOptions::default()
    };
    let entry = zoo::find("inception_resnet_v1", None).unwrap();
    let net: Net = entry.build(&options.image_size(75)).unwrap();
    let layout = Layout::of(&net);
    for variable in layout.variables() {
        let name = &variable.parameter.name;
        let decayed = variable.offset < layout.decayed();
        let trained = variable.offset < layout.trained();
        assert_eq!(decayed, name.ends_with("/weight"), "{name}");
        assert_eq!(trained, !name.contains("/running_"), "{name}");
    }
    let cost = net.cost();
    assert_eq!(layout.trained(), cost.parameters as usize);
    let all: usize = net.parameters().iter().map(|p| p.elements()).sum();
    assert_eq!(layout.total(), all);
}

#[test]
fn a_slot_of_another_length_is_refused() {
    let mut optimizer = optimizer(PAPER, GradientSettings::default(), 0, 3);
    let error = optimizer.set_slot("momentum", &[0.0; 2]).unwrap_err();
    assert!(
        error.to_string().contains("expected 3 numbers, found 2"),
        "{error}"
    );
    optimizer.set_slot("mean_square", &[4.0; 3]).unwrap();
    near(&numbers(optimizer.slots()[0].1), &[4.0; 3]);
}
