//! A page: the overall figure at the left, the blocks' figures in rows beside it.

use super::figure::{Anchor, FONT_SIZE, Figure, Text};
use super::text_width::Weight;

/// White space around everything and between figures.
const MARGIN: f64 = 30.0;
const BETWEEN: f64 = 40.0;
const HEADING_SIZE: f64 = 20.0;
const BLOCK_HEADING_SIZE: f64 = 15.0;
/// Width over height of a sheet of paper on its side.
const SHEET: f64 = std::f64::consts::SQRT_2;
/// What a reader needs besides the paper's own signs.
const LEGEND: [&str; 2] = [
    "Conv: with batch normalisation and ReLU, unless Linear.",
    "V: valid padding. Dashed: given from outside.",
];

/// A drawing: figures in their places.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Page {
    pub(super) title: String,
    /// The drawing in words.
    pub(super) description: String,
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) figures: Vec<Figure>,
    /// Heading and legend.
    pub(super) texts: Vec<Text>,
}

impl Page {
    pub(super) fn new(
        title: String,
        description: String,
        overall: Option<Figure>,
        blocks: Vec<Figure>,
    ) -> Self {
        let text = |size, weight, content: &str| Text {
            x: MARGIN,
            y: 0.0,
            anchor: Anchor::Start,
            size,
            weight,
            content: content.into(),
        };
        let alone = overall.is_none();
        let size = if alone {
            BLOCK_HEADING_SIZE
        } else {
            HEADING_SIZE
        };
        let mut heading = text(size, Weight::Bold, &title);
        heading.y = MARGIN + size;
        let legend = LEGEND.map(|line| text(FONT_SIZE, Weight::Regular, line));

        let top = heading.y + MARGIN;
        let left = overall
            .as_ref()
            .map_or(MARGIN, |overall| MARGIN + overall.width + BETWEEN);
        let least_height = overall.as_ref().map_or(0.0, |overall| overall.height);
        let (places, [right, bottom]) = best_rows(&blocks, [left, top], least_height);

        let mut figures = vec![];
        if let Some(mut overall) = overall {
            // Its input stands as low as the lowest figure's.
            let down = bottom - overall.height;
            overall.shift(MARGIN, down.max(top).round());
            figures.push(overall);
        }
        for (mut figure, [x, y]) in blocks.into_iter().zip(places) {
            figure.shift(x, y);
            figures.push(figure);
        }
        let mut texts = vec![heading];
        let mut baseline = bottom + MARGIN;
        for mut line in legend {
            line.y = baseline;
            baseline += FONT_SIZE * 1.4;
            texts.push(line);
        }
        let widest = texts.iter().map(|text| text.x + text.width());
        let width = widest.fold(right, f64::max);
        // A block narrower than its heading stands in the middle.
        for figure in figures.iter_mut().filter(|_| alone) {
            figure.shift(((width - right) / 2.0).round(), 0.0);
        }
        Self {
            title,
            description,
            width: (width + MARGIN).ceil(),
            height: (baseline + MARGIN - FONT_SIZE).ceil(),
            figures,
            texts,
        }
    }
}

/// Where each figure stands, right of and below `origin`, and where they end: in as many rows as make the page most like
/// a sheet of paper.
fn best_rows(figures: &[Figure], origin: [f64; 2], least_height: f64) -> (Vec<[f64; 2]>, [f64; 2]) {
    let mut best = (vec![], [origin[0] - BETWEEN, origin[1] + least_height]);
    let mut nearest = f64::INFINITY;
    for count in 1..=figures.len() {
        let (places, [right, bottom]) = shelves(figures, origin, count);
        let bottom = bottom.max(origin[1] + least_height);
        let ratio = (right + MARGIN) / (bottom + 2.0 * MARGIN) / SHEET;
        let distance = ratio.max(1.0 / ratio);
        if distance < nearest {
            nearest = distance;
            best = (places, [right, bottom]);
        }
    }
    best
}

/// The figures in order in `count` rows, cut so that the longest row is as short as can be. In a row their captions stand
/// on one line.
fn shelves(figures: &[Figure], origin: [f64; 2], count: usize) -> (Vec<[f64; 2]>, [f64; 2]) {
    let rows = cut_evenly(figures, count);
    let mut places = vec![];
    let [mut right, mut bottom] = origin;
    for row in rows {
        let top = if places.is_empty() {
            bottom
        } else {
            bottom + BETWEEN
        };
        let height = row.iter().map(|figure| figure.height).fold(0.0, f64::max);
        let mut x = origin[0];
        for figure in row {
            places.push([x.round(), (top + height - figure.height).round()]);
            right = right.max(x + figure.width);
            x += figure.width + BETWEEN;
        }
        bottom = top + height;
    }
    (places, [right, bottom])
}

/// The least width of rows with which `count` are enough, found among the widths of all runs of figures.
fn cut_evenly(figures: &[Figure], count: usize) -> Vec<&[Figure]> {
    let width = |run: &[Figure]| run.iter().map(|figure| figure.width + BETWEEN).sum::<f64>();
    let runs =
        (0..figures.len()).flat_map(|from| (from + 1..=figures.len()).map(move |to| from..to));
    let mut widths: Vec<f64> = runs.map(|run| width(&figures[run])).collect();
    widths.sort_by(f64::total_cmp);
    let filled = |limit: f64| {
        let mut rows = vec![];
        let mut start = 0;
        for end in 1..=figures.len() {
            if end == figures.len() || width(&figures[start..=end]) > limit {
                rows.push(&figures[start..end]);
                start = end;
            }
        }
        rows
    };
    let widest = figures
        .iter()
        .map(|figure| figure.width + BETWEEN)
        .fold(0.0, f64::max);
    (widths.into_iter().filter(|&limit| limit >= widest))
        .map(filled)
        .find(|rows| rows.len() <= count)
        .unwrap_or_default()
}
