//! Places: the rows and columns of a diagram turned into boxes, arrows and texts.

use super::columns::{Reach, centres};
use super::diagram::{Diagram, Element, Kind, LinkKind};
use super::figure::{Anchor, Arrow, CORNER, FONT_SIZE, LINE_HEIGHT, Placed, Text};
use super::label;
use super::layers::Layers;
use super::text_width::{Weight, text_width};

/// Longest text in one line of a box, in characters.
const LONGEST_LINE: usize = 20;
/// From the middle of a line to its baseline, as part of the letters' size.
const DROP: f64 = 0.36;
/// Space between a box's text and its sides, left and right.
const PADDING: f64 = 9.0;
/// Height of a box beyond its lines.
const EXTRA_HEIGHT: f64 = 11.0;
const SMALLEST_WIDTH: f64 = 92.0;
/// Radius of the circle around a sum's plus.
const SUM_RADIUS: f64 = 12.0;
/// Space from a box to the text beside it.
const BESIDE: f64 = 8.0;
/// Room an arrow takes to each side where it passes a row.
const ARROW_ROOM: f64 = 4.0;
/// Least distance of two rows; flat arrows get more.
const ROW_GAP: f64 = 30.0;
/// Distance of two arrows that end on one box, at most.
const PORT_STEP: f64 = 18.0;
/// The text of a box in its lines.
fn lines(element: &Element) -> Vec<String> {
    label::lines(&element.label, LONGEST_LINE)
}

/// Where the rows and columns of a diagram lie.
pub(super) struct Layout<'a> {
    diagram: &'a Diagram,
    layers: &'a Layers,
    /// Width of every box but sums.
    box_width: f64,
    /// Centre of each vertex.
    centres: Vec<f64>,
    /// Top and bottom of each row.
    rows: Vec<[f64; 2]>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(diagram: &'a Diagram, layers: &'a Layers) -> Self {
        let widest = (diagram.elements.iter().flat_map(lines))
            .map(|line| text_width(&line, FONT_SIZE, Weight::Regular))
            .fold(0.0, f64::max);
        // An even width leaves its centre on a whole pixel.
        let box_width = ((widest / 2.0 + PADDING).ceil() * 2.0).max(SMALLEST_WIDTH);
        let mut layout = Self {
            diagram,
            layers,
            box_width,
            centres: vec![],
            rows: vec![],
        };
        let reach: Vec<Reach> = (layers.vertices.iter())
            .map(|vertex| layout.reach(vertex.element))
            .collect();
        layout.centres = centres(layers, &diagram.links, &reach);
        layout.pull_shortcuts_clear();
        layout.rows = layout.stack_rows();
        layout
    }

    fn reach(&self, element: Option<usize>) -> Reach {
        let Some(element) = element.map(|element| &self.diagram.elements[element]) else {
            return Reach {
                left: ARROW_ROOM,
                right: ARROW_ROOM,
            };
        };
        let half = self.size(element)[0] / 2.0;
        let beside = (element.beside.iter())
            .map(|text| BESIDE + text_width(text, FONT_SIZE, Weight::Regular))
            .fold(0.0, f64::max);
        Reach {
            left: half,
            right: half + beside,
        }
    }

    /// Width and height of a box.
    fn size(&self, element: &Element) -> [f64; 2] {
        match element.kind {
            Kind::Sum => [2.0 * SUM_RADIUS; 2],
            _ => [
                self.box_width,
                lines(element).len() as f64 * LINE_HEIGHT + EXTRA_HEIGHT,
            ],
        }
    }

    /// Whether a link is drawn around the left side: a shortcut with nothing to its left anywhere.
    fn goes_around(&self, link: usize) -> bool {
        let first_in_row = |&vertex: &usize| {
            let row = &self.layers.rows[self.layers.vertices[vertex].row];
            row.first() == Some(&vertex)
        };
        let chain = &self.layers.chains[link];
        self.diagram.links[link].kind == LinkKind::Shortcut
            && chain.len() > 2
            && chain.iter().all(first_in_row)
    }

    /// Moves shortcuts drawn around the left side out from below the boxes they leave and reach.
    fn pull_shortcuts_clear(&mut self) {
        for link in 0..self.diagram.links.len() {
            if !self.goes_around(link) {
                continue;
            }
            let chain = &self.layers.chains[link];
            let waypoints = &chain[1..chain.len() - 1];
            let ends = [chain[0], chain[chain.len() - 1]];
            let clear = (ends.iter())
                .map(|&end| self.centres[end] - self.reach(self.layers.vertices[end].element).left)
                .map(|left| left - 2.0 * CORNER)
                .chain(waypoints.iter().map(|&waypoint| self.centres[waypoint]))
                .fold(f64::INFINITY, f64::min);
            for &waypoint in waypoints {
                self.centres[waypoint] = clear;
            }
        }
    }

    /// Top and bottom of each row, from the highest at 0 downwards.
    fn stack_rows(&self) -> Vec<[f64; 2]> {
        let count = self.layers.rows.len();
        let mut heights = vec![0.0_f64; count];
        for vertex in &self.layers.vertices {
            if let Some(element) = vertex.element {
                let height = self.size(&self.diagram.elements[element])[1];
                heights[vertex.row] = heights[vertex.row].max(height);
            }
        }
        let mut gaps = vec![ROW_GAP; count];
        for (link, chain) in self.layers.chains.iter().enumerate() {
            if self.goes_around(link) {
                continue;
            }
            for pair in chain.windows(2) {
                let gap = &mut gaps[self.layers.vertices[pair[0]].row];
                let across = (self.centres[pair[0]] - self.centres[pair[1]]).abs();
                *gap = gap.max((ROW_GAP + 0.12 * across).round().min(80.0));
            }
        }
        let mut rows = vec![[0.0; 2]; count];
        let mut top = 0.0;
        for row in (0..count).rev() {
            rows[row] = [top, top + heights[row]];
            top += heights[row] + if row > 0 { gaps[row - 1] } else { 0.0 };
        }
        rows
    }

    /// Left, top, width, height of a box, in the middle of its row.
    fn frame(&self, element: usize) -> [f64; 4] {
        let [width, height] = self.size(&self.diagram.elements[element]);
        let [top, bottom] = self.rows[self.layers.vertices[element].row];
        let y = ((top + bottom - height) / 2.0).round();
        [self.centres[element] - width / 2.0, y, width, height]
    }

    pub(super) fn boxes(&self) -> Vec<Placed> {
        let elements = self.diagram.elements.iter().enumerate();
        elements
            .map(|(index, element)| {
                let frame = self.frame(index);
                let lines = lines(element);
                let middle = frame[1] + frame[3] / 2.0;
                let first =
                    middle - (lines.len() - 1) as f64 * LINE_HEIGHT / 2.0 + FONT_SIZE * DROP;
                let line = |(number, content): (usize, String)| Text {
                    x: self.centres[index],
                    y: first + number as f64 * LINE_HEIGHT,
                    anchor: Anchor::Middle,
                    size: FONT_SIZE,
                    weight: Weight::Regular,
                    content,
                };
                Placed {
                    kind: element.kind,
                    frame,
                    lines: lines.into_iter().enumerate().map(line).collect(),
                    nodes: element.nodes.clone(),
                }
            })
            .collect()
    }

    pub(super) fn texts(&self) -> Vec<Text> {
        let elements = self.diagram.elements.iter().enumerate();
        elements
            .filter_map(|(index, element)| {
                let [left, top, width, height] = self.frame(index);
                Some(Text {
                    x: left + width + BESIDE,
                    y: top + height / 2.0 + FONT_SIZE * DROP,
                    anchor: Anchor::Start,
                    size: FONT_SIZE,
                    weight: Weight::Regular,
                    content: element.beside.clone()?,
                })
            })
            .collect()
    }

    pub(super) fn arrows(&self) -> Vec<Arrow> {
        (0..self.diagram.links.len())
            .map(|link| {
                if self.goes_around(link) {
                    self.around(link)
                } else {
                    self.upwards(link)
                }
            })
            .collect()
    }

    /// From the left side of a box, up beside everything, into the left side of the other.
    fn around(&self, link: usize) -> Arrow {
        let lane = self.centres[self.layers.chains[link][1]];
        let side = |element: usize| {
            let [left, top, _, height] = self.frame(element);
            [left, top + height / 2.0]
        };
        let (from, to) = (
            side(self.diagram.links[link].from),
            side(self.diagram.links[link].to),
        );
        Arrow {
            points: vec![from, [lane, from[1]], [lane, to[1]], to],
            rounded: true,
        }
    }

    /// From the top of a box to the bottom of the other: slanting between rows only, upright where it passes one, so that
    /// it meets no box on its way.
    fn upwards(&self, link: usize) -> Arrow {
        let chain = &self.layers.chains[link];
        let (from, to) = (self.diagram.links[link].from, self.diagram.links[link].to);
        let (start, end) = (self.port(link, true), self.port(link, false));
        let row = |vertex: usize| self.rows[self.layers.vertices[vertex].row];
        let (from_frame, to_frame) = (self.frame(from), self.frame(to));
        let mut points = vec![[start, from_frame[1]], [start, row(from)[0]]];
        for &waypoint in &chain[1..chain.len() - 1] {
            let [top, bottom] = row(waypoint);
            points.push([self.centres[waypoint], bottom]);
            points.push([self.centres[waypoint], top]);
        }
        points.push([end, row(to)[1]]);
        points.push([end, to_frame[1] + to_frame[3]]);
        Arrow {
            points: straightened(&points),
            rounded: false,
        }
    }

    /// Where on its box a link starts (`leaving`) or ends: side by side in the order in which they come, those up the
    /// middle around the middle.
    fn port(&self, link: usize, leaving: bool) -> f64 {
        let end = |link: usize| {
            let chain = &self.layers.chains[link];
            match leaving {
                true => (chain[0], chain[1]),
                false => (chain[chain.len() - 1], chain[chain.len() - 2]),
            }
        };
        let (element, _) = end(link);
        let mut beside: Vec<(f64, usize)> = (0..self.diagram.links.len())
            .filter(|&other| end(other).0 == element && !self.goes_around(other))
            .map(|other| (self.centres[end(other).1], other))
            .collect();
        beside.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let places = |wanted: &dyn Fn(usize) -> bool| -> Vec<f64> {
            let found = beside
                .iter()
                .enumerate()
                .filter(|(_, (_, other))| wanted(*other));
            found.map(|(place, _)| place as f64).collect()
        };
        let mut central = places(&|other| self.diagram.links[other].kind == LinkKind::Main);
        if central.is_empty() {
            central = places(&|_| true);
        }
        let own = places(&|other| other == link).into_iter().sum::<f64>();
        let middle = central.iter().sum::<f64>() / central.len().max(1) as f64;
        // However many there are, and however far to one side, none leaves the box.
        let room = self.size(&self.diagram.elements[element])[0] / 2.0 - PADDING;
        let farthest = middle.max(beside.len().saturating_sub(1) as f64 - middle);
        let step = PORT_STEP.min(room / farthest.max(1.0));
        self.centres[element] + (own - middle) * step
    }
}

/// The same line without points that lie on the way from one to the next.
fn straightened(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let mut kept: Vec<[f64; 2]> = vec![];
    for &point in points {
        if kept.last() == Some(&point) {
            continue;
        }
        if let [.., before, last] = kept[..]
            && before[0] == last[0]
            && last[0] == point[0]
        {
            kept.pop();
        }
        kept.push(point);
    }
    kept
}
