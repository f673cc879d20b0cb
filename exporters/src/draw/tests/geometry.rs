//! A drawing read back from its text: which boxes overlap, which text is too wide, which arrow meets a box.

use roxmltree::{Document, Node};

use super::super::text_width::{Weight, text_width};
use crate::draw::figure::Arrow;

/// A rectangle: left, top, right, bottom.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Frame([f64; 4]);

impl Frame {
    /// Whether the insides of both have a point in common.
    fn overlaps(self, other: Self) -> bool {
        let (Frame([left, top, right, bottom]), Frame([l, t, r, b])) = (self, other);
        left < r && l < right && top < b && t < bottom
    }

    fn contains(self, other: Self) -> bool {
        let (Frame([left, top, right, bottom]), Frame([l, t, r, b])) = (self, other);
        left <= l && top <= t && r <= right && b <= bottom
    }

    fn shrunk(self, by: f64) -> Self {
        let Frame([left, top, right, bottom]) = self;
        Frame([left + by, top + by, right - by, bottom - by])
    }

    /// Whether the line from `a` to `b` has a point inside (Liang and Barsky's clipping).
    fn meets(self, a: [f64; 2], b: [f64; 2]) -> bool {
        let Frame(sides) = self;
        let (mut from, mut to) = (0.0_f64, 1.0_f64);
        for axis in 0..2 {
            let (start, step) = (a[axis], b[axis] - a[axis]);
            let (low, high) = (sides[axis], sides[axis + 2]);
            if step == 0.0 {
                if start <= low || start >= high {
                    return false;
                }
                continue;
            }
            let (enter, leave) = ((low - start) / step, (high - start) / step);
            from = from.max(enter.min(leave));
            to = to.min(enter.max(leave));
        }
        from < to
    }
}

fn attribute(node: Node, name: &str) -> f64 {
    let text = node.attribute(name);
    text.and_then(|text| text.parse().ok()).unwrap_or_else(|| {
        panic!(
            "<{}> has no number `{name}`: {text:?}",
            node.tag_name().name()
        )
    })
}

fn text_frame(node: Node) -> Frame {
    let (x, y, size) = (
        attribute(node, "x"),
        attribute(node, "y"),
        attribute(node, "font-size"),
    );
    let weight = match node.attribute("font-weight") {
        Some(_) => Weight::Bold,
        None => Weight::Regular,
    };
    let width = text_width(node.text().unwrap_or_default(), size, weight);
    let left = match node.attribute("text-anchor") {
        Some(_) => x - width / 2.0,
        None => x,
    };
    // Ascenders reach three quarters above the baseline, descenders a quarter below it.
    Frame([left, y - 0.75 * size, left + width, y + 0.25 * size])
}

/// The corners of a path; a curve's control point counts as a corner, so the curve lies inside them.
fn points(data: &str) -> Vec<[f64; 2]> {
    let numbers: Vec<f64> = data
        .split(['M', 'L', 'Q', ' '])
        .filter(|part| !part.is_empty())
        .map(|part| part.parse().unwrap())
        .collect();
    numbers.chunks(2).map(|pair| [pair[0], pair[1]]).collect()
}

/// Everything wrong with a drawing.
pub(super) fn faults(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).unwrap();
    let root = document.root_element();
    let mut faults = vec![];
    let mut check = |right: bool, fault: String| {
        if !right {
            faults.push(fault);
        }
    };
    for name in ["title", "desc"] {
        let named = root
            .children()
            .find(|child| child.has_tag_name(("http://www.w3.org/2000/svg", name)));
        check(
            named.and_then(|node| node.text()).is_some(),
            format!("no {name}"),
        );
    }
    let sheet = Frame([
        0.0,
        0.0,
        attribute(root, "width"),
        attribute(root, "height"),
    ]);
    let view = format!("0 0 {} {}", sheet.0[2], sheet.0[3]);
    check(
        root.attribute("viewBox") == Some(&view),
        format!("viewBox is not {view}"),
    );

    let with_class = |class: &'static str| {
        let nodes = root.descendants();
        nodes.filter(move |node| node.attribute("class") == Some(class))
    };
    let mut boxes: Vec<Frame> = vec![];
    for group in with_class("box") {
        let shape = group
            .children()
            .find(|child| ["rect", "circle"].contains(&child.tag_name().name()));
        let shape = shape.unwrap();
        let frame = match shape.tag_name().name() {
            "rect" => {
                let (left, top) = (attribute(shape, "x"), attribute(shape, "y"));
                Frame([
                    left,
                    top,
                    left + attribute(shape, "width"),
                    top + attribute(shape, "height"),
                ])
            }
            _ => {
                let (x, y, r) = (
                    attribute(shape, "cx"),
                    attribute(shape, "cy"),
                    attribute(shape, "r"),
                );
                Frame([x - r, y - r, x + r, y + r])
            }
        };
        let lines: Vec<Node> = group
            .children()
            .filter(|child| child.tag_name().name() == "text")
            .collect();
        check(!lines.is_empty(), format!("an empty box at {frame:?}"));
        for line in lines {
            let inside = frame.shrunk(2.0).contains(text_frame(line));
            check(
                inside,
                format!(
                    "`{}` is larger than its box",
                    line.text().unwrap_or_default()
                ),
            );
        }
        boxes.push(frame);
    }
    let free = root.descendants().filter(|node| {
        let in_box = node
            .parent()
            .is_some_and(|parent| parent.attribute("class") == Some("box"));
        node.tag_name().name() == "text" && !in_box
    });
    let free: Vec<(&str, Frame)> = free
        .map(|node| (node.text().unwrap_or_default(), text_frame(node)))
        .collect();
    for (place, &(text, frame)) in free.iter().enumerate() {
        check(sheet.contains(frame), format!("`{text}` leaves the sheet"));
        for &(other, another) in &free[..place] {
            check(
                !frame.overlaps(another),
                format!("`{text}` overlaps `{other}`"),
            );
        }
        let met = boxes.iter().any(|&placed| placed.overlaps(frame));
        check(!met, format!("`{text}` overlaps a box"));
    }
    for (place, &frame) in boxes.iter().enumerate() {
        check(sheet.contains(frame), format!("{frame:?} leaves the sheet"));
        for &other in &boxes[..place] {
            check(
                !frame.overlaps(other),
                format!("{frame:?} overlaps {other:?}"),
            );
        }
    }
    for arrow in with_class("arrow") {
        let data = arrow.attribute("d").unwrap_or_default();
        let corners = points(data);
        for pair in corners.windows(2) {
            // An arrow touches the boxes it joins, from outside.
            let met = boxes
                .iter()
                .find(|placed| placed.shrunk(0.02).meets(pair[0], pair[1]));
            check(
                met.is_none(),
                format!("arrow {data} crosses the box {met:?}"),
            );
            let text = free.iter().find(|(_, frame)| frame.meets(pair[0], pair[1]));
            check(
                text.is_none(),
                format!("arrow {data} crosses the text {text:?}"),
            );
        }
    }
    faults
}

/// The pairs of arrows that cross; ends at the same place are no crossing.
pub(super) fn crossings(arrows: &[Arrow]) -> Vec<(usize, usize)> {
    let mut found = vec![];
    for (place, arrow) in arrows.iter().enumerate() {
        for (before, other) in arrows[..place].iter().enumerate() {
            let crossed = arrow.points.windows(2).any(|a| {
                let mut segments = other.points.windows(2);
                segments.any(|b| cross([a[0], a[1]], [b[0], b[1]]))
            });
            if crossed {
                found.push((before, place));
            }
        }
    }
    found
}

/// Whether two segments cross at a point inside both.
fn cross([a, b]: [[f64; 2]; 2], [c, d]: [[f64; 2]; 2]) -> bool {
    let side = |p: [f64; 2], q: [f64; 2], r: [f64; 2]| {
        let turn = (q[0] - p[0]) * (r[1] - p[1]) - (q[1] - p[1]) * (r[0] - p[0]);
        if turn.abs() < 1e-6 {
            0.0
        } else {
            turn.signum()
        }
    };
    side(a, b, c) * side(a, b, d) < 0.0 && side(c, d, a) * side(c, d, b) < 0.0
}

/// A drawing of two boxes and an arrow with everything right, and what is put in place of what.
const RIGHT: &str = r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 200" width="200" height="200">
<title>t</title><desc>d</desc>
<g class="box"><rect x="10" y="10" width="80" height="30"/><text x="50" y="30" font-size="12" text-anchor="middle">Upper</text></g>
<g class="box"><rect x="10" y="100" width="80" height="30"/><text x="50" y="120" font-size="12" text-anchor="middle">Lower</text></g>
<path class="arrow" d="M50 100L50 40"/>
<text x="100" y="30" font-size="12">35x35</text>
</svg>"#;

#[test]
fn a_right_drawing_has_no_faults_and_each_fault_is_found() {
    assert_eq!(faults(RIGHT), Vec::<String>::new());
    for (right, wrong, fault) in [
        (r#"y="100" width"#, r#"y="35" width"#, "overlaps"),
        (r#"y="100" width"#, r#"y="180" width"#, "leaves the sheet"),
        ("Upper", "Upper and much longer", "larger than its box"),
        ("L50 40", "L50 39", "crosses the box"),
        (
            "M50 100L50 40",
            "M50 100L120 100L120 20L90 20",
            "crosses the text",
        ),
        (r#"x="100" y="30""#, r#"x="80" y="30""#, "overlaps a box"),
        (r#"x="100" y="30""#, r#"x="180" y="30""#, "leaves the sheet"),
        ("<title>t</title>", "", "no title"),
        ("0 0 200 200", "0 0 100 200", "viewBox"),
    ] {
        let svg = RIGHT.replace(right, wrong);
        assert_ne!(svg, RIGHT);
        let found = faults(&svg);
        assert!(
            found.iter().any(|found| found.contains(fault)),
            "{fault}: {found:?}"
        );
    }
}

#[test]
fn crossing_arrows_are_found() {
    let arrow = |points: &[[f64; 2]]| Arrow {
        points: points.to_vec(),
        rounded: false,
    };
    let (up, down) = (
        arrow(&[[0.0, 0.0], [10.0, 10.0]]),
        arrow(&[[0.0, 10.0], [10.0, 0.0]]),
    );
    let touching = arrow(&[[10.0, 10.0], [20.0, 10.0]]);
    assert_eq!(crossings(&[up.clone(), down]), [(0, 1)]);
    assert_eq!(crossings(&[up, touching]), []);
}
