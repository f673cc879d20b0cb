//! Names, element types and shapes of values.

use super::super::proto::{
    Dimension, DimensionProto, FLOAT, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};
use super::super::{Batch, ExportOptions, ImageSize};
use crate::net::Shape;

/// A dimension; `None` where only running the model tells it.
pub(super) type Size = Option<Dimension>;

pub(super) fn fixed(size: usize) -> Size {
    Some(Dimension::Value(size as i64))
}

pub(super) fn named(name: &str) -> Size {
    Some(Dimension::Parameter(name.into()))
}

/// The batch dimension.
pub(super) fn batch(options: &ExportOptions) -> Size {
    match options.batch {
        Batch::Dynamic => named("N"),
        Batch::Fixed(images) => fixed(images),
    }
}

/// The network's image, `[N, 3, H, W]`.
pub(super) fn image_dimensions(shape: Shape, options: &ExportOptions) -> Vec<Size> {
    let mut dimensions = dimensions(shape, options);
    if options.image_size == ImageSize::Dynamic {
        dimensions.truncate(2);
        dimensions.extend(["H", "W"].map(named));
    }
    dimensions
}

/// A value of the network. Where the image's size is dynamic, height and width of a map are left out: ONNX has no
/// expressions to say how they follow from the image's.
pub(super) fn dimensions(shape: Shape, options: &ExportOptions) -> Vec<Size> {
    let mut dimensions = vec![batch(options)];
    match (shape, options.image_size) {
        (Shape::Map { channels, .. }, ImageSize::Dynamic) => {
            dimensions.extend([fixed(channels), None, None]);
        }
        _ => dimensions.extend(shape.dimensions().into_iter().map(fixed)),
    }
    dimensions
}

/// The mean over a grid, of height and width 1.
pub(super) fn pooled(shape: Shape, options: &ExportOptions) -> Vec<Size> {
    vec![batch(options), fixed(shape.channels()), fixed(1), fixed(1)]
}

pub(super) fn float(name: &str, dimensions: Vec<Size>) -> ValueInfoProto {
    of_type(FLOAT, name, dimensions)
}

pub(super) fn of_type(elem_type: i32, name: &str, dimensions: Vec<Size>) -> ValueInfoProto {
    let dim = dimensions
        .into_iter()
        .map(|value| DimensionProto { value })
        .collect();
    let tensor_type = Some(TensorTypeProto {
        elem_type,
        shape: Some(TensorShapeProto { dim }),
    });
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto {
            tensor_type,
            ..Default::default()
        }),
    }
}
