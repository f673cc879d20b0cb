//! Inception-ResNet-v2 as its weights were published, in TF-slim, timm and Keras.
//!
//! 55,843,464 parameters, 13,155,794,016 multiply-adds at 299×299. It is not the network of Figure 15: the stem is
//! Inception-v3's and is followed by one Inception block, the grids have 320, 1088 and 2080 channels, there are
//! 10, 20 and 9 blocks, one more at the end with scale 1 and no ReLU, and a 1×1 convolution to 1536 channels before the
//! pool. The layers inside the residual blocks and the reductions are those of Figures 7 and 16 to 19. TF-slim
//! trains it with an auxiliary head on the last 17×17 grid.

use super::Entry;
use super::inception_resnet_v2::{
    REDUCTION_A, figure_16_inception_resnet_a, figure_17_inception_resnet_b, figure_18_reduction_b,
    figure_19_sum,
};
use super::shared::inception_v3_stem;
use crate::net::{Flow, Net, NetError, NetOptions, same};

pub(super) const ENTRY: Entry = Entry {
    name: "inception_resnet_v2",
    variant: "published",
    title: "Inception-ResNet-v2",
    source: "TF-slim, timm, Keras",
    build: network,
};

fn network(options: &NetOptions) -> Result<Net, NetError> {
    let scale = options.residual_scales;
    Net::build("inception_resnet_v2", "published", options, |image| {
        image
            .stage("stem", 1, [192, 35, 35], inception_v3_stem)
            .stage("mixed_5b", 1, [320, 35, 35], mixed_5b)
            .stage("inception_resnet_a", 10, [320, 35, 35], |x| {
                figure_16_inception_resnet_a(x, scale.a)
            })
            .stage("reduction_a", 1, [1088, 17, 17], |x| REDUCTION_A.build(x))
            .stage("inception_resnet_b", 20, [1088, 17, 17], |x| {
                figure_17_inception_resnet_b(x, scale.b)
            })
            .auxiliary_head()
            .stage("reduction_b", 1, [2080, 8, 8], figure_18_reduction_b)
            .stage("inception_resnet_c", 9, [2080, 8, 8], |x| {
                figure_19_sum(x, scale.c).relu()
            })
            .stage("last_inception_resnet_c", 1, [2080, 8, 8], |x| {
                figure_19_sum(x, 1.0)
            })
            .stage("conv_7b", 1, [1536, 8, 8], |x| x.conv_1x1(1536))
            .classifier()
    })
}

/// The Inception block after the stem, 35×35×192 to 35×35×320.
fn mixed_5b<'a>(x: &Flow<'a>) -> Flow<'a> {
    x.concatenate([
        x.branch(0).conv_1x1(96),
        x.branch(1).conv_1x1(48).conv_5x5(same(64)),
        x.branch(2)
            .conv_1x1(64)
            .conv_3x3(same(96))
            .conv_3x3(same(96)),
        x.branch(3).average_pool_3x3_same().conv_1x1(64),
    ])
}
