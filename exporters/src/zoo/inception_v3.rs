//! Inception-v3, which the paper compares its networks with, as its weights were published.
//!
//! 23,834,568 parameters, 5,713,216,096 multiply-adds at 299×299; with the auxiliary head 27,161,264 parameters. The
//! rows of Table 1 in arXiv 1512.00567 are not this network: its stem differs. The libraries agree on every layer but the
//! average pools, which torchvision and timm divide by 9 everywhere, padding counted (`torchvision`), and TF-slim and
//! Keras by the number of real pixels (`tensorflow`). Weights can be used in either, but are right in only one.

use super::Entry;
use super::shared::inception_v3_stem;
use crate::net::{Flow, Net, NetError, NetOptions, same, valid};

pub(super) const TORCHVISION: Entry = Entry {
    name: "inception_v3",
    variant: "torchvision",
    title: "Inception-v3",
    source: "torchvision, timm",
    build: |options| {
        network(
            "torchvision",
            Pools {
                count_padding: true,
            },
            options,
        )
    },
};

pub(super) const TENSORFLOW: Entry = Entry {
    name: "inception_v3",
    variant: "tensorflow",
    title: "Inception-v3",
    source: "TF-slim, Keras",
    build: |options| {
        network(
            "tensorflow",
            Pools {
                count_padding: false,
            },
            options,
        )
    },
};

fn network(variant: &str, pools: Pools, options: &NetOptions) -> Result<Net, NetError> {
    Net::build("inception_v3", variant, options, |image| {
        image
            .stage("stem", 1, [192, 35, 35], inception_v3_stem)
            .stage_of("inception_a", &[32, 64, 64], [288, 35, 35], |x, filters| {
                inception_a(x, pools, filters)
            })
            .stage("reduction_a", 1, [768, 17, 17], reduction_a)
            .stage_of(
                "inception_b",
                &[128, 160, 160, 192],
                [768, 17, 17],
                |x, filters| inception_b(x, pools, filters),
            )
            .auxiliary_head()
            .stage("reduction_b", 1, [1280, 8, 8], reduction_b)
            .stage("inception_c", 2, [2048, 8, 8], |x| inception_c(x, pools))
            .classifier()
    })
}

/// What the average pools divide by.
#[derive(Clone, Copy)]
struct Pools {
    count_padding: bool,
}

impl Pools {
    fn average<'a>(self, x: &Flow<'a>) -> Flow<'a> {
        x.average_pool_3x3_same_counting(self.count_padding)
    }
}

/// On the 35×35 grid; the pool's branch has `pool_filters`.
fn inception_a<'a>(x: &Flow<'a>, pools: Pools, pool_filters: usize) -> Flow<'a> {
    x.concatenate([
        x.branch(0).conv_1x1(64),
        x.branch(1).conv_1x1(48).conv_5x5(same(64)),
        x.branch(2)
            .conv_1x1(64)
            .conv_3x3(same(96))
            .conv_3x3(same(96)),
        pools.average(&x.branch(3)).conv_1x1(pool_filters),
    ])
}

/// 35×35 to 17×17.
fn reduction_a<'a>(x: &Flow<'a>) -> Flow<'a> {
    x.concatenate([
        x.branch(0).conv_3x3(valid(384).stride(2)),
        x.branch(1)
            .conv_1x1(64)
            .conv_3x3(same(96))
            .conv_3x3(valid(96).stride(2)),
        x.branch(2).max_pool_3x3_stride_2_valid(),
    ])
}

/// On the 17×17 grid; the 1×7 and 7×1 convolutions inside the branches have `filters`.
fn inception_b<'a>(x: &Flow<'a>, pools: Pools, filters: usize) -> Flow<'a> {
    x.concatenate([
        x.branch(0).conv_1x1(192),
        x.branch(1)
            .conv_1x1(filters)
            .conv_1x7(same(filters))
            .conv_7x1(same(192)),
        x.branch(2)
            .conv_1x1(filters)
            .conv_7x1(same(filters))
            .conv_1x7(same(filters))
            .conv_7x1(same(filters))
            .conv_1x7(same(192)),
        pools.average(&x.branch(3)).conv_1x1(192),
    ])
}

/// 17×17 to 8×8.
fn reduction_b<'a>(x: &Flow<'a>) -> Flow<'a> {
    x.concatenate([
        x.branch(0).conv_1x1(192).conv_3x3(valid(320).stride(2)),
        x.branch(1)
            .conv_1x1(192)
            .conv_1x7(same(192))
            .conv_7x1(same(192))
            .conv_3x3(valid(192).stride(2)),
        x.branch(2).max_pool_3x3_stride_2_valid(),
    ])
}

/// On the 8×8 grid; two branches end in a fork.
fn inception_c<'a>(x: &Flow<'a>, pools: Pools) -> Flow<'a> {
    let plain = x.branch(0).conv_1x1(320);
    let short = x.branch(1).conv_1x1(384);
    let (short_1x3, short_3x1) = (short.conv_1x3(same(384)), short.conv_3x1(same(384)));
    let long = x.branch(2).conv_1x1(448).conv_3x3(same(384));
    let (long_1x3, long_3x1) = (long.conv_1x3(same(384)), long.conv_3x1(same(384)));
    let pooled = pools.average(&x.branch(3)).conv_1x1(192);
    x.concatenate([plain, short_1x3, short_3x1, long_1x3, long_3x1, pooled])
}
