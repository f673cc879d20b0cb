//! Inception-ResNet-v1 as the paper draws it: Figure 15, built from Figures 7 and 10 to 14.
//!
//! 22,756,328 parameters, 6,206,361,696 multiply-adds at 299×299; about the cost of Inception-v3.

use super::Entry;
use super::shared::ReductionA;
use crate::net::{Flow, Net, NetError, NetOptions, ResidualScales, same, valid};

pub(super) const ENTRY: Entry = Entry {
    name: "inception_resnet_v1",
    variant: "paper",
    title: "Inception-ResNet-v1",
    source: "arXiv 1602.07261, Figures 7 and 10 to 15",
    build: figure_15,
};

/// Table 1, second row.
const REDUCTION_A: ReductionA = ReductionA {
    k: 192,
    l: 192,
    m: 256,
    n: 384,
};

/// Figure 15: the whole network.
fn figure_15(options: &NetOptions) -> Result<Net, NetError> {
    Net::build("inception_resnet_v1", "paper", options, |image| {
        grids_of_figure_15(&image, options.residual_scales).classifier()
    })
}

/// Figure 15 from the image to the last 8×8 grid.
pub(super) fn grids_of_figure_15<'a>(image: &Flow<'a>, scale: ResidualScales) -> Flow<'a> {
    image
        .stage("stem", 1, [256, 35, 35], figure_14_stem)
        .stage("inception_resnet_a", 5, [256, 35, 35], |x| {
            figure_10_inception_resnet_a(x, scale.a)
        })
        .stage("reduction_a", 1, [896, 17, 17], |x| REDUCTION_A.build(x))
        .stage("inception_resnet_b", 10, [896, 17, 17], |x| {
            figure_11_inception_resnet_b(x, scale.b)
        })
        .stage("reduction_b", 1, [1792, 8, 8], figure_12_reduction_b)
        .stage("inception_resnet_c", 5, [1792, 8, 8], |x| {
            figure_13_sum(x, scale.c).relu()
        })
}

/// Figure 14: the stem, 299×299×3 to 35×35×256.
fn figure_14_stem<'a>(x: &Flow<'a>) -> Flow<'a> {
    let x = x.part(0).conv_3x3(valid(32).stride(2));
    let x = x.part(1).conv_3x3(valid(32));
    let x = x.part(2).conv_3x3(same(64));
    let x = x.part(3).max_pool_3x3_stride_2_valid();
    let x = x.part(4).conv_1x1(80);
    let x = x.part(5).conv_3x3(valid(192));
    x.part(6).conv_3x3(valid(256).stride(2))
}

/// Figure 10: Inception-ResNet-A, on the 35×35 grid.
fn figure_10_inception_resnet_a<'a>(x: &Flow<'a>, scale: f64) -> Flow<'a> {
    let mixed = x.concatenate([
        x.branch(0).conv_1x1(32),
        x.branch(1).conv_1x1(32).conv_3x3(same(32)),
        x.branch(2)
            .conv_1x1(32)
            .conv_3x3(same(32))
            .conv_3x3(same(32)),
    ]);
    x.add_residual(scale, &mixed).relu()
}

/// Figure 11: Inception-ResNet-B, on the 17×17 grid.
fn figure_11_inception_resnet_b<'a>(x: &Flow<'a>, scale: f64) -> Flow<'a> {
    let mixed = x.concatenate([
        x.branch(0).conv_1x1(128),
        x.branch(1)
            .conv_1x1(128)
            .conv_1x7(same(128))
            .conv_7x1(same(128)),
    ]);
    x.add_residual(scale, &mixed).relu()
}

/// Figure 12: Reduction-B, 17×17 to 8×8.
fn figure_12_reduction_b<'a>(x: &Flow<'a>) -> Flow<'a> {
    x.concatenate([
        x.branch(0).conv_1x1(256).conv_3x3(valid(384).stride(2)),
        x.branch(1).conv_1x1(256).conv_3x3(valid(256).stride(2)),
        x.branch(2)
            .conv_1x1(256)
            .conv_3x3(same(256))
            .conv_3x3(valid(256).stride(2)),
        x.branch(3).max_pool_3x3_stride_2_valid(),
    ])
}

/// Figure 13: Inception-ResNet-C, on the 8×8 grid, up to its sum; a ReLU follows, but for the published networks' last.
pub(super) fn figure_13_sum<'a>(x: &Flow<'a>, scale: f64) -> Flow<'a> {
    let mixed = x.concatenate([
        x.branch(0).conv_1x1(192),
        x.branch(1)
            .conv_1x1(192)
            .conv_1x3(same(192))
            .conv_3x1(same(192)),
    ]);
    x.add_residual(scale, &mixed)
}
