//! Inception-v4 as the paper draws it: Figure 9, built from Figures 3 to 8.
//!
//! 42,679,816 parameters, 12,253,974,624 multiply-adds at 299×299. The published checkpoints have the
//! 1×7 and 7×1 (and 1×3 and 3×1) convolutions of some branches the other way round; this is the figures' order.

use super::Entry;
use super::shared::{ReductionA, figure_3_stem};
use crate::net::{Flow, Net, NetError, NetOptions, same, valid};

pub(super) const ENTRY: Entry = Entry {
    name: "inception_v4",
    variant: "paper",
    title: "Inception-v4",
    source: "arXiv 1602.07261, Figures 3 to 9",
    build: figure_9,
};

/// Table 1, first row.
pub(super) const REDUCTION_A: ReductionA = ReductionA {
    k: 192,
    l: 224,
    m: 256,
    n: 384,
};

/// Figure 9: the whole network.
fn figure_9(options: &NetOptions) -> Result<Net, NetError> {
    Net::build("inception_v4", "paper", options, |image| {
        image
            .stage("stem", 1, [384, 35, 35], figure_3_stem)
            .stage("inception_a", 4, [384, 35, 35], figure_4_inception_a)
            .stage("reduction_a", 1, [1024, 17, 17], |x| REDUCTION_A.build(x))
            .stage("inception_b", 7, [1024, 17, 17], figure_5_inception_b)
            .stage("reduction_b", 1, [1536, 8, 8], figure_8_reduction_b)
            .stage("inception_c", 3, [1536, 8, 8], figure_6_inception_c)
            .classifier()
    })
}

/// Figure 4: Inception-A, on the 35×35 grid.
pub(super) fn figure_4_inception_a<'a>(x: &Flow<'a>) -> Flow<'a> {
    x.concatenate([
        x.branch(0).conv_1x1(96),
        x.branch(1).conv_1x1(64).conv_3x3(same(96)),
        x.branch(2)
            .conv_1x1(64)
            .conv_3x3(same(96))
            .conv_3x3(same(96)),
        x.branch(3).average_pool_3x3_same().conv_1x1(96),
    ])
}

/// Figure 5: Inception-B, on the 17×17 grid. The figure prints 1×7 twice in the short branch; the second
/// is 7×1, as in the long one.
fn figure_5_inception_b<'a>(x: &Flow<'a>) -> Flow<'a> {
    x.concatenate([
        x.branch(0).conv_1x1(384),
        x.branch(1)
            .conv_1x1(192)
            .conv_1x7(same(224))
            .conv_7x1(same(256)),
        x.branch(2)
            .conv_1x1(192)
            .conv_1x7(same(192))
            .conv_7x1(same(224))
            .conv_1x7(same(224))
            .conv_7x1(same(256)),
        x.branch(3).average_pool_3x3_same().conv_1x1(128),
    ])
}

/// Figure 6: Inception-C, on the 8×8 grid; two branches end in a fork.
fn figure_6_inception_c<'a>(x: &Flow<'a>) -> Flow<'a> {
    let plain = x.branch(0).conv_1x1(256);
    let short = x.branch(1).conv_1x1(384);
    let (short_1x3, short_3x1) = (short.conv_1x3(same(256)), short.conv_3x1(same(256)));
    let long = x
        .branch(2)
        .conv_1x1(384)
        .conv_1x3(same(448))
        .conv_3x1(same(512));
    let (long_1x3, long_3x1) = (long.conv_1x3(same(256)), long.conv_3x1(same(256)));
    let pooled = x.branch(3).average_pool_3x3_same().conv_1x1(256);
    x.concatenate([plain, short_1x3, short_3x1, long_1x3, long_3x1, pooled])
}

/// Figure 8: Reduction-B, 17×17 to 8×8.
pub(super) fn figure_8_reduction_b<'a>(x: &Flow<'a>) -> Flow<'a> {
    x.concatenate([
        x.branch(0).conv_1x1(192).conv_3x3(valid(192).stride(2)),
        x.branch(1)
            .conv_1x1(256)
            .conv_1x7(same(256))
            .conv_7x1(same(320))
            .conv_3x3(valid(320).stride(2)),
        x.branch(2).max_pool_3x3_stride_2_valid(),
    ])
}
