//! What follows the last grid: classifiers, embeddings, and the second classifier that training uses.

use super::{Flow, valid};
use crate::net::{BATCH_NORM_EPSILON, Kernel, NodeId, Op, Padding, Shape, Stage, Window};

impl Flow<'_> {
    /// Average pool over the grid, dropout, linear layer, softmax: the end of every overall figure.
    #[must_use]
    pub fn classifier(&self) -> Self {
        self.pool_and_drop().logits_and_probabilities()
    }

    /// The end that facenet gives its network: between dropout and the classifier a linear layer without bias to
    /// `features` numbers and a batch normalisation. Their Euclidean unit vector is the `embedding` of a face.
    #[must_use]
    pub fn embedding_and_classifier(&self, features: usize) -> Self {
        let features = self.widened(features);
        let op = Op::Linear {
            features,
            bias: false,
        };
        let pooled = self.pool_and_drop();
        let linear = pooled.add("bottleneck", op, &[&pooled]);
        let epsilon = BATCH_NORM_EPSILON;
        let bottleneck = linear.add(
            "bottleneck/batch_norm",
            Op::BatchNorm { epsilon },
            &[&linear],
        );
        bottleneck.end_stage("bottleneck", linear.at);
        let _ = bottleneck.end("embedding", Op::Normalize);
        bottleneck.logits_and_probabilities()
    }

    /// With the option [`NetOptions::auxiliary_head`](crate::net::NetOptions::auxiliary_head), a second classifier on this value, as the published code has it on
    /// the last 17×17 grid for training; the flow itself goes on unchanged.
    ///
    /// 5×5 average pool at stride 3, 1×1 convolution with 128 filters, 5×5 with 768, linear layer. Where the grid is
    /// smaller than a window (images below 299 pixels), the window is reduced to the grid, as TF-slim does.
    #[must_use]
    pub fn auxiliary_head(&self) -> Self {
        let options = self.state.borrow().options.clone();
        if !options.auxiliary_head {
            return self.clone();
        }
        let reduced = |flow: &Self| match flow.shape() {
            Shape::Map { height, width, .. } => Kernel {
                height: height.min(5),
                width: width.min(5),
            },
            Shape::Vector { .. } => Kernel {
                height: 5,
                width: 5,
            },
        };
        let head = self.stage("auxiliary", 1, [768, 1, 1], |x| {
            let window = Window {
                kernel: reduced(x),
                stride: 3,
                padding: Padding::Valid,
            };
            let name = x.scoped(&format!("average_pool_{}", window.kernel));
            let op = Op::AveragePool {
                window,
                count_padding: false,
            };
            let x = x.add(&name, op, &[x]).conv_1x1(128);
            x.convolution(reduced(&x), valid(768))
        });
        let pooled = head.end("auxiliary_features", Op::GlobalAveragePool);
        let op = Op::Linear {
            features: options.classes,
            bias: true,
        };
        let _ = pooled.end("auxiliary_logits", op);
        self.clone()
    }

    /// Average pool over the grid: `features`; then dropout.
    fn pool_and_drop(&self) -> Self {
        let keep_probability = self.state.borrow().options.dropout_keep_probability;
        let pooled = self.end("features", Op::GlobalAveragePool);
        pooled.add("dropout", Op::Dropout { keep_probability }, &[&pooled])
    }

    fn logits_and_probabilities(&self) -> Self {
        let features = self.state.borrow().options.classes;
        let op = Op::Linear {
            features,
            bias: true,
        };
        self.end("logits", op).end("probabilities", Op::Softmax)
    }

    /// One node that is a stage by itself.
    fn end(&self, name: &str, op: Op) -> Self {
        let flow = self.add(name, op, &[self]);
        flow.end_stage(name, flow.at);
        flow
    }

    /// Declares the nodes from `first` to this one a stage.
    fn end_stage(&self, name: &str, first: NodeId) {
        self.state.borrow_mut().stages.push(Stage {
            name: name.into(),
            repeat: 1,
            output: self.at,
            first,
        });
    }
}
