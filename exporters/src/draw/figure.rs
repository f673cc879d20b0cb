//! One figure with everything in its place: boxes, arrows, texts.

use crate::net::NodeId;

use super::diagram::{Diagram, Kind};
use super::layers::Layers;
use super::layout::Layout;
use super::text_width::{Weight, text_width};

/// Size of the letters in boxes and beside them.
pub(super) const FONT_SIZE: f64 = 12.0;
/// From one baseline to the next.
pub(super) const LINE_HEIGHT: f64 = 15.0;
/// Radius of a shortcut's corners.
pub(super) const CORNER: f64 = 12.0;
/// Letters of a caption's first line, and of the others.
const CAPTION_SIZES: [f64; 2] = [13.0, 11.0];

/// Which point of a text its place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
}

/// A line of text; `y` is its baseline.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Text {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) anchor: Anchor,
    pub(super) size: f64,
    pub(super) weight: Weight,
    pub(super) content: String,
}

impl Text {
    /// An upper bound of its width.
    pub(super) fn width(&self) -> f64 {
        text_width(&self.content, self.size, self.weight)
    }

    fn right(&self) -> f64 {
        match self.anchor {
            Anchor::Start => self.x + self.width(),
            Anchor::Middle => self.x + self.width() / 2.0,
        }
    }
}

/// A box with its text, or a circle where it is a sum.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    pub(super) kind: Kind,
    /// Left, top, width, height.
    pub(super) frame: [f64; 4],
    pub(super) lines: Vec<Text>,
    /// The nodes it stands for.
    pub(super) nodes: Vec<NodeId>,
}

/// An arrow along points, its head at the last.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Arrow {
    pub(super) points: Vec<[f64; 2]>,
    /// Whether its corners are rounded.
    pub(super) rounded: bool,
}

/// A figure; everything in it lies within its width and height.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figure {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) boxes: Vec<Placed>,
    pub(super) arrows: Vec<Arrow>,
    /// Sizes beside boxes, factors, the caption.
    pub(super) texts: Vec<Text>,
}

impl Figure {
    /// Gives everything in a diagram its place, with a caption of some lines below.
    pub(super) fn new(diagram: &Diagram, caption: &[String]) -> Self {
        let layers = Layers::new(diagram);
        let layout = Layout::new(diagram, &layers);
        let mut figure = Self {
            width: 0.0,
            height: 0.0,
            boxes: layout.boxes(),
            arrows: layout.arrows(),
            texts: layout.texts(),
        };
        figure.fit();
        figure.add_caption(caption);
        figure
    }

    /// Moves everything so that it begins at 0, and measures it.
    fn fit(&mut self) {
        let frames = self.boxes.iter().map(|placed| placed.frame);
        let corners = frames.flat_map(|[x, y, width, height]| [[x, y], [x + width, y + height]]);
        let points = self.arrows.iter().flat_map(|arrow| arrow.points.clone());
        let ends = (self.texts.iter()).flat_map(|text| [[text.x, text.y], [text.right(), text.y]]);
        let all: Vec<[f64; 2]> = corners.chain(points).chain(ends).collect();
        let bound = |axis: usize, pick: fn(f64, f64) -> f64| {
            let values = all.iter().map(|point| point[axis]);
            values.reduce(pick).unwrap_or(0.0)
        };
        let (left, top) = (bound(0, f64::min), bound(1, f64::min));
        let (right, bottom) = (bound(0, f64::max), bound(1, f64::max));
        self.shift(-left, -top);
        self.width = right - left;
        self.height = bottom - top;
    }

    /// Moves everything to the right and down.
    pub(super) fn shift(&mut self, right: f64, down: f64) {
        let lines = self.boxes.iter_mut().flat_map(|placed| &mut placed.lines);
        for text in self.texts.iter_mut().chain(lines) {
            text.x += right;
            text.y += down;
        }
        for placed in &mut self.boxes {
            placed.frame[0] += right;
            placed.frame[1] += down;
        }
        for point in self.arrows.iter_mut().flat_map(|arrow| &mut arrow.points) {
            point[0] += right;
            point[1] += down;
        }
    }

    fn add_caption(&mut self, lines: &[String]) {
        let mut baseline = self.height + 14.0;
        let mut caption = vec![];
        for (number, line) in lines.iter().enumerate() {
            let size = CAPTION_SIZES[number.min(1)];
            baseline += LINE_HEIGHT;
            caption.push(Text {
                x: 0.0,
                y: baseline,
                anchor: Anchor::Middle,
                size,
                weight: if number == 0 {
                    Weight::Bold
                } else {
                    Weight::Regular
                },
                content: line.clone(),
            });
        }
        let widest = caption.iter().map(Text::width).fold(0.0, f64::max).ceil();
        if widest > self.width {
            self.shift(((widest - self.width) / 2.0).round(), 0.0);
            self.width = widest;
        }
        for line in &mut caption {
            line.x = self.width / 2.0;
        }
        self.height = baseline + 5.0;
        self.texts.extend(caption);
    }
}
