//! timm's names, and those of Cadene's pretrainedmodels, from which timm has them.
//!
//! Inception-v4 is one list of modules, numbered from the stem on. The classifiers have had two names.

use super::{Network, Stage};

pub(super) const INCEPTION_V4: Network = Network {
    stages: &[
        Stage {
            stage: "stem",
            block: |_| "features".into(),
            layers: "0 1 2 3.conv 4.branch0.0 4.branch0.1 4.branch1.0 4.branch1.1 4.branch1.2 4.branch1.3 5.conv",
        },
        Stage {
            stage: "inception_a",
            block: |index| format!("features.{}", 6 + index),
            layers: "branch0 branch1.0 branch1.1 branch2.0 branch2.1 branch2.2 branch3.1",
        },
        Stage {
            stage: "reduction_a",
            block: |_| "features.10".into(),
            layers: "branch0 branch1.0 branch1.1 branch1.2",
        },
        Stage {
            stage: "inception_b",
            block: |index| format!("features.{}", 11 + index),
            layers: "branch0 branch1.0 branch1.1 branch1.2 \
                     branch2.0 branch2.1 branch2.2 branch2.3 branch2.4 branch3.1",
        },
        Stage {
            stage: "reduction_b",
            block: |_| "features.18".into(),
            layers: "branch0.0 branch0.1 branch1.0 branch1.1 branch1.2 branch1.3",
        },
        Stage {
            stage: "inception_c",
            block: |index| format!("features.{}", 19 + index),
            layers: "branch0 branch1_0 branch1_1a branch1_1b \
                     branch2_0 branch2_1 branch2_2 branch2_3a branch2_3b branch3.1",
        },
    ],
    nodes: &[("logits", &["last_linear", "classif"])],
    slips: &[],
};

pub(super) const INCEPTION_RESNET_V2: Network = Network {
    stages: &[
        Stage {
            stage: "stem",
            block: |_| String::new(),
            layers: "conv2d_1a conv2d_2a conv2d_2b conv2d_3b conv2d_4a",
        },
        Stage {
            stage: "mixed_5b",
            block: |_| "mixed_5b".into(),
            layers: "branch0 branch1.0 branch1.1 branch2.0 branch2.1 branch2.2 branch3.1",
        },
        Stage {
            stage: "inception_resnet_a",
            block: |index| format!("repeat.{index}"),
            layers: INCEPTION_RESNET_A,
        },
        Stage {
            stage: "reduction_a",
            block: |_| "mixed_6a".into(),
            layers: REDUCTION_A,
        },
        Stage {
            stage: "inception_resnet_b",
            block: |index| format!("repeat_1.{index}"),
            layers: INCEPTION_RESNET_B,
        },
        Stage {
            stage: "reduction_b",
            block: |_| "mixed_7a".into(),
            layers: RESIDUAL_REDUCTION_B,
        },
        Stage {
            stage: "inception_resnet_c",
            block: |index| format!("repeat_2.{index}"),
            layers: INCEPTION_RESNET_B,
        },
        Stage {
            stage: "last_inception_resnet_c",
            block: |_| "block8".into(),
            layers: INCEPTION_RESNET_B,
        },
        Stage {
            stage: "conv_7b",
            block: |_| "conv2d_7b".into(),
            layers: ".",
        },
    ],
    nodes: &[("logits", &["classif", "last_linear"])],
    slips: &[],
};

/// The blocks of Figures 10 and 16.
pub(super) const INCEPTION_RESNET_A: &str =
    "branch0 branch1.0 branch1.1 branch2.0 branch2.1 branch2.2 conv2d";

/// The blocks of Figures 11, 13, 17 and 19.
pub(super) const INCEPTION_RESNET_B: &str = "branch0 branch1.0 branch1.1 branch1.2 conv2d";

/// Figure 7.
pub(super) const REDUCTION_A: &str = "branch0 branch1.0 branch1.1 branch1.2";

/// Figures 12 and 18.
pub(super) const RESIDUAL_REDUCTION_B: &str =
    "branch0.0 branch0.1 branch1.0 branch1.1 branch2.0 branch2.1 branch2.2";
