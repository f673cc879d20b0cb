//! TF-slim's variables, and those of the original facenet: scopes apart by `/`, all under the network's name.

use super::torchvision::lettered;
use super::{AVERAGE, Network, Stage};

pub(super) const INCEPTION_V4: Network = Network {
    stages: &[
        Stage {
            stage: "stem",
            block: |_| "InceptionV4".into(),
            layers: "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 Mixed_3a/Branch_1/Conv2d_0a_3x3 \
                     Mixed_4a/Branch_0/Conv2d_0a_1x1 Mixed_4a/Branch_0/Conv2d_1a_3x3 \
                     Mixed_4a/Branch_1/Conv2d_0a_1x1 Mixed_4a/Branch_1/Conv2d_0b_1x7 \
                     Mixed_4a/Branch_1/Conv2d_0c_7x1 Mixed_4a/Branch_1/Conv2d_1a_3x3 \
                     Mixed_5a/Branch_0/Conv2d_1a_3x3",
        },
        Stage {
            stage: "inception_a",
            block: |index| lettered("InceptionV4/Mixed_5", 'b', index),
            layers: "Branch_0/Conv2d_0a_1x1 Branch_1/Conv2d_0a_1x1 Branch_1/Conv2d_0b_3x3 \
                     Branch_2/Conv2d_0a_1x1 Branch_2/Conv2d_0b_3x3 Branch_2/Conv2d_0c_3x3 Branch_3/Conv2d_0b_1x1",
        },
        Stage {
            stage: "reduction_a",
            block: |_| "InceptionV4/Mixed_6a".into(),
            layers: REDUCTION_A,
        },
        Stage {
            stage: "inception_b",
            block: |index| lettered("InceptionV4/Mixed_6", 'b', index),
            layers: INCEPTION_B,
        },
        Stage {
            stage: "auxiliary",
            block: |_| "InceptionV4/AuxLogits".into(),
            layers: "Conv2d_1b_1x1 Conv2d_2a",
        },
        Stage {
            stage: "reduction_b",
            block: |_| "InceptionV4/Mixed_7a".into(),
            layers: REDUCTION_B,
        },
        Stage {
            stage: "inception_c",
            block: |index| lettered("InceptionV4/Mixed_7", 'b', index),
            layers: "Branch_0/Conv2d_0a_1x1 Branch_1/Conv2d_0a_1x1 Branch_1/Conv2d_0b_1x3 Branch_1/Conv2d_0c_3x1 \
                     Branch_2/Conv2d_0a_1x1 Branch_2/Conv2d_0b_3x1 Branch_2/Conv2d_0c_1x3 Branch_2/Conv2d_0d_1x3 \
                     Branch_2/Conv2d_0e_3x1 Branch_3/Conv2d_0b_1x1",
        },
    ],
    nodes: &[
        ("auxiliary_logits", &["InceptionV4/AuxLogits/Aux_logits"]),
        ("logits", &["InceptionV4/Logits/Logits"]),
    ],
    slips: &[],
};

pub(super) const INCEPTION_RESNET_V2: Network = Network {
    stages: &[
        Stage {
            stage: "stem",
            block: |_| "InceptionResnetV2".into(),
            layers: "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 Conv2d_3b_1x1 Conv2d_4a_3x3",
        },
        Stage {
            stage: "mixed_5b",
            block: |_| "InceptionResnetV2/Mixed_5b".into(),
            layers: "Branch_0/Conv2d_1x1 Branch_1/Conv2d_0a_1x1 Branch_1/Conv2d_0b_5x5 \
                     Branch_2/Conv2d_0a_1x1 Branch_2/Conv2d_0b_3x3 Branch_2/Conv2d_0c_3x3 Branch_3/Conv2d_0b_1x1",
        },
        Stage {
            stage: "inception_resnet_a",
            block: |index| format!("InceptionResnetV2/Repeat/block35_{}", 1 + index),
            layers: INCEPTION_RESNET_A,
        },
        Stage {
            stage: "reduction_a",
            block: |_| "InceptionResnetV2/Mixed_6a".into(),
            layers: REDUCTION_A,
        },
        Stage {
            stage: "inception_resnet_b",
            block: |index| format!("InceptionResnetV2/Repeat_1/block17_{}", 1 + index),
            layers: INCEPTION_RESNET_B,
        },
        Stage {
            stage: "auxiliary",
            block: |_| "InceptionResnetV2/AuxLogits".into(),
            layers: "Conv2d_1b_1x1 Conv2d_2a_5x5",
        },
        Stage {
            stage: "reduction_b",
            block: |_| "InceptionResnetV2/Mixed_7a".into(),
            layers: RESIDUAL_REDUCTION_B,
        },
        Stage {
            stage: "inception_resnet_c",
            block: |index| format!("InceptionResnetV2/Repeat_2/block8_{}", 1 + index),
            layers: INCEPTION_RESNET_C,
        },
        Stage {
            stage: "last_inception_resnet_c",
            block: |_| "InceptionResnetV2/Block8".into(),
            layers: INCEPTION_RESNET_C,
        },
        Stage {
            stage: "conv_7b",
            block: |_| "InceptionResnetV2/Conv2d_7b_1x1".into(),
            layers: ".",
        },
    ],
    nodes: &[
        ("auxiliary_logits", &["InceptionResnetV2/AuxLogits/Logits"]),
        ("logits", &["InceptionResnetV2/Logits/Logits"]),
    ],
    slips: &[],
};

/// The original facenet, which is written in TF-slim. Its classifier stands outside the network's scope.
pub(super) const INCEPTION_RESNET_V1: Network = Network {
    stages: &[
        Stage {
            stage: "stem",
            block: |_| "InceptionResnetV1".into(),
            layers: "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 Conv2d_3b_1x1 Conv2d_4a_3x3 Conv2d_4b_3x3",
        },
        Stage {
            stage: "inception_resnet_a",
            block: |index| format!("InceptionResnetV1/Repeat/block35_{}", 1 + index),
            layers: INCEPTION_RESNET_A,
        },
        Stage {
            stage: "reduction_a",
            block: |_| "InceptionResnetV1/Mixed_6a".into(),
            layers: REDUCTION_A,
        },
        Stage {
            stage: "inception_resnet_b",
            block: |index| format!("InceptionResnetV1/Repeat_1/block17_{}", 1 + index),
            layers: INCEPTION_RESNET_B,
        },
        Stage {
            stage: "reduction_b",
            block: |_| "InceptionResnetV1/Mixed_7a".into(),
            layers: RESIDUAL_REDUCTION_B,
        },
        Stage {
            stage: "inception_resnet_c",
            block: |index| format!("InceptionResnetV1/Repeat_2/block8_{}", 1 + index),
            layers: INCEPTION_RESNET_C,
        },
        Stage {
            stage: "last_inception_resnet_c",
            block: |_| "InceptionResnetV1/Block8".into(),
            layers: INCEPTION_RESNET_C,
        },
    ],
    nodes: &[
        ("bottleneck", &["InceptionResnetV1/Bottleneck"]),
        (
            "bottleneck/batch_norm",
            &["InceptionResnetV1/Bottleneck/BatchNorm"],
        ),
        ("logits", &["Logits"]),
    ],
    slips: &[],
};

pub(super) const INCEPTION_V3: Network = Network {
    stages: &[
        Stage {
            stage: "stem",
            block: |_| "InceptionV3".into(),
            layers: "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 Conv2d_3b_1x1 Conv2d_4a_3x3",
        },
        Stage {
            stage: "inception_a",
            block: |index| lettered("InceptionV3/Mixed_5", 'b', index),
            layers: "Branch_0/Conv2d_0a_1x1 Branch_1/Conv2d_0a_1x1 Branch_1/Conv2d_0b_5x5 \
                     Branch_2/Conv2d_0a_1x1 Branch_2/Conv2d_0b_3x3 Branch_2/Conv2d_0c_3x3 Branch_3/Conv2d_0b_1x1",
        },
        Stage {
            stage: "reduction_a",
            block: |_| "InceptionV3/Mixed_6a".into(),
            // Both are 3×3.
            layers: "Branch_0/Conv2d_1a_1x1 \
                     Branch_1/Conv2d_0a_1x1 Branch_1/Conv2d_0b_3x3 Branch_1/Conv2d_1a_1x1",
        },
        Stage {
            stage: "inception_b",
            block: |index| lettered("InceptionV3/Mixed_6", 'b', index),
            layers: INCEPTION_B,
        },
        Stage {
            stage: "auxiliary",
            block: |_| "InceptionV3/AuxLogits".into(),
            layers: "Conv2d_1b_1x1 Conv2d_2a_5x5",
        },
        Stage {
            stage: "reduction_b",
            block: |_| "InceptionV3/Mixed_7a".into(),
            layers: REDUCTION_B,
        },
        Stage {
            stage: "inception_c",
            block: |index| lettered("InceptionV3/Mixed_7", 'b', index),
            layers: "Branch_0/Conv2d_0a_1x1 Branch_1/Conv2d_0a_1x1 Branch_1/Conv2d_0b_1x3 Branch_1/Conv2d_0c_3x1 \
                     Branch_2/Conv2d_0a_1x1 Branch_2/Conv2d_0b_3x3 Branch_2/Conv2d_0c_1x3 Branch_2/Conv2d_0d_3x1 \
                     Branch_3/Conv2d_0b_1x1",
        },
    ],
    nodes: &[
        ("auxiliary_logits", &["InceptionV3/AuxLogits/Conv2d_2b_1x1"]),
        ("logits", &["InceptionV3/Logits/Conv2d_1c_1x1"]),
    ],
    slips: &[
        (
            "InceptionV3/Mixed_5c/Branch_1/Conv2d_0a_1x1",
            "InceptionV3/Mixed_5c/Branch_1/Conv2d_0b_1x1",
        ),
        (
            "InceptionV3/Mixed_5c/Branch_1/Conv2d_0b_5x5",
            "InceptionV3/Mixed_5c/Branch_1/Conv_1_0c_5x5",
        ),
        (
            "InceptionV3/Mixed_7b/Branch_1/Conv2d_0c_3x1",
            "InceptionV3/Mixed_7b/Branch_1/Conv2d_0b_3x1",
        ),
    ],
};

const REDUCTION_A: &str =
    "Branch_0/Conv2d_1a_3x3 Branch_1/Conv2d_0a_1x1 Branch_1/Conv2d_0b_3x3 Branch_1/Conv2d_1a_3x3";

const INCEPTION_B: &str = "Branch_0/Conv2d_0a_1x1 \
    Branch_1/Conv2d_0a_1x1 Branch_1/Conv2d_0b_1x7 Branch_1/Conv2d_0c_7x1 \
    Branch_2/Conv2d_0a_1x1 Branch_2/Conv2d_0b_7x1 Branch_2/Conv2d_0c_1x7 Branch_2/Conv2d_0d_7x1 \
    Branch_2/Conv2d_0e_1x7 Branch_3/Conv2d_0b_1x1";

const REDUCTION_B: &str = "Branch_0/Conv2d_0a_1x1 Branch_0/Conv2d_1a_3x3 \
    Branch_1/Conv2d_0a_1x1 Branch_1/Conv2d_0b_1x7 Branch_1/Conv2d_0c_7x1 Branch_1/Conv2d_1a_3x3";

const INCEPTION_RESNET_A: &str = "Branch_0/Conv2d_1x1 Branch_1/Conv2d_0a_1x1 Branch_1/Conv2d_0b_3x3 \
    Branch_2/Conv2d_0a_1x1 Branch_2/Conv2d_0b_3x3 Branch_2/Conv2d_0c_3x3 Conv2d_1x1";

const INCEPTION_RESNET_B: &str = "Branch_0/Conv2d_1x1 \
    Branch_1/Conv2d_0a_1x1 Branch_1/Conv2d_0b_1x7 Branch_1/Conv2d_0c_7x1 Conv2d_1x1";

const INCEPTION_RESNET_C: &str = "Branch_0/Conv2d_1x1 \
    Branch_1/Conv2d_0a_1x1 Branch_1/Conv2d_0b_1x3 Branch_1/Conv2d_0c_3x1 Conv2d_1x1";

const RESIDUAL_REDUCTION_B: &str = "Branch_0/Conv2d_0a_1x1 Branch_0/Conv2d_1a_3x3 \
    Branch_1/Conv2d_0a_1x1 Branch_1/Conv2d_1a_3x3 \
    Branch_2/Conv2d_0a_1x1 Branch_2/Conv2d_0b_3x3 Branch_2/Conv2d_1a_3x3";

/// What optimizers keep beside each variable.
const SLOTS: [&str; 8] = [
    "/RMSProp",
    "/RMSProp_1",
    "/RMSProp_2",
    "/Momentum",
    "/Adam",
    "/Adam_1",
    "/Adagrad",
    "/Adadelta",
];

/// Why a variable that no layer takes may be left out, if it may. `known` tells which variables the network has.
pub(super) fn ignored(
    name: &str,
    averaged: bool,
    known: impl Fn(&str) -> bool,
) -> Option<&'static str> {
    if matches!(name, "global_step" | "beta1_power" | "beta2_power") {
        return Some("a count of the training");
    }
    if averaged && known(&format!("{name}{AVERAGE}")) {
        return Some("its average is used");
    }
    let beside = |slot: &str| name.strip_suffix(slot).is_some_and(&known);
    if beside(AVERAGE) {
        return Some("an average; --names tf_slim:ema uses these");
    }
    let variable = name.strip_suffix(AVERAGE).unwrap_or(name);
    SLOTS
        .iter()
        .any(|slot| {
            let base = variable.strip_suffix(slot);
            base.is_some_and(|base| known(base) || known(&format!("{base}{AVERAGE}")))
        })
        .then_some("a state of the optimizer")
}
