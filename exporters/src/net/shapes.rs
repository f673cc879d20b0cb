//! The shape of each kind of node's output.

use super::{NetError, Op, Padding, Shape, Window};

/// The output shape of one node, from its inputs' shapes.
pub(super) fn infer_shape(node: &str, op: &Op, inputs: &[Shape]) -> Result<Shape, NetError> {
    let first = inputs[0];
    let rank = |expected| NetError::Rank {
        node: node.into(),
        expected,
        found: first,
    };
    match *op {
        Op::Input | Op::BatchNorm { .. } | Op::Relu | Op::Dropout { .. } | Op::Softmax => Ok(first),
        Op::Convolution {
            filters, window, ..
        } => slide(node, window, first, Some(filters)),
        Op::MaxPool(window) | Op::AveragePool { window, .. } => slide(node, window, first, None),
        Op::GlobalAveragePool => match first {
            Shape::Map { channels, .. } => Ok(Shape::Vector { features: channels }),
            Shape::Vector { .. } => Err(rank("a feature map")),
        },
        Op::Normalize => match first {
            Shape::Vector { .. } => Ok(first),
            Shape::Map { .. } => Err(rank("a vector")),
        },
        Op::Linear { features, .. } => match first {
            Shape::Vector { .. } => Ok(Shape::Vector { features }),
            Shape::Map { .. } => Err(rank("a vector")),
        },
        Op::Concatenate => {
            let Shape::Map { height, width, .. } = first else {
                return Err(rank("feature maps"));
            };
            let mut total = 0;
            for &found in inputs {
                match found {
                    Shape::Map {
                        channels,
                        height: h,
                        width: w,
                    } if (h, w) == (height, width) => total += channels,
                    _ => {
                        return Err(NetError::Join {
                            node: node.into(),
                            expected: first,
                            found,
                        });
                    }
                }
            }
            Ok(Shape::Map {
                channels: total,
                height,
                width,
            })
        }
        Op::ScaledAdd { .. } => match inputs.iter().find(|&&shape| shape != first) {
            Some(&found) => Err(NetError::Join {
                node: node.into(),
                expected: first,
                found,
            }),
            None => Ok(first),
        },
    }
}

/// The shape a sliding window leaves: `(n + 2·pad − k) / stride + 1`, rounded down, each way.
fn slide(
    node: &str,
    window: Window,
    input: Shape,
    filters: Option<usize>,
) -> Result<Shape, NetError> {
    let Shape::Map {
        channels,
        height,
        width,
    } = input
    else {
        return Err(NetError::Rank {
            node: node.into(),
            expected: "a feature map",
            found: input,
        });
    };
    let Window {
        kernel,
        stride,
        padding,
    } = window;
    if padding == Padding::Same && (stride != 1 || kernel.height % 2 == 0 || kernel.width % 2 == 0)
    {
        return Err(NetError::Padding {
            node: node.into(),
            stride,
            kernel,
        });
    }
    let (pad_height, pad_width) = window.pads();
    let steps = |size: usize, pad: usize, kernel: usize| {
        Some((size + 2 * pad).checked_sub(kernel)? / stride + 1)
    };
    match (
        steps(height, pad_height, kernel.height),
        steps(width, pad_width, kernel.width),
    ) {
        (Some(height), Some(width)) => Ok(Shape::Map {
            channels: filters.unwrap_or(channels),
            height,
            width,
        }),
        _ => Err(NetError::WindowTooLarge {
            node: node.into(),
            kernel,
            found: input,
        }),
    }
}
