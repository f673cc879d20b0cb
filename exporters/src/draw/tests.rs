//! What is drawn is the network, whole and readable.

mod geometry;

use std::collections::HashMap;

use super::figure::Arrow;
use super::*;
use crate::net::{Flow, NetError, NetOptions, NodeId, Op, same, valid};
use crate::zoo::{self, REGISTRY};
use diagram::Kind;
use geometry::{crossings, faults};

fn paper(name: &str) -> Net {
    let entry = zoo::find(name, None).unwrap();
    entry.build(&NetOptions::default()).unwrap()
}

/// Every network and variant, in the usual and in unusual sizes.
fn networks() -> Vec<Net> {
    let mut networks = vec![];
    for entry in REGISTRY {
        for (image_height, image_width, width_multiplier, classes) in [
            (299, 299, 1.0, 1000),
            (75, 331, 0.07, 1),
            (1024, 768, 16.0, 1_000_000),
        ] {
            let options = NetOptions {
                image_height,
                image_width,
                width_multiplier,
                classes,
                ..NetOptions::default()
            };
            networks.push(entry.build(&options).unwrap());
            let with_head = NetOptions {
                auxiliary_head: true,
                ..options
            };
            match entry.build(&with_head) {
                Ok(net) => networks.push(net),
                Err(error) => assert!(matches!(error, NetError::NoAuxiliaryHead { .. })),
            }
        }
    }
    networks
}

/// Networks like none in the zoo: layers, joins and sums of values drawn at random, any of them left without a reader.
fn random_networks() -> impl Iterator<Item = Net> {
    let options = NetOptions {
        width_multiplier: 0.5,
        ..NetOptions::default().image_size(75)
    };
    (0..60_u64).map(move |seed| {
        Net::build("random", "test", &options, |image| {
            image
                .stage("first", 1, [0; 3], |x| {
                    random_figure(x, seed).part(0).conv_1x1(8)
                })
                .stage("mixed", 2, [0; 3], |x| random_figure(x, seed + 1000))
                .classifier()
        })
        .unwrap()
    })
}

fn random_figure<'a>(x: &Flow<'a>, seed: u64) -> Flow<'a> {
    let mut state = seed;
    let mut below = |limit: usize| {
        // Knuth's linear congruential generator; its high bits are random enough.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    let mut values = vec![x.clone()];
    for _ in 0..3 + seed % 12 {
        let mut any = || values[below(values.len())].clone();
        let (a, b, c) = (any(), any(), any());
        values.push(match below(6) {
            0 => a.concatenate([b, c]),
            1 => a.concatenate([a.clone(), b, c]),
            2 => a.add_residual(0.1, &b),
            3 => a.average_pool_3x3_same(),
            4 => a.conv_1x7(same(16)),
            _ => a.conv_1x1(100),
        });
    }
    values.pop().unwrap()
}

fn every_page(net: &Net) -> Vec<Page> {
    let mut pages = vec![network_page(net)];
    pages.extend(
        blocks(net)
            .iter()
            .map(|name| block_page(net, name).unwrap()),
    );
    pages
}

#[test]
fn nothing_overlaps_and_every_text_fits() {
    for net in networks().into_iter().chain(random_networks()) {
        for page in every_page(&net) {
            let found = faults(&svg::write(&page, &net));
            assert!(found.is_empty(), "{}: {found:#?}", page.title);
        }
    }
}

#[test]
fn arrows_of_the_zoo_do_not_cross() {
    for net in networks() {
        for page in every_page(&net) {
            for figure in &page.figures {
                let found = crossings(&figure.arrows);
                assert_eq!(found, vec![], "{}: {:?}", page.title, figure.texts.last());
            }
        }
    }
}

#[test]
fn every_node_is_drawn_once() {
    for net in networks().into_iter().chain(random_networks()) {
        let mut drawn = vec![0; net.nodes().len()];
        let page = network_page(&net);
        let boxes = page.figures.iter().flat_map(|figure| &figure.boxes);
        for id in boxes.flat_map(|placed| &placed.nodes) {
            drawn[id.index()] += 1;
        }
        for (node, times) in net.nodes().iter().zip(drawn) {
            assert_eq!(times, 1, "{}: {}", page.title, node.name);
        }
    }
}

/// The box at whose edge a point lies.
fn box_at(figure: &Figure, [x, y]: [f64; 2]) -> usize {
    let touches = |placed: &figure::Placed| {
        let [left, top, width, height] = placed.frame;
        let level = (left - 0.1..=left + width + 0.1).contains(&x);
        let upright = (top - 0.1..=top + height + 0.1).contains(&y);
        level && upright
    };
    let found: Vec<usize> = (0..figure.boxes.len())
        .filter(|&index| touches(&figure.boxes[index]))
        .collect();
    assert_eq!(found.len(), 1, "an arrow ends at no box, or at several");
    found[0]
}

/// The arrows into each box as the boxes they come from, from left to right.
fn sources(figure: &Figure) -> HashMap<usize, Vec<usize>> {
    let mut arrows: Vec<&Arrow> = figure.arrows.iter().collect();
    let end = |arrow: &Arrow| arrow.points[arrow.points.len() - 1];
    arrows.sort_by(|a, b| end(a)[0].total_cmp(&end(b)[0]));
    let mut sources: HashMap<usize, Vec<usize>> = HashMap::new();
    for arrow in arrows {
        let from = box_at(figure, arrow.points[0]);
        sources
            .entry(box_at(figure, end(arrow)))
            .or_default()
            .push(from);
    }
    sources
}

#[test]
fn arrows_are_the_inputs_in_their_order() {
    for net in networks() {
        for (number, figure) in network_page(&net).figures.iter().enumerate() {
            let sources = sources(figure);
            for (index, placed) in figure.boxes.iter().enumerate() {
                let found = sources.get(&index).cloned().unwrap_or_default();
                let Some(&first) = placed.nodes.first() else {
                    let arrows = usize::from(placed.kind == Kind::Stage);
                    assert_eq!(found.len(), arrows, "{:?}", placed.lines);
                    continue;
                };
                let inputs = &net.at(first).inputs;
                assert_eq!(found.len(), inputs.len(), "{}", net.at(first).name);
                for (&from, input) in found.iter().zip(inputs) {
                    let from = &figure.boxes[from];
                    let right = match from.kind {
                        Kind::Given => number > 0 && !figure_shows(figure, *input),
                        Kind::Stage => number == 0 && !figure_shows(figure, *input),
                        _ => from.nodes.contains(input),
                    };
                    assert!(
                        right,
                        "{} does not read {:?}",
                        net.at(first).name,
                        from.lines
                    );
                }
            }
        }
    }
}

fn figure_shows(figure: &Figure, id: NodeId) -> bool {
    figure.boxes.iter().any(|placed| placed.nodes.contains(&id))
}

/// The text of each box, from the top to the bottom, in a row from left to right.
fn labels(figure: &Figure) -> Vec<String> {
    let mut boxes: Vec<_> = figure.boxes.iter().collect();
    let middle = |placed: &figure::Placed| placed.frame[1] + placed.frame[3] / 2.0;
    boxes.sort_by(|a, b| {
        let across = a.frame[0].total_cmp(&b.frame[0]);
        middle(a).total_cmp(&middle(b)).then(across)
    });
    let text = |placed: &&figure::Placed| {
        let lines: Vec<&str> = placed
            .lines
            .iter()
            .map(|line| line.content.as_str())
            .collect();
        lines.join(" ")
    };
    boxes.iter().map(text).collect()
}

fn texts(figure: &Figure) -> Vec<&str> {
    figure
        .texts
        .iter()
        .map(|text| text.content.as_str())
        .collect()
}

fn block_labels(network: &str, stage: &str) -> Vec<String> {
    let page = block_page(&paper(network), stage).unwrap();
    assert_eq!(page.figures.len(), 1);
    labels(&page.figures[0])
}

#[test]
fn figure_9_is_the_papers() {
    let page = network_page(&paper("inception_v4"));
    assert_eq!(
        labels(&page.figures[0]),
        [
            "Softmax",
            "Linear (1000)",
            "Dropout (keep 0.8)",
            "Average Pooling",
            "3 x Inception-C",
            "Reduction-B",
            "7 x Inception-B",
            "Reduction-A",
            "4 x Inception-A",
            "Stem",
            "Input (299x299x3)",
        ]
    );
    assert_eq!(
        texts(&page.figures[0]),
        [
            "299x299x3",
            "Output: 35x35x384",
            "Output: 35x35x384",
            "Output: 17x17x1024",
            "Output: 17x17x1024",
            "Output: 8x8x1536",
            "Output: 8x8x1536",
            "Output: 1536",
            "Output: 1536",
            "Output: 1000",
            "Output: 1000",
            "Overall schema",
            "inception_v4",
        ]
    );
    let captions: Vec<&str> = (page.figures.iter())
        .map(|figure| texts(figure)[figure.texts.len() - 2])
        .collect();
    assert_eq!(
        captions[1..],
        [
            "Stem",
            "4 x Inception-A",
            "Reduction-A",
            "7 x Inception-B",
            "Reduction-B",
            "3 x Inception-C"
        ]
    );
}

#[test]
fn figure_3_is_the_papers() {
    assert_eq!(
        block_labels("inception_v4", "stem"),
        [
            "Filter concat",
            "3x3 Conv (192 stride 2 V)",
            "3x3 MaxPool (stride 2 V)",
            "Filter concat",
            "3x3 Conv (96 V)",
            "3x3 Conv (96 V)",
            "1x1 Conv (64)",
            "1x7 Conv (64)",
            "7x1 Conv (64)",
            "1x1 Conv (64)",
            "Filter concat",
            "3x3 MaxPool (stride 2 V)",
            "3x3 Conv (96 stride 2 V)",
            "3x3 Conv (64)",
            "3x3 Conv (32 V)",
            "3x3 Conv (32 stride 2 V)",
            "Input",
        ]
    );
    let page = block_page(&paper("inception_v4"), "Stem").unwrap();
    let sizes = texts(&page.figures[0]);
    for size in [
        "149x149x32",
        "147x147x32",
        "147x147x64",
        "73x73x160",
        "71x71x192",
        "35x35x384",
    ] {
        assert!(sizes.contains(&size), "{size}: {sizes:?}");
    }
}

#[test]
fn figure_6_is_the_papers() {
    assert_eq!(
        block_labels("inception_v4", "inception_c"),
        [
            "Filter concat",
            "1x1 Conv (256)",
            "1x3 Conv (256)",
            "3x1 Conv (256)",
            "1x3 Conv (256)",
            "3x1 Conv (256)",
            "1x1 Conv (256)",
            "1x1 Conv (384)",
            "3x1 Conv (512)",
            "3x3 Avg Pooling",
            "1x3 Conv (448)",
            "1x1 Conv (384)",
            "Input",
        ]
    );
}

#[test]
fn figure_16_is_the_papers_with_its_scale() {
    assert_eq!(
        block_labels("inception_resnet_v2", "inception_resnet_a"),
        [
            "Relu activation",
            "+",
            "1x1 Conv (384 Linear)",
            "Filter concat",
            "1x1 Conv (32)",
            "3x3 Conv (32)",
            "3x3 Conv (64)",
            "1x1 Conv (32)",
            "3x3 Conv (48)",
            "1x1 Conv (32)",
            "Input",
        ]
    );
    let page = block_page(&paper("inception_resnet_v2"), "inception_resnet_a").unwrap();
    assert!(texts(&page.figures[0]).contains(&"residual x 0.17"));
}

/// The shortcut leaves to the left, passes left of everything, and reaches the sum from the left.
#[test]
fn shortcuts_go_around_the_left() {
    let page = block_page(&paper("inception_resnet_v1"), "inception_resnet_b").unwrap();
    let figure = &page.figures[0];
    let around: Vec<&Arrow> = figure.arrows.iter().filter(|arrow| arrow.rounded).collect();
    assert_eq!(around.len(), 1);
    let lefts = figure.boxes.iter().map(|placed| placed.frame[0]);
    assert!(around[0].points[1][0] < lefts.fold(f64::INFINITY, f64::min));
    let sum = &figure.boxes[box_at(figure, around[0].points[3])];
    assert_eq!(sum.kind, Kind::Sum);
    assert_eq!(around[0].points[3][0], sum.frame[0]);
}

#[test]
fn side_branches_stand_beside_the_main_way() {
    // Stages state no channels here: they are compared at width 1 only.
    let options = NetOptions {
        width_multiplier: 0.5,
        ..NetOptions::default().image_size(75)
    };
    let net = Net::build("heads", "test", &options, |image| {
        let trunk = image.stage("stem", 1, [0; 3], |x| {
            x.conv_3x3(valid(8).stride(2)).conv_3x3(same(8))
        });
        let after = trunk.stage("mixed", 2, [0; 3], |x| x.conv_1x1(4).conv_3x3(same(8)));
        let _ = trunk.stage("auxiliary", 1, [0; 3], |x| {
            x.conv_1x1(4).average_pool_3x3_same()
        });
        after.classifier()
    });
    let net = net.unwrap();
    let page = network_page(&net);
    let overall = &page.figures[0];
    assert_eq!(
        labels(overall)[labels(overall).len() - 4..],
        ["2 x Mixed", "Auxiliary", "Stem", "Input (75x75x3)"]
    );
    let upright = overall
        .arrows
        .iter()
        .filter(|arrow| arrow.points.len() == 2);
    assert!(upright.count() >= overall.boxes.len() - 2);
    assert_eq!(page.figures.len(), 4);
}

/// Repetitions that differ get a figure each; what they are given may differ.
#[test]
fn different_repetitions_are_drawn_apart() {
    let options = NetOptions {
        width_multiplier: 0.5,
        ..NetOptions::default().image_size(75)
    };
    let net = Net::build("growing", "test", &options, |image| {
        let count = std::cell::Cell::new(0);
        image.stage("mixed", 4, [0; 3], |x| {
            count.set(count.get() + 1);
            let filters = if count.get() == 1 { 64 } else { 32 };
            x.concatenate([x.branch(0).conv_1x1(filters), x.branch(1).conv_1x1(8)])
        })
    })
    .unwrap();
    let page = block_page(&net, "mixed").unwrap();
    let captions: Vec<Vec<&str>> = page.figures.iter().map(texts).collect();
    assert_eq!(
        captions,
        [
            vec!["75x75x3", "75x75x36", "Mixed", "mixed.0, 75x75 grid"],
            vec![
                "75x75x36, then 75x75x20",
                "75x75x20",
                "3 x Mixed",
                "mixed.1, mixed.2, mixed.3, 75x75 grid"
            ]
        ]
    );
}

#[test]
fn a_convolution_with_its_normalisation_and_relu_is_one_box() {
    for net in networks() {
        let cut = Cut::new(&net);
        let boxes: usize = cut.units().iter().map(|unit| unit.groups.len()).sum();
        let normalised = (net.nodes().iter())
            .filter(|node| matches!(node.op, Op::Convolution { bias: false, .. }));
        assert_eq!(boxes, net.nodes().len() - 2 * normalised.count());
    }
}

#[test]
fn the_same_network_gives_the_same_bytes() {
    for entry in REGISTRY {
        let draw = || network(&entry.build(&NetOptions::default()).unwrap());
        assert_eq!(draw(), draw());
    }
}

#[test]
fn an_unknown_block_names_the_nearest() {
    let error = block(&paper("inception_v4"), "inceptoin_b").unwrap_err();
    assert_eq!(error.nearest.as_deref(), Some("inception_b"));
    assert_eq!(error.hint().as_deref(), Some("did you mean `inception_b`?"));
    assert_eq!(
        error.to_string(),
        "inception_v4 has no block `inceptoin_b`: expected one of stem, inception_a, reduction_a, inception_b, \
         reduction_b, inception_c, features, logits, probabilities"
    );
    let far = block(&paper("inception_v4"), "attention").unwrap_err();
    assert_eq!(far.hint(), None);
}

#[test]
fn the_documents_drawing_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/inception_v4.svg");
    let shown = std::fs::read_to_string(path).unwrap();
    assert!(
        shown == network(&paper("inception_v4")),
        "docs/inception_v4.svg is another drawing: incept draw inception_v4 -o docs/inception_v4.svg"
    );
}
