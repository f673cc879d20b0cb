//! The builder: each block function reads as its figure does, and no input channel is ever stated.

mod heads;

use std::cell::RefCell;
use std::collections::HashMap;

use super::shapes::infer_shape;
use super::{
    BATCH_NORM_EPSILON, Kernel, Net, NetError, NetOptions, Node, NodeId, Op, Padding, Shape, Stage,
    Window,
};

/// Filters of a convolution with its padding and stride: `same(96)`, `valid(384).stride(2)`.
#[derive(Debug, Clone, Copy)]
pub struct Filters {
    count: usize,
    padding: Padding,
    stride: usize,
}

/// So many filters, padded so that height and width stay.
pub fn same(filters: usize) -> Filters {
    Filters {
        count: filters,
        padding: Padding::Same,
        stride: 1,
    }
}

/// So many filters, without padding.
pub fn valid(filters: usize) -> Filters {
    Filters {
        count: filters,
        padding: Padding::Valid,
        stride: 1,
    }
}

impl Filters {
    /// A step of `stride` pixels both ways.
    #[must_use]
    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }
}

struct State {
    options: NetOptions,
    nodes: Vec<Node>,
    stages: Vec<Stage>,
    by_name: HashMap<String, NodeId>,
    /// The first thing that went wrong; later nodes are built on a stand-in and thrown away with the rest.
    error: Option<NetError>,
}

/// A value flowing through the network under construction, and the place its next layer is named after.
#[derive(Clone)]
pub struct Flow<'a> {
    state: &'a RefCell<State>,
    at: NodeId,
    stage: String,
    index: Option<usize>,
    branch: Option<usize>,
}

impl Net {
    /// Builds a network from `image`, which `figure` takes to the network's last node.
    ///
    /// # Errors
    /// An option out of range, a window that does not fit, branches that cannot be joined, or a
    /// stage whose shape is not the one its figure gives.
    pub fn build(
        name: &str,
        variant: &str,
        options: &NetOptions,
        figure: impl for<'a> FnOnce(Flow<'a>) -> Flow<'a>,
    ) -> Result<Net, NetError> {
        options.check()?;
        let shape = Shape::Map {
            channels: 3,
            height: options.image_height,
            width: options.image_width,
        };
        let image = Node {
            name: "image".into(),
            op: Op::Input,
            inputs: vec![],
            shape,
        };
        let state = RefCell::new(State {
            options: options.clone(),
            by_name: HashMap::from([(image.name.clone(), NodeId(0))]),
            nodes: vec![image],
            stages: vec![],
            error: None,
        });
        figure(Flow {
            state: &state,
            at: NodeId(0),
            stage: String::new(),
            index: None,
            branch: None,
        });
        let State {
            nodes,
            stages,
            by_name,
            error,
            ..
        } = state.into_inner();
        let auxiliary = stages.iter().any(|stage| stage.name == "auxiliary");
        match error {
            Some(error) => Err(error),
            None if options.auxiliary_head && !auxiliary => Err(NetError::NoAuxiliaryHead {
                network: name.into(),
                variant: variant.into(),
            }),
            None => Ok(Net {
                name: name.into(),
                variant: variant.into(),
                options: options.clone(),
                nodes,
                stages,
                by_name,
            }),
        }
    }
}

macro_rules! convolutions {
    ($($name:ident $height:literal $width:literal),*) => { $(
        #[doc = concat!("Convolution, kernel height ", $height, " and width ", $width, ", then batch normalisation and ReLU.")]
        #[must_use]
        pub fn $name(&self, filters: Filters) -> Self {
            self.convolution(Kernel { height: $height, width: $width }, filters)
        }
    )* };
}

impl Flow<'_> {
    convolutions!(conv_3x3 3 3, conv_5x5 5 5, conv_1x7 1 7, conv_7x1 7 1, conv_1x3 1 3, conv_3x1 3 1);

    /// 1×1 convolution, then batch normalisation and ReLU.
    #[must_use]
    pub fn conv_1x1(&self, filters: usize) -> Self {
        self.convolution(
            Kernel {
                height: 1,
                width: 1,
            },
            same(filters),
        )
    }

    /// 3×3 max pool at stride 2, without padding.
    #[must_use]
    pub fn max_pool_3x3_stride_2_valid(&self) -> Self {
        let kernel = Kernel {
            height: 3,
            width: 3,
        };
        let window = Window {
            kernel,
            stride: 2,
            padding: Padding::Valid,
        };
        self.add(&self.scoped("max_pool_3x3"), Op::MaxPool(window), &[self])
    }

    /// 3×3 average pool at stride 1, padded to the same size, divided by the number of real pixels.
    #[must_use]
    pub fn average_pool_3x3_same(&self) -> Self {
        self.average_pool_3x3_same_counting(false)
    }

    /// As [`Flow::average_pool_3x3_same`], but with `padding` divided by 9 everywhere: the zeros of the padding count.
    #[must_use]
    pub fn average_pool_3x3_same_counting(&self, padding: bool) -> Self {
        let op = Op::AveragePool {
            window: same_window(3, 3),
            count_padding: padding,
        };
        self.add(&self.scoped("average_pool_3x3"), op, &[self])
    }

    /// The same value, whose next layers belong to branch `number` of the block.
    #[must_use]
    pub fn branch(&self, number: usize) -> Self {
        Self {
            branch: Some(number),
            ..self.clone()
        }
    }

    /// The same value, whose next layers belong to part `number` of the stage.
    #[must_use]
    pub fn part(&self, number: usize) -> Self {
        Self {
            index: Some(number),
            branch: None,
            ..self.clone()
        }
    }

    /// Joins branches over their channels, in this order.
    #[must_use]
    pub fn concatenate<const N: usize>(&self, branches: [Self; N]) -> Self {
        self.add(
            &self.scoped("concatenate"),
            Op::Concatenate,
            &branches.each_ref(),
        )
    }

    /// `x + scale * linear(mixed)`: the linear 1×1 convolution has a bias and expands `mixed` to this value's
    /// channels; there is no batch normalisation on the sum (section 3.2).
    #[must_use]
    pub fn add_residual(&self, scale: f64, mixed: &Self) -> Self {
        let op = Op::Convolution {
            filters: self.shape().channels(),
            window: same_window(1, 1),
            bias: true,
        };
        let residual = mixed.add(&self.scoped("linear_1x1"), op, &[mixed]);
        self.add(
            &self.scoped("add"),
            Op::ScaledAdd { scale },
            &[self, &residual],
        )
    }

    /// max(x, 0), as on the sum of every residual block but the published networks' last.
    #[must_use]
    pub fn relu(&self) -> Self {
        self.add(&self.scoped("relu"), Op::Relu, &[self])
    }

    /// A stage: `block` applied `repeat` times, its output checked against the shape its figure gives.
    /// Channels are checked at width 1, height and width at the paper's 299×299.
    #[must_use]
    pub fn stage(
        &self,
        name: &str,
        repeat: usize,
        shape: [usize; 3],
        block: impl Fn(&Self) -> Self,
    ) -> Self {
        self.stage_of(name, &vec![(); repeat], shape, |x, ()| block(x))
    }

    /// As [`Flow::stage`], for blocks alike but for a number: once for each of `numbers`.
    #[must_use]
    pub fn stage_of<T: Copy>(
        &self,
        name: &str,
        numbers: &[T],
        [channels, height, width]: [usize; 3],
        block: impl Fn(&Self, T) -> Self,
    ) -> Self {
        let first = NodeId(self.state.borrow().nodes.len());
        let repeat = numbers.len();
        let mut flow = Self {
            stage: name.into(),
            index: None,
            branch: None,
            ..self.clone()
        };
        for (index, &number) in numbers.iter().enumerate() {
            flow.index = (repeat > 1).then_some(index);
            flow.branch = None;
            flow = block(&flow, number);
        }
        let mut state = self.state.borrow_mut();
        let found = state.nodes[flow.at.0].shape;
        let mut expected = Shape::Map {
            channels,
            height,
            width,
        };
        if let (
            Shape::Map {
                channels: c,
                height: h,
                width: w,
            },
            Shape::Map {
                channels,
                height,
                width,
            },
        ) = (found, &mut expected)
        {
            if state.options.width_multiplier != 1.0 {
                *channels = c;
            }
            if (state.options.image_height, state.options.image_width) != (299, 299) {
                (*height, *width) = (h, w);
            }
        }
        if found != expected {
            let stage = name.to_string();
            state.error.get_or_insert(NetError::Stage {
                stage,
                expected,
                found,
            });
        }
        state.stages.push(Stage {
            name: name.into(),
            repeat,
            output: flow.at,
            first,
        });
        flow.clone()
    }

    /// So many filters or features at the network's width, at least one.
    fn widened(&self, count: usize) -> usize {
        let width = self.state.borrow().options.width_multiplier;
        ((count as f64 * width).round() as usize).max(1)
    }

    fn convolution(
        &self,
        kernel: Kernel,
        Filters {
            count,
            padding,
            stride,
        }: Filters,
    ) -> Self {
        let window = Window {
            kernel,
            stride,
            padding,
        };
        let op = Op::Convolution {
            filters: self.widened(count),
            window,
            bias: false,
        };
        let layer = self.add(&self.scoped(&format!("conv_{kernel}")), op, &[self]);
        let name = layer.name();
        let epsilon = BATCH_NORM_EPSILON;
        let normalised = layer.add(
            &format!("{name}/batch_norm"),
            Op::BatchNorm { epsilon },
            &[&layer],
        );
        normalised.add(&format!("{name}/relu"), Op::Relu, &[&normalised])
    }

    fn shape(&self) -> Shape {
        self.state.borrow().nodes[self.at.0].shape
    }

    fn name(&self) -> String {
        self.state.borrow().nodes[self.at.0].name.clone()
    }

    /// `<stage>.<index>/<branch>/<layer>`, the one naming rule; a second layer alike ends in `_2`.
    fn scoped(&self, layer: &str) -> String {
        let mut name = self.stage.clone();
        if let Some(index) = self.index {
            name += &format!(".{index}");
        }
        if let Some(branch) = self.branch {
            name += &format!("/branch_{branch}");
        }
        name += &format!("/{layer}");
        let state = self.state.borrow();
        let free = |name: &String| !state.by_name.contains_key(name);
        if free(&name) {
            return name;
        }
        (2..)
            .map(|n| format!("{name}_{n}"))
            .find(free)
            .unwrap_or(name)
    }

    /// Appends a node; the flow goes on from it in the same place.
    fn add(&self, name: &str, op: Op, inputs: &[&Self]) -> Self {
        let mut state = self.state.borrow_mut();
        let shapes: Vec<Shape> = inputs
            .iter()
            .map(|input| state.nodes[input.at.0].shape)
            .collect();
        let shape = infer_shape(name, &op, &shapes).unwrap_or_else(|error| {
            state.error.get_or_insert(error);
            shapes[0]
        });
        let id = NodeId(state.nodes.len());
        let inputs = inputs.iter().map(|input| input.at).collect();
        state.nodes.push(Node {
            name: name.into(),
            op,
            inputs,
            shape,
        });
        state.by_name.insert(name.into(), id);
        Self {
            at: id,
            ..self.clone()
        }
    }
}

fn same_window(height: usize, width: usize) -> Window {
    Window {
        kernel: Kernel { height, width },
        stride: 1,
        padding: Padding::Same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(figure: impl for<'a> FnOnce(Flow<'a>) -> Flow<'a>) -> Result<Net, NetError> {
        Net::build("test", "paper", &NetOptions::default(), figure)
    }

    #[test]
    fn names_follow_the_one_rule() {
        let net = build(|image| {
            image.stage("mixed", 2, [16, 299, 299], |x| {
                x.concatenate([
                    x.branch(0).conv_1x1(8),
                    x.branch(1).conv_1x1(8).conv_1x7(same(8)).conv_1x7(same(8)),
                ])
            })
        })
        .unwrap();
        let names: Vec<&str> = net.nodes().iter().map(|node| node.name.as_str()).collect();
        assert!(
            names.contains(&"mixed.1/branch_1/conv_1x7_2/batch_norm"),
            "{names:?}"
        );
        assert!(names.contains(&"mixed.0/concatenate"));
        assert_eq!(net.stages()[0].repeat, 2);
    }

    #[test]
    fn a_stage_that_differs_from_its_figure_is_named() {
        let error =
            build(|image| image.stage("stem", 1, [32, 149, 149], |x| x.conv_3x3(valid(32))))
                .unwrap_err();
        assert_eq!(
            error.to_string(),
            "stage `stem`: expected 32x149x149, found 32x297x297"
        );
    }

    #[test]
    fn a_kernel_is_height_by_width() {
        let net =
            build(|image| image.stage("s", 1, [4, 299, 293], |x| x.conv_1x7(valid(4)))).unwrap();
        assert_eq!(
            net.node("s/conv_1x7").unwrap().shape.to_string(),
            "4x299x293"
        );
    }

    #[test]
    fn what_cannot_be_built_is_an_error_with_the_name() {
        let join = build(|image| {
            image.stage("s", 1, [1, 1, 1], |x| {
                x.concatenate([x.branch(0).conv_1x1(4), x.branch(1).conv_3x3(valid(4))])
            })
        });
        assert_eq!(
            join.unwrap_err().to_string(),
            "`s/concatenate`: cannot join 4x297x297 to 4x299x299"
        );
        let padding =
            build(|image| image.stage("s", 1, [4, 299, 299], |x| x.conv_3x3(same(4).stride(2))));
        assert!(
            padding
                .unwrap_err()
                .to_string()
                .starts_with("`s/conv_3x3`: same padding needs stride 1")
        );
        let rank = build(|image| image.classifier().conv_1x1(1));
        assert!(
            rank.unwrap_err()
                .to_string()
                .contains("expected a feature map, found 1000")
        );
    }
}
