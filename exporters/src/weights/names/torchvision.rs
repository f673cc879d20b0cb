//! torchvision's names for Inception-v3, which timm shares, and Cadene's pretrainedmodels but for the classifier.

use super::{Network, Stage};

pub(super) const INCEPTION_V3: Network = Network {
    stages: &[
        Stage {
            stage: "stem",
            block: |_| String::new(),
            layers: "Conv2d_1a_3x3 Conv2d_2a_3x3 Conv2d_2b_3x3 Conv2d_3b_1x1 Conv2d_4a_3x3",
        },
        Stage {
            stage: "inception_a",
            block: |index| lettered("Mixed_5", 'b', index),
            layers: "branch1x1 branch5x5_1 branch5x5_2 \
                     branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3 branch_pool",
        },
        Stage {
            stage: "reduction_a",
            block: |_| "Mixed_6a".into(),
            layers: "branch3x3 branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3",
        },
        Stage {
            stage: "inception_b",
            block: |index| lettered("Mixed_6", 'b', index),
            layers: "branch1x1 branch7x7_1 branch7x7_2 branch7x7_3 \
                     branch7x7dbl_1 branch7x7dbl_2 branch7x7dbl_3 branch7x7dbl_4 branch7x7dbl_5 branch_pool",
        },
        Stage {
            stage: "auxiliary",
            block: |_| "AuxLogits".into(),
            layers: "conv0 conv1",
        },
        Stage {
            stage: "reduction_b",
            block: |_| "Mixed_7a".into(),
            layers: "branch3x3_1 branch3x3_2 branch7x7x3_1 branch7x7x3_2 branch7x7x3_3 branch7x7x3_4",
        },
        Stage {
            stage: "inception_c",
            block: |index| lettered("Mixed_7", 'b', index),
            layers: "branch1x1 branch3x3_1 branch3x3_2a branch3x3_2b \
                     branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3a branch3x3dbl_3b branch_pool",
        },
    ],
    nodes: &[
        ("auxiliary_logits", &["AuxLogits.fc"]),
        ("logits", &["fc", "last_linear"]),
    ],
    slips: &[],
};

/// `Mixed_5` and the letter so many after `first`: blocks of the same kind in a row.
pub(super) fn lettered(name: &str, first: char, index: usize) -> String {
    let letter = (first..='z').nth(index).unwrap_or('z');
    format!("{name}{letter}")
}
