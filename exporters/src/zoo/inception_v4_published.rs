//! Inception-v4 as its weights were published, in TF-slim and timm.
//!
//! Figure 9 with some pairs of convolutions the other way round: in the stem 1×7 before 7×1, in the long branches
//! of Inception-B 7×1 before 1×7 (twice) and of Inception-C 3×1 before 1×3. The counts are the figures' (42,679,816
//! parameters, 12,253,974,624 multiply-adds at 299×299), the weights fit no other order. TF-slim trains it with an
//! auxiliary head on the last 17×17 grid.

use super::Entry;
use super::inception_v4::{REDUCTION_A, figure_4_inception_a, figure_8_reduction_b};
use super::shared::published_stem;
use crate::net::{Flow, Net, NetError, NetOptions, same};

pub(super) const ENTRY: Entry = Entry {
    name: "inception_v4",
    variant: "published",
    title: "Inception-v4",
    source: "TF-slim, timm",
    build: network,
};

fn network(options: &NetOptions) -> Result<Net, NetError> {
    Net::build("inception_v4", "published", options, |image| {
        image
            .stage("stem", 1, [384, 35, 35], published_stem)
            .stage("inception_a", 4, [384, 35, 35], figure_4_inception_a)
            .stage("reduction_a", 1, [1024, 17, 17], |x| REDUCTION_A.build(x))
            .stage("inception_b", 7, [1024, 17, 17], inception_b)
            .auxiliary_head()
            .stage("reduction_b", 1, [1536, 8, 8], figure_8_reduction_b)
            .stage("inception_c", 3, [1536, 8, 8], inception_c)
            .classifier()
    })
}

/// Figure 5 with the long branch turned.
fn inception_b<'a>(x: &Flow<'a>) -> Flow<'a> {
    x.concatenate([
        x.branch(0).conv_1x1(384),
        x.branch(1)
            .conv_1x1(192)
            .conv_1x7(same(224))
            .conv_7x1(same(256)),
        x.branch(2)
            .conv_1x1(192)
            .conv_7x1(same(192))
            .conv_1x7(same(224))
            .conv_7x1(same(224))
            .conv_1x7(same(256)),
        x.branch(3).average_pool_3x3_same().conv_1x1(128),
    ])
}

/// Figure 6 with the long branch turned.
fn inception_c<'a>(x: &Flow<'a>) -> Flow<'a> {
    let plain = x.branch(0).conv_1x1(256);
    let short = x.branch(1).conv_1x1(384);
    let (short_1x3, short_3x1) = (short.conv_1x3(same(256)), short.conv_3x1(same(256)));
    let long = x
        .branch(2)
        .conv_1x1(384)
        .conv_3x1(same(448))
        .conv_1x3(same(512));
    let (long_1x3, long_3x1) = (long.conv_1x3(same(256)), long.conv_3x1(same(256)));
    let pooled = x.branch(3).average_pool_3x3_same().conv_1x1(256);
    x.concatenate([plain, short_1x3, short_3x1, long_1x3, long_3x1, pooled])
}
