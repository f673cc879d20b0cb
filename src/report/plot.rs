//! Plots as SVG, each drawn wide for desktops and narrow for telephones, so that its letters stay readable.

use std::collections::BTreeMap;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::series::DashedLineSeries;
use serde::Serialize;

use super::errors::chance;
use super::format::{counted, list};
use super::{NetworkReport, Report, ReportError};

/// A plot in both widths.
#[derive(Debug, Serialize)]
pub(super) struct Plot {
    wide: String,
    narrow: String,
    /// What it shows, for those who do not see it.
    alternative: String,
    notes: Vec<String>,
}

/// Okabe and Ito's colours: told apart also by the colour-blind, and dark enough on white.
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(110, 88, 20),
];
const TEXT: RGBColor = RGBColor(43, 48, 54);
const GRID: RGBColor = RGBColor(226, 229, 233);
const CHANCE: RGBColor = RGBColor(70, 76, 84);
/// More points than these are drawn without marks.
const MARKED: usize = 40;
/// Losses are averaged in groups until so few points are left.
const LOSS_POINTS: usize = 120;

/// What stands at a curve's points, so that colour is not all that tells curves apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Circle,
    Triangle,
    Square,
}

impl Mark {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::Triangle => "triangle",
            Self::Square => "square",
        }
    }
}

/// The mark of a network by its place.
pub(super) fn mark(index: usize) -> Mark {
    [Mark::Circle, Mark::Triangle, Mark::Square][index % 3]
}

fn rgb(index: usize) -> RGBColor {
    COLOURS[index % COLOURS.len()]
}

/// The colour of a network by its place, as CSS writes it.
pub(super) fn colour(index: usize) -> String {
    let RGBColor(red, green, blue) = rgb(index);
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Width, height and letter size in pixels.
#[derive(Clone, Copy)]
struct Layout {
    size: (u32, u32),
    letters: f64,
}

const WIDE: Layout = Layout {
    size: (940, 430),
    letters: 14.0,
};
const NARROW: Layout = Layout {
    size: (360, 340),
    letters: 12.0,
};

/// A curve.
struct Line {
    points: Vec<(f64, f64)>,
    colour: RGBColor,
    dashed: bool,
    mark: Option<Mark>,
}

/// A plot before it is drawn.
struct Drawing {
    name: &'static str,
    x: (&'static str, Range<f64>),
    y: (&'static str, Range<f64>),
    lines: Vec<Line>,
    /// Levels that chance gives, each with whether it is dashed.
    levels: Vec<(f64, bool)>,
    alternative: String,
    notes: Vec<String>,
}

/// Top-1 and top-5 validation error of all networks against epochs, as the paper's Figures 21 to 26 have them; none
/// where there is no point to draw.
pub(super) fn curves(report: &Report) -> Result<Option<Plot>, ReportError> {
    let mut notes = vec![];
    let mut lines = vec![];
    let mut last = 0.0_f64;
    let mut ends = vec![];
    for (index, network) in report.networks.iter().enumerate() {
        let marked = network.curve.len() <= MARKED;
        let values = network
            .curve
            .iter()
            .map(|p| (p.epoch, p.top1_percent, p.top5_percent));
        let (drawn, skipped): (Vec<_>, Vec<_>) =
            values.partition(|(x, one, five)| [x, one, five].iter().all(|v| v.is_finite()));
        skipped_note(&mut notes, network, skipped.len());
        if let Some((epoch, one, five)) = drawn.last() {
            ends.push(format!(
                "{} ends at {one:.1} % top-1 and {five:.1} % top-5 after {epoch:.1} epochs",
                network.title
            ));
        }
        last = drawn.iter().fold(last, |last, point| last.max(point.0));
        for (dashed, of) in [(false, 0), (true, 1)] {
            lines.push(Line {
                points: drawn
                    .iter()
                    .map(|p| (p.0, if of == 0 { p.1 } else { p.2 }))
                    .collect(),
                colour: rgb(index),
                dashed,
                mark: marked.then(|| mark(index)),
            });
        }
    }
    let classes = report.data.classes.len();
    let levels = if classes == 0 {
        vec![]
    } else {
        vec![(chance(1, classes), false), (chance(5, classes), true)]
    };
    draw(Drawing {
        name: "validation error",
        x: ("Epoch", 0.0..if last > 0.0 { last * 1.02 } else { 1.0 }),
        y: ("Validation error, %", 0.0..100.0),
        lines,
        levels,
        alternative: format!(
            "Validation error in percent against epochs. {}.",
            ends.join("; ")
        ),
        notes,
    })
}

/// The training loss of all networks against steps; none where there is no point to draw.
pub(super) fn losses(report: &Report) -> Result<Option<Plot>, ReportError> {
    let mut notes = vec![];
    let mut lines = vec![];
    let (mut last, mut highest) = (0.0_f64, 0.0_f64);
    let mut ends = vec![];
    let mut means: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (index, network) in report.networks.iter().enumerate() {
        let points = network.losses.iter().map(|p| (p.step as f64, p.loss));
        let (drawn, skipped): (Vec<_>, Vec<_>) = points.partition(|(_, loss)| loss.is_finite());
        skipped_note(&mut notes, network, skipped.len());
        let group = drawn.len().div_ceil(LOSS_POINTS).max(1);
        let mean = |of: fn(&(f64, f64)) -> f64, points: &[(f64, f64)]| {
            points.iter().map(of).sum::<f64>() / points.len() as f64
        };
        let points: Vec<(f64, f64)> = drawn
            .chunks(group)
            .map(|points| (mean(|p| p.0, points), mean(|p| p.1, points)))
            .collect();
        if group > 1 {
            means.entry(group).or_default().push(&network.title);
        }
        if let (Some(first), Some(end)) = (points.first(), points.last()) {
            ends.push(format!(
                "{} goes from {:.2} to {:.2}",
                network.title, first.1, end.1
            ));
        }
        for &(step, loss) in &points {
            (last, highest) = (last.max(step), highest.max(loss));
        }
        lines.push(Line {
            points,
            colour: rgb(index),
            dashed: false,
            mark: None,
        });
    }
    for (group, names) in means {
        notes.push(format!(
            "Each point is the mean of {group} records ({}).",
            list(&names)
        ));
    }
    let classes = report.data.classes.len();
    let level = (classes as f64).ln();
    draw(Drawing {
        name: "loss",
        x: ("Step", 0.0..if last > 0.0 { last * 1.02 } else { 1.0 }),
        y: (
            "Cross-entropy",
            0.0..if highest > 0.0 {
                highest.max(level) * 1.08
            } else {
                1.0
            },
        ),
        lines,
        levels: if classes == 0 {
            vec![]
        } else {
            vec![(level, false)]
        },
        alternative: format!("Training loss against steps. {}.", ends.join("; ")),
        notes,
    })
}

fn skipped_note(notes: &mut Vec<String>, network: &NetworkReport, skipped: usize) {
    if skipped > 0 {
        notes.push(format!(
            "{}: left out because not finite, {}.",
            network.title,
            counted(skipped, "point")
        ));
    }
}

fn draw(drawing: Drawing) -> Result<Option<Plot>, ReportError> {
    if drawing.lines.iter().all(|line| line.points.is_empty()) {
        return Ok(None);
    }
    Ok(Some(Plot {
        wide: svg(&drawing, WIDE)?,
        narrow: svg(&drawing, NARROW)?,
        alternative: drawing.alternative,
        notes: drawing.notes,
    }))
}

fn svg(drawing: &Drawing, layout: Layout) -> Result<String, ReportError> {
    let mut text = String::new();
    {
        let area = SVGBackend::with_string(&mut text, layout.size).into_drawing_area();
        paint(&area, drawing, layout).map_err(|error| ReportError::Plot {
            plot: drawing.name,
            reason: error.to_string(),
        })?;
    }
    // Within a page the element needs no namespace, and its size is the style sheet's.
    let (width, height) = layout.size;
    let content = text.split_once('>').map_or("", |(_, content)| content);
    Ok(format!(
        "<svg viewBox=\"0 0 {width} {height}\" aria-hidden=\"true\">{content}"
    ))
}

/// The corners of a triangle around a point, in pixels.
fn triangle(size: i32) -> Vec<(i32, i32)> {
    vec![(0, -size - 1), (size + 1, size), (-size - 1, size)]
}

type PaintError = Box<dyn std::error::Error>;

fn paint(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    drawing: &Drawing,
    layout: Layout,
) -> Result<(), PaintError> {
    // plotters divides a size by 1.24 where it writes SVG.
    let font = ("sans-serif", layout.letters * 1.24, &TEXT).into_text_style(area);
    let (_, x_range) = &drawing.x;
    let (_, y_range) = &drawing.y;
    let mut chart = ChartBuilder::on(area)
        .margin_top((layout.letters * 0.9) as u32)
        .margin_right((layout.letters * 1.2) as u32)
        .margin_left(2)
        .x_label_area_size((layout.letters * 3.4) as u32)
        .y_label_area_size((layout.letters * 4.4) as u32)
        .build_cartesian_2d(x_range.clone(), y_range.clone())?;
    let tidy = |value: &f64| {
        let text = format!("{value:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    chart
        .configure_mesh()
        .x_labels((layout.size.0 / 90) as usize)
        .y_labels(6)
        .max_light_lines(1)
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(TEXT)
        .label_style(font.clone())
        .axis_desc_style(font)
        .x_label_formatter(&tidy)
        .y_label_formatter(&tidy)
        .x_desc(drawing.x.0)
        .y_desc(drawing.y.0)
        .draw()?;
    for &(level, dashed) in &drawing.levels {
        let points = [(x_range.start, level), (x_range.end, level)];
        let gap = if dashed { 7 } else { 4 };
        chart.draw_series(DashedLineSeries::new(
            points,
            2,
            gap,
            CHANCE.stroke_width(1),
        ))?;
    }
    for line in &drawing.lines {
        let style = line.colour.stroke_width(2);
        let points = line.points.iter().copied();
        if line.dashed {
            chart.draw_series(DashedLineSeries::new(points, 7, 4, style))?;
        } else {
            chart.draw_series(LineSeries::new(points, style))?;
        }
        // A lone point makes no line: it needs its mark.
        let Some(mark) = line
            .mark
            .or((line.points.len() == 1).then_some(Mark::Circle))
        else {
            continue;
        };
        let size = (layout.letters / 3.4).round() as i32;
        let (inside, edge) = (
            if line.dashed { WHITE } else { line.colour }.filled(),
            style,
        );
        for &point in &line.points {
            for style in [inside, edge] {
                match mark {
                    Mark::Circle => chart.draw_series([Circle::new(point, size, style)])?,
                    // plotters fills polygons whatever the style says: the edge is a path of its own.
                    Mark::Triangle => chart.draw_series([EmptyElement::at(point)
                        + Polygon::new(triangle(size), inside)
                        + PathElement::new(
                            [triangle(size), triangle(size)[..2].to_vec()].concat(),
                            edge,
                        )])?,
                    Mark::Square => chart.draw_series([EmptyElement::at(point)
                        + Rectangle::new([(-size, -size), (size, size)], style)])?,
                };
            }
        }
    }
    area.present()?;
    Ok(())
}
