//! What a network's blocks are, in the notation of the paper's figures, read off its nodes.

use incept_exporters::net::{BATCH_NORM_EPSILON, Net, Node, NodeId, Op, Padding, Window};

/// A layer in the notation of the figures: `3x3 96`, with `/2` for stride 2, `V` for valid padding.
fn layer(node: &Node) -> String {
    let windowed = |text: String, window: Window, plain_stride_1_same: bool| {
        let mut text = text;
        if window.stride != 1 {
            text += &format!(" /{}", window.stride);
        }
        if window.padding == Padding::Valid {
            text += " V";
        }
        assert!(plain_stride_1_same || window.kernel.to_string() == "3x3");
        text
    };
    match node.op {
        Op::Convolution {
            filters,
            window,
            bias,
        } => {
            let linear = if bias { "linear " } else { "" };
            windowed(format!("{linear}{} {filters}", window.kernel), window, true)
        }
        Op::MaxPool(window) => windowed("max".into(), window, false),
        Op::AveragePool {
            window,
            count_padding,
        } => {
            let divisor = if count_padding { "avg by 9" } else { "avg" };
            windowed(divisor.into(), window, false)
        }
        ref op => format!("{op:?}"),
    }
}

/// The chain of layers that ends in `from` and starts after `start`; batch norm and ReLU belong to their convolution.
fn chain(net: &Net, start: NodeId, from: NodeId) -> String {
    let mut layers = vec![];
    let mut at = from;
    while at != start {
        let node = net.at(at);
        assert_eq!(node.inputs.len(), 1, "`{}` joins", node.name);
        if let Op::Convolution { bias: false, .. } = node.op {
            // layers so far end in [relu, batch_norm] of this convolution
            assert_eq!(
                layers.split_off(layers.len() - 2),
                [
                    "Relu".to_string(),
                    format!("BatchNorm {{ epsilon: {BATCH_NORM_EPSILON:?} }}")
                ],
                "after `{}`",
                node.name
            );
        }
        layers.push(layer(node));
        at = node.inputs[0];
    }
    layers.reverse();
    layers.join(" -> ")
}

/// Where every path from `from` goes through first, going backwards: the input of the block.
fn branches(net: &Net, concatenate: &Node, start: NodeId) -> String {
    assert_eq!(concatenate.op, Op::Concatenate, "`{}`", concatenate.name);
    let branches: Vec<String> = concatenate
        .inputs
        .iter()
        .map(|&input| chain(net, start, input))
        .collect();
    branches.join(" | ")
}

/// What a block is, in the notation of the figures, and the node it starts after.
pub(crate) fn figure(net: &Net, output: NodeId, start: NodeId) -> String {
    let last = net.at(output);
    match last.op {
        Op::Concatenate => branches(net, last, start),
        Op::Relu if matches!(net.at(last.inputs[0]).op, Op::ScaledAdd { .. }) => {
            format!("relu({})", figure(net, last.inputs[0], start))
        }
        Op::ScaledAdd { scale } => {
            let sum = last;
            assert_eq!(
                sum.inputs[0], start,
                "`{}`: the trunk is its first input",
                sum.name
            );
            let linear = net.at(sum.inputs[1]);
            let mixed = net.at(linear.inputs[0]);
            format!(
                "x + {scale} * ({}; {})",
                branches(net, mixed, start),
                layer(linear)
            )
        }
        _ => chain(net, start, output),
    }
}

/// The output of block `index` of a stage, or of the whole stage.
pub(crate) fn block_output(net: &Net, stage: &str, index: Option<usize>) -> NodeId {
    let prefix = index.map_or(format!("{stage}/"), |index| format!("{stage}.{index}/"));
    let last = net
        .nodes()
        .iter()
        .rfind(|node| node.name.starts_with(&prefix))
        .unwrap_or_else(|| panic!("{}: nothing called `{prefix}`", net.name()));
    net.id(&last.name).unwrap()
}
