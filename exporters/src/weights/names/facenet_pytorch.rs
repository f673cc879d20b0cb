//! facenet-pytorch's names: the blocks are written as in Cadene's Inception-ResNet-v2.

use super::timm::{INCEPTION_RESNET_A, INCEPTION_RESNET_B, REDUCTION_A, RESIDUAL_REDUCTION_B};
use super::{Network, Stage};

pub(super) const INCEPTION_RESNET_V1: Network = Network {
    stages: &[
        Stage {
            stage: "stem",
            block: |_| String::new(),
            layers: "conv2d_1a conv2d_2a conv2d_2b conv2d_3b conv2d_4a conv2d_4b",
        },
        Stage {
            stage: "inception_resnet_a",
            block: |index| format!("repeat_1.{index}"),
            layers: INCEPTION_RESNET_A,
        },
        Stage {
            stage: "reduction_a",
            block: |_| "mixed_6a".into(),
            layers: REDUCTION_A,
        },
        Stage {
            stage: "inception_resnet_b",
            block: |index| format!("repeat_2.{index}"),
            layers: INCEPTION_RESNET_B,
        },
        Stage {
            stage: "reduction_b",
            block: |_| "mixed_7a".into(),
            layers: RESIDUAL_REDUCTION_B,
        },
        Stage {
            stage: "inception_resnet_c",
            block: |index| format!("repeat_3.{index}"),
            layers: INCEPTION_RESNET_B,
        },
        Stage {
            stage: "last_inception_resnet_c",
            block: |_| "block8".into(),
            layers: INCEPTION_RESNET_B,
        },
    ],
    nodes: &[
        ("bottleneck", &["last_linear"]),
        ("bottleneck/batch_norm", &["last_bn"]),
        ("logits", &["logits"]),
    ],
    slips: &[],
};
