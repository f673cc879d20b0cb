//! What stands in the boxes, in the paper's words.

use crate::net::{Op, Padding, Shape, Window};

/// A stage's or network's name as the paper writes it: `inception_resnet_a` is `Inception-ResNet-A`.
pub(super) fn title(name: &str) -> String {
    let word = |word: &str| match word {
        "resnet" => "ResNet".to_string(),
        _ if is_version(word) => word.to_string(),
        _ => {
            let mut letters = word.chars();
            letters
                .next()
                .map(|first| first.to_uppercase().chain(letters).collect())
                .unwrap_or_default()
        }
    };
    name.split('_').map(word).collect::<Vec<_>>().join("-")
}

/// `v4`: a small v and digits.
fn is_version(word: &str) -> bool {
    word.strip_prefix('v')
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A shape in the paper's order, `35x35x384`: height, width, channels.
pub(super) fn size(shape: Shape) -> String {
    match shape {
        Shape::Map {
            channels,
            height,
            width,
        } => format!("{height}x{width}x{channels}"),
        Shape::Vector { features } => features.to_string(),
    }
}

/// The grid alone, `35x35`; nothing for a vector.
pub(super) fn grid(shape: Shape) -> Option<String> {
    match shape {
        Shape::Map { height, width, .. } => Some(format!("{height}x{width}")),
        Shape::Vector { .. } => None,
    }
}

/// The text of a box. `normalised` tells that batch normalisation and ReLU follow inside the same box; a convolution
/// without them is linear.
pub(super) fn layer(op: &Op, shape: Shape, normalised: bool) -> String {
    match op {
        Op::Input => format!("Input ({})", size(shape)),
        Op::Convolution {
            filters, window, ..
        } => {
            let linear = (!normalised).then(|| "Linear".to_string());
            let filters = Some(filters.to_string());
            windowed("Conv", window, filters, linear)
        }
        Op::BatchNorm { .. } => "Batch norm".into(),
        Op::Relu => "Relu activation".into(),
        Op::MaxPool(window) => windowed("MaxPool", window, None, None),
        Op::AveragePool {
            window,
            count_padding,
        } => {
            let counted = count_padding.then(|| "padding counted".to_string());
            windowed("Avg Pooling", window, None, counted)
        }
        Op::GlobalAveragePool => "Average Pooling".into(),
        Op::Concatenate => "Filter concat".into(),
        Op::ScaledAdd { .. } => "+".into(),
        Op::Dropout { keep_probability } => format!("Dropout (keep {keep_probability})"),
        Op::Linear { features, .. } => format!("Linear ({features})"),
        Op::Normalize => "L2 normalisation".into(),
        Op::Softmax => "Softmax".into(),
    }
}

/// `3x3 Conv (96 stride 2 V)`: the window before, what else is to know in brackets.
fn windowed(name: &str, window: &Window, first: Option<String>, last: Option<String>) -> String {
    let stride = (window.stride != 1).then(|| format!("stride {}", window.stride));
    let valid = (window.padding == Padding::Valid).then(|| "V".to_string());
    let details: Vec<String> = [first, stride, valid, last].into_iter().flatten().collect();
    let kernel = window.kernel;
    if details.is_empty() {
        format!("{kernel} {name}")
    } else {
        format!("{kernel} {name} ({})", details.join(" "))
    }
}

/// The text in two lines where one would be longer than `longest` characters: the brackets go below.
pub(super) fn lines(text: &str, longest: usize) -> Vec<String> {
    match text.split_once(" (") {
        Some((before, after)) if text.chars().count() > longest => {
            vec![before.to_string(), format!("({after}")]
        }
        _ => vec![text.to_string()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Kernel;
    use crate::zoo::REGISTRY;

    #[test]
    fn names_are_written_as_in_the_paper() {
        assert_eq!(title("inception_resnet_a"), "Inception-ResNet-A");
        assert_eq!(title("reduction_b"), "Reduction-B");
        assert_eq!(title("mixed_5b"), "Mixed-5b");
        assert_eq!(title("value_v"), "Value-V");
        assert_eq!(title(""), "");
        for entry in REGISTRY {
            assert_eq!(title(entry.name), entry.title);
        }
    }

    #[test]
    fn layers_are_written_as_in_the_paper() {
        let kernel = Kernel {
            height: 1,
            width: 7,
        };
        let window = |stride, padding| Window {
            kernel,
            stride,
            padding,
        };
        let shape = Shape::Map {
            channels: 64,
            height: 17,
            width: 19,
        };
        let text = |op, normalised| layer(&op, shape, normalised);
        let convolution = |window| Op::Convolution {
            filters: 32,
            window,
            bias: true,
        };
        let average = |count_padding| Op::AveragePool {
            window: window(1, Padding::Same),
            count_padding,
        };
        assert_eq!(
            text(convolution(window(2, Padding::Valid)), true),
            "1x7 Conv (32 stride 2 V)"
        );
        assert_eq!(
            text(convolution(window(1, Padding::Same)), false),
            "1x7 Conv (32 Linear)"
        );
        assert_eq!(
            text(Op::MaxPool(window(2, Padding::Valid)), false),
            "1x7 MaxPool (stride 2 V)"
        );
        assert_eq!(text(average(false), false), "1x7 Avg Pooling");
        assert_eq!(
            text(average(true), false),
            "1x7 Avg Pooling (padding counted)"
        );
        assert_eq!(text(Op::Input, false), "Input (17x19x64)");
        assert_eq!(
            text(
                Op::Dropout {
                    keep_probability: 0.8
                },
                false
            ),
            "Dropout (keep 0.8)"
        );
    }

    #[test]
    fn long_texts_break_before_the_bracket() {
        assert_eq!(lines("3x3 Conv (96)", 16), ["3x3 Conv (96)"]);
        assert_eq!(
            lines("3x3 Conv (96 stride 2 V)", 16),
            ["3x3 Conv", "(96 stride 2 V)"]
        );
        assert_eq!(
            lines("Relu activation and more", 16),
            ["Relu activation and more"]
        );
    }
}
