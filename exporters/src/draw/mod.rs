//! Drawings of networks in the style of the paper's Figures 3 to 19, as SVG.
//!
//! Everything is made by walking over the [`Net`]; there is no second description. The input is at the bottom, the
//! output at the top. A convolution with the batch normalisation and the ReLU after it is one box, `V` marks valid
//! padding, and a convolution without normalisation and ReLU is linear. The same network gives the same bytes.
//!
//! The way from the net to the drawing: `cut` finds the boxes and blocks, `diagram` the boxes and arrows of one
//! figure, `layers` their rows, `columns` their places in the rows, `layout` the geometry, `page` the figures'
//! places, `svg` the text.

mod columns;
mod cut;
mod diagram;
mod error;
mod figure;
mod label;
mod layers;
mod layout;
mod page;
mod svg;
mod text_width;

#[cfg(test)]
mod tests;

pub use error::UnknownBlock;

use crate::net::{Net, Stage};
use crate::text::nearest;

use cut::{Block, Cut};
use diagram::Diagram;
use figure::Figure;
use page::Page;

/// The whole network on one page, as SVG: the overall figure, and beside it one figure for each distinct block.
///
/// ```
/// use incept_exporters::{draw, net::NetOptions, zoo};
///
/// let net = zoo::find("inception_v4", None)?.build(&NetOptions::default())?;
/// assert!(draw::network(&net).contains("4 x Inception-A"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn network(net: &Net) -> String {
    svg::write(&network_page(net), net)
}

/// One block as SVG, by the name of its stage: `inception_a`, or `Inception-A`. Where the stage repeats a block with
/// changing widths there is a figure for each.
///
/// # Errors
/// [`UnknownBlock`] with the names there are.
pub fn block(net: &Net, stage: &str) -> Result<String, UnknownBlock> {
    block_page(net, stage).map(|page| svg::write(&page, net))
}

/// The names [`block`] takes: the stages of the network, in order.
pub fn blocks(net: &Net) -> Vec<&str> {
    (net.stages().iter())
        .filter(|stage| stage.first <= stage.output)
        .map(|stage| stage.name.as_str())
        .collect()
}

fn network_page(net: &Net) -> Page {
    let cut = Cut::new(net);
    let overall = Diagram::of_stages(&cut);
    let units = cut.units();
    // A stage of one box is drawn in the overall figure.
    let stages = (units.iter())
        .filter(|unit| unit.groups.len() > 1)
        .filter_map(|unit| unit.stage);
    let figures: Vec<Figure> = stages
        .flat_map(|stage| block_figures(&cut, &net.stages()[stage]))
        .collect();
    let caption = ["Overall schema".to_string(), net.name().to_string()];
    let overall = Figure::new(&overall, &caption);
    Page::new(heading(net), description(net), Some(overall), figures)
}

fn block_page(net: &Net, name: &str) -> Result<Page, UnknownBlock> {
    let wanted = name.to_lowercase().replace('-', "_");
    let known = blocks(net);
    let Some(stage) = (net.stages().iter())
        .find(|stage| stage.name == wanted && known.contains(&stage.name.as_str()))
    else {
        return Err(UnknownBlock {
            network: net.name().into(),
            found: name.into(),
            nearest: nearest(&wanted, known.iter().copied()).map(str::to_string),
            blocks: known.into_iter().map(str::to_string).collect(),
        });
    };
    let figures = block_figures(&Cut::new(net), stage);
    let heading = format!("{} of {}", label::title(&stage.name), heading(net));
    let output = label::size(net.at(stage.output).shape);
    let description = format!("{heading}. Its output is {output}.");
    Ok(Page::new(heading, description, None, figures))
}

fn block_figures(cut: &Cut, stage: &Stage) -> Vec<Figure> {
    let blocks = cut.blocks(stage);
    let figure = |block: &Block| Figure::new(&block.diagram, &caption(cut.net(), stage, block));
    blocks.iter().map(figure).collect()
}

/// `4 x Inception-A`, and below it `inception_a, 35x35 grid`.
fn caption(net: &Net, stage: &Stage, block: &Block) -> [String; 2] {
    let title = label::title(&stage.name);
    let heading = match block.repetitions.len() {
        1 => title,
        count => format!("{count} x {title}"),
    };
    let names = if block.repetitions.len() == stage.repeat {
        stage.name.clone()
    } else {
        let numbers = (block.repetitions.iter()).map(|number| format!("{}.{number}", stage.name));
        numbers.collect::<Vec<_>>().join(", ")
    };
    let given = net.nodes()[stage.first.index()].inputs.first();
    let before = given.and_then(|&input| label::grid(net.at(input).shape));
    let after = label::grid(net.at(stage.output).shape);
    let grid = match (before, after) {
        (Some(before), Some(after)) if before != after => format!(", {before} to {after}"),
        (_, Some(after)) => format!(", {after} grid"),
        _ => String::new(),
    };
    [heading, names + &grid]
}

/// `Inception-v4 (paper)`.
fn heading(net: &Net) -> String {
    format!("{} ({})", label::title(net.name()), net.variant())
}

/// The network in words, for those who cannot see it.
fn description(net: &Net) -> String {
    let stages: Vec<String> = (net.stages().iter())
        .map(|stage| {
            let size = label::size(net.at(stage.output).shape);
            let title = label::title(&stage.name);
            match stage.repeat {
                0 | 1 => format!("{title}, output {size}"),
                repeat => format!("{repeat} times {title}, output {size}"),
            }
        })
        .collect();
    let input = net.nodes().first().map(|image| label::size(image.shape));
    format!(
        "The layers of {} for an image of {}, from the bottom to the top. {}.",
        heading(net),
        input.unwrap_or_default(),
        stages.join("; ")
    )
}
