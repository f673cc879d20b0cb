//! A page written as SVG 1.1: no script, no style sheet, no font of its own, so that it may stand inside any page.

use std::fmt::Write;

use crate::net::Net;

use super::diagram::Kind;
use super::figure::{Anchor, Arrow, CORNER, Placed, Text};
use super::page::Page;
use super::text_width::Weight;

/// The whole document. Each box tells the names of its nodes in its `title`, which viewers show under the pointer.
pub(super) fn write(page: &Page, net: &Net) -> String {
    let mut svg = String::new();
    // Writing to a string cannot fail.
    let _ = document(&mut svg, page, net);
    svg
}

fn document(svg: &mut String, page: &Page, net: &Net) -> std::fmt::Result {
    let (width, height) = (number(page.width), number(page.height));
    writeln!(
        svg,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">"#
    )?;
    writeln!(svg, "<title>{}</title>", escaped(&page.title))?;
    writeln!(svg, "<desc>{}</desc>", escaped(&page.description))?;
    svg.push_str(concat!(
        r#"<defs><marker id="arrowhead" viewBox="0 0 10 8" refX="10" refY="4" markerWidth="10" markerHeight="8" "#,
        r##"markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L10 4L0 8L2 4Z" fill="#000"/></marker></defs>"##,
        "\n",
    ));
    writeln!(
        svg,
        r##"<rect width="{width}" height="{height}" fill="#fff"/>"##
    )?;
    svg.push_str("<g font-family=\"Helvetica, Arial, sans-serif\" fill=\"#000\">\n");
    for text in &page.texts {
        line(svg, text)?;
    }
    for figure in &page.figures {
        svg.push_str("<g class=\"figure\">\n");
        // Boxes first: an arrow's head reaches a little into the edge it points at.
        for placed in &figure.boxes {
            layer(svg, placed, net)?;
        }
        svg.push_str("<g fill=\"none\" stroke=\"#000\">\n");
        for arrow in &figure.arrows {
            writeln!(
                svg,
                r##"<path class="arrow" d="{}" marker-end="url(#arrowhead)"/>"##,
                path(arrow)
            )?;
        }
        svg.push_str("</g>\n");
        for text in &figure.texts {
            line(svg, text)?;
        }
        svg.push_str("</g>\n");
    }
    svg.push_str("</g>\n</svg>\n");
    Ok(())
}

fn layer(svg: &mut String, placed: &Placed, net: &Net) -> std::fmt::Result {
    writeln!(svg, r#"<g class="box">"#)?;
    let names = names(placed, net);
    if !names.is_empty() {
        writeln!(svg, "<title>{}</title>", escaped(&names.join("\n")))?;
    }
    let [left, top, width, height] = placed.frame;
    let pen = match placed.kind {
        Kind::Given => r##"fill="#fff" stroke="#000" stroke-dasharray="4 3""##,
        _ => r##"fill="#fff" stroke="#000""##,
    };
    match placed.kind {
        Kind::Sum => writeln!(
            svg,
            r#"<circle cx="{}" cy="{}" r="{}" {pen}/>"#,
            number(left + width / 2.0),
            number(top + height / 2.0),
            number(width / 2.0)
        )?,
        _ => writeln!(
            svg,
            r#"<rect x="{}" y="{}" width="{}" height="{}" {pen}/>"#,
            number(left),
            number(top),
            number(width),
            number(height)
        )?,
    }
    for text in &placed.lines {
        line(svg, text)?;
    }
    writeln!(svg, "</g>")
}

/// The nodes of a box; what is named after another of them, as a convolution's batch normalisation is, is left out.
fn names<'a>(placed: &Placed, net: &'a Net) -> Vec<&'a str> {
    let mut names: Vec<&str> = vec![];
    for &id in &placed.nodes {
        let name = net.at(id).name.as_str();
        let known = names.last().and_then(|last| name.strip_prefix(last));
        if !known.is_some_and(|rest| rest.starts_with('/')) {
            names.push(name);
        }
    }
    names
}

fn line(svg: &mut String, text: &Text) -> std::fmt::Result {
    let anchor = match text.anchor {
        Anchor::Start => "",
        Anchor::Middle => r#" text-anchor="middle""#,
    };
    let weight = match text.weight {
        Weight::Regular => "",
        Weight::Bold => r#" font-weight="bold""#,
    };
    writeln!(
        svg,
        r#"<text x="{}" y="{}" font-size="{}"{anchor}{weight}>{}</text>"#,
        number(text.x),
        number(text.y),
        number(text.size),
        escaped(&text.content)
    )
}

/// The path's data: straight lines, or lines with their corners rounded.
fn path(arrow: &Arrow) -> String {
    let mut data = String::new();
    let mut add = |command: char, points: &[[f64; 2]]| {
        let points: Vec<String> = (points.iter())
            .map(|[x, y]| format!("{} {}", number(*x), number(*y)))
            .collect();
        data.push(command);
        data.push_str(&points.join(" "));
    };
    let last = arrow.points.len().saturating_sub(1);
    for (place, &point) in arrow.points.iter().enumerate() {
        match place {
            0 => add('M', &[point]),
            _ if arrow.rounded && place < last => {
                let before = towards(point, arrow.points[place - 1]);
                let after = towards(point, arrow.points[place + 1]);
                add('L', &[before]);
                add('Q', &[point, after]);
            }
            _ => add('L', &[point]),
        }
    }
    data
}

/// The point a corner's radius from `from` on the way to `to`, on an upright or level line.
fn towards(from: [f64; 2], to: [f64; 2]) -> [f64; 2] {
    let step = |from: f64, to: f64| from + (to - from).clamp(-CORNER, CORNER);
    [step(from[0], to[0]), step(from[1], to[1])]
}

/// A coordinate to a hundredth, without needless digits.
fn number(value: f64) -> String {
    // Adding 0 turns a negative zero into zero.
    ((value * 100.0).round() / 100.0 + 0.0).to_string()
}

/// Text inside an element.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            // XML 1.0 knows no other control characters, not even escaped.
            '\t' | '\n' => safe.push(character),
            _ if character.is_control() => safe.push('\u{fffd}'),
            _ => safe.push(character),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(escaped("a<b> & \u{1}c"), "a&lt;b&gt; &amp; \u{fffd}c");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [1.0, -0.001, 2.345, 0.1 + 0.2].map(number),
            ["1", "0", "2.35", "0.3"]
        );
    }

    #[test]
    fn corners_are_rounded_on_request() {
        let points = vec![[50.0, 100.0], [0.0, 100.0], [0.0, 0.0]];
        let arrow = |rounded| Arrow {
            points: points.clone(),
            rounded,
        };
        assert_eq!(path(&arrow(false)), "M50 100L0 100L0 0");
        assert_eq!(path(&arrow(true)), "M50 100L12 100Q0 100 0 88L0 0");
    }
}
