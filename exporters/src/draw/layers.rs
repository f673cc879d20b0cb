//! Rows: which box stands above which, and where in its row (Sugiyama's layered drawing).
//!
//! An arrow that passes rows on its way gets a waypoint in each of them, so that it has a place of its own between the
//! boxes there.

use super::diagram::{Diagram, Link};

/// Where a box stands that could be in several rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    /// As high as it can: branches end side by side below the box that joins them.
    Top,
    /// As low as it can: a side branch starts next to where it leaves.
    Bottom,
}

/// Something with a place in a row: a box, or a waypoint of an arrow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vertex {
    /// From 0 at the bottom.
    pub(super) row: usize,
    /// The box, where it is one.
    pub(super) element: Option<usize>,
}

/// A diagram's boxes and waypoints in rows.
pub(super) struct Layers {
    /// The boxes in the diagram's order, then the waypoints.
    pub(super) vertices: Vec<Vertex>,
    /// From the bottom to the top, each from left to right.
    pub(super) rows: Vec<Vec<usize>>,
    /// For each link, the vertices it passes, from its source to its target.
    pub(super) chains: Vec<Vec<usize>>,
}

/// The row of each of `count` boxes, from 0 at the bottom: every link leads upwards.
pub(super) fn rows(count: usize, links: &[Link], align: Align) -> Vec<usize> {
    let mut by_target: Vec<&Link> = links.iter().collect();
    by_target.sort_by_key(|link| link.to);
    let mut from_bottom = vec![0; count];
    for link in by_target {
        from_bottom[link.to] = from_bottom[link.to].max(from_bottom[link.from] + 1);
    }
    if align == Align::Bottom {
        return from_bottom;
    }
    let mut by_source: Vec<&Link> = links.iter().collect();
    by_source.sort_by_key(|link| std::cmp::Reverse(link.from));
    let mut from_top = vec![0; count];
    for link in by_source {
        from_top[link.from] = from_top[link.from].max(from_top[link.to] + 1);
    }
    let top = from_top.iter().copied().max().unwrap_or(0);
    from_top.iter().map(|distance| top - distance).collect()
}

impl Layers {
    pub(super) fn new(diagram: &Diagram) -> Self {
        let row_of = rows(diagram.elements.len(), &diagram.links, diagram.align);
        let mut vertices: Vec<Vertex> = row_of
            .iter()
            .enumerate()
            .map(|(element, &row)| Vertex {
                row,
                element: Some(element),
            })
            .collect();
        let mut chains = vec![];
        for link in &diagram.links {
            let mut chain = vec![link.from];
            for row in row_of[link.from] + 1..row_of[link.to] {
                chain.push(vertices.len());
                vertices.push(Vertex { row, element: None });
            }
            chain.push(link.to);
            chains.push(chain);
        }
        let rows = ordered_rows(diagram, &vertices, &chains);
        Self {
            vertices,
            rows,
            chains,
        }
    }
}

/// The rows in the order of branches: from each end downwards, a box's inputs from the first to the last. Where branches
/// fork and join as in the paper's figures no two arrows cross.
fn ordered_rows(diagram: &Diagram, vertices: &[Vertex], chains: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut below = vec![vec![]; vertices.len()];
    let mut end = vec![true; vertices.len()];
    for chain in chains {
        for pair in chain.windows(2) {
            below[pair[1]].push(pair[0]);
            end[pair[0]] = false;
        }
    }
    let main = diagram.main_end();
    let others = (0..vertices.len()).filter(|&vertex| end[vertex] && Some(vertex) != main);
    let mut open: Vec<usize> = main.into_iter().chain(others).collect();
    open.reverse();
    let top = vertices.iter().map(|vertex| vertex.row + 1).max();
    let mut rows = vec![vec![]; top.unwrap_or(0)];
    let mut placed = vec![false; vertices.len()];
    while let Some(vertex) = open.pop() {
        if std::mem::replace(&mut placed[vertex], true) {
            continue;
        }
        rows[vertices[vertex].row].push(vertex);
        open.extend(below[vertex].iter().rev());
    }
    rows
}
