//! Figures that several networks share.

use crate::net::{Flow, same, valid};

/// Figure 3: the stem of Inception-v4 and Inception-ResNet-v2, 299×299×3 to 35×35×384.
pub(super) fn figure_3_stem<'a>(x: &Flow<'a>) -> Flow<'a> {
    stem(x, |x| x.conv_7x1(same(64)).conv_1x7(same(64)))
}

/// Figure 3 as the published Inception-v4 has it: 1×7 before 7×1.
pub(super) fn published_stem<'a>(x: &Flow<'a>) -> Flow<'a> {
    stem(x, |x| x.conv_1x7(same(64)).conv_7x1(same(64)))
}

fn stem<'a>(x: &Flow<'a>, seven_by_seven: impl Fn(&Flow<'a>) -> Flow<'a>) -> Flow<'a> {
    let x = x.part(0).conv_3x3(valid(32).stride(2));
    let x = x.part(1).conv_3x3(valid(32));
    let x = x.part(2).conv_3x3(same(64)).part(3);
    let x = x.concatenate([
        x.branch(0).max_pool_3x3_stride_2_valid(),
        x.branch(1).conv_3x3(valid(96).stride(2)),
    ]);
    let x = x.part(4);
    let x = x.concatenate([
        x.branch(0).conv_1x1(64).conv_3x3(valid(96)),
        seven_by_seven(&x.branch(1).conv_1x1(64)).conv_3x3(valid(96)),
    ]);
    // The figure's last convolution lacks the stride 2 that 71×71 to 35×35 needs.
    let x = x.part(5);
    x.concatenate([
        x.branch(0).conv_3x3(valid(192).stride(2)),
        x.branch(1).max_pool_3x3_stride_2_valid(),
    ])
}

/// The stem of Inception-v3 and of the published Inception-ResNet-v2, 299×299×3 to 35×35×192.
pub(super) fn inception_v3_stem<'a>(x: &Flow<'a>) -> Flow<'a> {
    let x = x.part(0).conv_3x3(valid(32).stride(2));
    let x = x.part(1).conv_3x3(valid(32));
    let x = x.part(2).conv_3x3(same(64));
    let x = x.part(3).max_pool_3x3_stride_2_valid();
    let x = x.part(4).conv_1x1(80);
    let x = x.part(5).conv_3x3(valid(192));
    x.part(6).max_pool_3x3_stride_2_valid()
}

/// Figure 7: Reduction-A, 35×35 to 17×17. Table 1 gives k, l, m and n for each network.
pub(super) struct ReductionA {
    pub(super) k: usize,
    pub(super) l: usize,
    pub(super) m: usize,
    pub(super) n: usize,
}

impl ReductionA {
    pub(super) fn build<'a>(&self, x: &Flow<'a>) -> Flow<'a> {
        x.concatenate([
            x.branch(0).conv_3x3(valid(self.n).stride(2)),
            x.branch(1)
                .conv_1x1(self.k)
                .conv_3x3(same(self.l))
                .conv_3x3(valid(self.m).stride(2)),
            x.branch(2).max_pool_3x3_stride_2_valid(),
        ])
    }
}
