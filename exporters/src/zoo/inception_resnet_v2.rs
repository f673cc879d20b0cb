//! Inception-ResNet-v2 as the paper draws it: Figure 15, built from Figures 3, 7 and 16 to 19.
//!
//! 32,433,928 parameters, 9,257,953,632 multiply-adds at 299×299. This is not the network of the published
//! checkpoints, which has another stem, other widths and more blocks.

use super::Entry;
use super::shared::{ReductionA, figure_3_stem};
use crate::net::{Flow, Net, NetError, NetOptions, same, valid};

pub(super) const ENTRY: Entry = Entry {
    name: "inception_resnet_v2",
    variant: "paper",
    title: "Inception-ResNet-v2",
    source: "arXiv 1602.07261, Figures 3, 7 and 15 to 19",
    build: figure_15,
};

/// Table 1, third row.
pub(super) const REDUCTION_A: ReductionA = ReductionA {
    k: 256,
    l: 256,
    m: 384,
    n: 384,
};

/// Figure 15: the whole network.
fn figure_15(options: &NetOptions) -> Result<Net, NetError> {
    let scale = options.residual_scales;
    Net::build("inception_resnet_v2", "paper", options, |image| {
        image
            .stage("stem", 1, [384, 35, 35], figure_3_stem)
            .stage("inception_resnet_a", 5, [384, 35, 35], |x| {
                figure_16_inception_resnet_a(x, scale.a)
            })
            .stage("reduction_a", 1, [1152, 17, 17], |x| REDUCTION_A.build(x))
            .stage("inception_resnet_b", 10, [1152, 17, 17], |x| {
                figure_17_inception_resnet_b(x, scale.b)
            })
            .stage("reduction_b", 1, [2144, 8, 8], figure_18_reduction_b)
            .stage("inception_resnet_c", 5, [2144, 8, 8], |x| {
                figure_19_sum(x, scale.c).relu()
            })
            .classifier()
    })
}

/// Figure 16: Inception-ResNet-A, on the 35×35 grid.
pub(super) fn figure_16_inception_resnet_a<'a>(x: &Flow<'a>, scale: f64) -> Flow<'a> {
    let mixed = x.concatenate([
        x.branch(0).conv_1x1(32),
        x.branch(1).conv_1x1(32).conv_3x3(same(32)),
        x.branch(2)
            .conv_1x1(32)
            .conv_3x3(same(48))
            .conv_3x3(same(64)),
    ]);
    x.add_residual(scale, &mixed).relu()
}

/// Figure 17: Inception-ResNet-B, on the 17×17 grid. The figure prints 1154 filters in the last layer, which
/// cannot be added to Reduction-A's 1152.
pub(super) fn figure_17_inception_resnet_b<'a>(x: &Flow<'a>, scale: f64) -> Flow<'a> {
    let mixed = x.concatenate([
        x.branch(0).conv_1x1(192),
        x.branch(1)
            .conv_1x1(128)
            .conv_1x7(same(160))
            .conv_7x1(same(192)),
    ]);
    x.add_residual(scale, &mixed).relu()
}

/// Figure 18: Reduction-B, 17×17 to 8×8.
pub(super) fn figure_18_reduction_b<'a>(x: &Flow<'a>) -> Flow<'a> {
    x.concatenate([
        x.branch(0).conv_1x1(256).conv_3x3(valid(384).stride(2)),
        x.branch(1).conv_1x1(256).conv_3x3(valid(288).stride(2)),
        x.branch(2)
            .conv_1x1(256)
            .conv_3x3(same(288))
            .conv_3x3(valid(320).stride(2)),
        x.branch(3).max_pool_3x3_stride_2_valid(),
    ])
}

/// Figure 19: Inception-ResNet-C, on the 8×8 grid, up to its sum; a ReLU follows, but for the published network's last.
/// The figure prints 2048 filters in the last layer, which cannot be added to Reduction-B's 2144.
pub(super) fn figure_19_sum<'a>(x: &Flow<'a>, scale: f64) -> Flow<'a> {
    let mixed = x.concatenate([
        x.branch(0).conv_1x1(192),
        x.branch(1)
            .conv_1x1(192)
            .conv_1x3(same(224))
            .conv_3x1(same(256)),
    ]);
    x.add_residual(scale, &mixed)
}
