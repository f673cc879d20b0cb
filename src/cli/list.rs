//! `incept list`

use clap::Args;
use incept_exporters::net::{Cost, NetOptions};
use incept_exporters::zoo::REGISTRY;
use serde::Serialize;

use super::output::{Align, json, print, table, thousands};
use super::{Failure, Outcome};

/// List the networks and their variants, with parameters and multiply-adds
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listed {
    name: &'static str,
    variant: &'static str,
    title: &'static str,
    source: &'static str,
    cost: Cost,
}

#[derive(Serialize)]
struct List {
    schema: &'static str,
    networks: Vec<Listed>,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let mut networks = vec![];
    for entry in REGISTRY {
        let cost = entry.build(&NetOptions::default())?.cost();
        networks.push(Listed {
            name: entry.name,
            variant: entry.variant,
            title: entry.title,
            source: entry.source,
            cost,
        });
    }
    if arguments.json {
        print(&json(&List {
            schema: "incept.list/1",
            networks,
        })?)?;
        return Ok(Outcome::Done);
    }
    let rows: Vec<Vec<String>> = networks
        .iter()
        .map(|net| {
            vec![
                net.name.into(),
                net.variant.into(),
                thousands(net.cost.parameters as u64),
                thousands(net.cost.multiply_adds),
                net.source.into(),
            ]
        })
        .collect();
    let columns = [
        ("network", Align::Left),
        ("variant", Align::Left),
        ("parameters", Align::Right),
        ("multiply-adds at 299x299", Align::Right),
        ("source", Align::Left),
    ];
    print(&table(&columns, &rows))?;
    Ok(Outcome::Done)
}
