//! Inception-ResNet-v1 as facenet published it, with the paper's classifier or with facenet's own end.
//!
//! Figure 15 and one more Inception-ResNet-C block with scale 1 and no ReLU, so the pooled features can be negative.
//! With a direct classifier (`published`) 24,357,096 parameters and 6,308,597,856 multiply-adds at 299×299. With
//! facenet's end (`facenet`) 23,995,624 and 6,308,235,360: the 1792 features go through a linear layer without bias to
//! 512 and a batch normalisation; their unit vector is the `embedding`, and a classifier can stand on them. facenet's
//! images are 160×160.

use super::Entry;
use super::inception_resnet_v1::{figure_13_sum, grids_of_figure_15};
use crate::net::{Flow, Net, NetError, NetOptions, ResidualScales};

pub(super) const PUBLISHED: Entry = Entry {
    name: "inception_resnet_v1",
    variant: "published",
    title: "Inception-ResNet-v1",
    source: "facenet's grids, direct classifier",
    build: published,
};

pub(super) const FACENET: Entry = Entry {
    name: "inception_resnet_v1",
    variant: "facenet",
    title: "Inception-ResNet-v1",
    source: "facenet, facenet-pytorch",
    build: facenet,
};

/// Numbers in facenet's embedding.
const EMBEDDING: usize = 512;

fn published(options: &NetOptions) -> Result<Net, NetError> {
    Net::build("inception_resnet_v1", "published", options, |image| {
        grids(&image, options.residual_scales).classifier()
    })
}

fn facenet(options: &NetOptions) -> Result<Net, NetError> {
    Net::build("inception_resnet_v1", "facenet", options, |image| {
        grids(&image, options.residual_scales).embedding_and_classifier(EMBEDDING)
    })
}

fn grids<'a>(image: &Flow<'a>, scale: ResidualScales) -> Flow<'a> {
    grids_of_figure_15(image, scale).stage("last_inception_resnet_c", 1, [1792, 8, 8], |x| {
        figure_13_sum(x, 1.0)
    })
}
