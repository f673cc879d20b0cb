//! `incept inspect`

use std::path::PathBuf;

use clap::Args;
use incept_exporters::onnx::{Constants, Inspection, StoredTensor, ValueType};

use super::output::{Align, json, print, table, thousands};
use super::{Failure, Outcome};

/// Show what is in an ONNX file, whoever wrote it
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The file
    #[arg(value_name = "MODEL.onnx")]
    model: PathBuf,
    /// Every initializer, with the SHA-256 of its values
    #[arg(long)]
    tensors: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let inspection = Inspection::of_file(&arguments.model, arguments.tensors)?;
    print(&if arguments.json {
        json(&inspection)?
    } else {
        text(arguments, &inspection)
    })?;
    Ok(Outcome::Done)
}

fn text(arguments: &Arguments, found: &Inspection) -> String {
    let opsets = found.opsets.iter();
    let opsets: Vec<String> = opsets
        .map(|set| format!("{} {}", set.domain, set.version))
        .collect();
    let producer = match found.producer.as_str() {
        "" => "unknown producer",
        producer => producer,
    };
    let mut text = format!(
        "{}: {} bytes, IR version {}, written by {producer}\noperator sets: {}\n\n",
        arguments.model.display(),
        thousands(found.bytes),
        found.ir_version,
        opsets.join(", "),
    );
    let values = |kind: &str, values: &[ValueType]| {
        let row = |value: &ValueType| {
            let shape = match &value.shape {
                Some(shape) => format!("[{}]", shape.join(", ")),
                None => "unknown shape".into(),
            };
            vec![
                kind.to_string(),
                value.name.clone(),
                value.element_type.clone(),
                shape,
            ]
        };
        values.iter().map(row).collect::<Vec<_>>()
    };
    let rows = [
        values("input", &found.inputs),
        values("output", &found.outputs),
    ]
    .concat();
    let columns = [
        ("value", Align::Left),
        ("name", Align::Left),
        ("type", Align::Left),
        ("shape", Align::Left),
    ];
    text += &table(&columns, &rows);

    text += &format!("\n{} nodes\n", thousands(found.nodes as u64));
    let rows = found
        .operators
        .iter()
        .map(|count| vec![thousands(count.count as u64), count.operator.clone()]);
    text += &table(
        &[("nodes", Align::Right), ("operator", Align::Left)],
        &rows.collect::<Vec<_>>(),
    );
    if !found.functions.is_empty() {
        text += &format!("functions: {}\n", found.functions.join(", "));
    }

    text += &format!("\n{} parameters\n", thousands(found.parameters.elements));
    text += &constants("initializers", &found.parameters, &found.constants);
    for file in &found.external_data {
        text += &format!(
            "external data: `{}`, {} tensors, {} bytes\n",
            file.location,
            thousands(file.tensors),
            thousands(file.bytes)
        );
        if let Some(problem) = &file.problem {
            text += &format!("  cannot be used: {problem}\n");
        }
    }

    text += &contract(found);
    if !found.metadata.is_empty() {
        text.push('\n');
        let rows = found
            .metadata
            .iter()
            .map(|(key, value)| vec![key.clone(), value.clone()]);
        let columns = [("metadata", Align::Left), ("value", Align::Left)];
        text += &table(&columns, &rows.collect::<Vec<_>>());
    }
    if let Some(stored) = &found.tensors {
        text.push('\n');
        text += &tensors(stored);
    }
    text
}

fn constants(title: &str, parameters: &Constants, in_nodes: &Constants) -> String {
    let rows = [(title, parameters), ("constants in nodes", in_nodes)];
    let rows = rows.into_iter().flat_map(|(title, constants)| {
        constants.types.iter().map(move |count| {
            let numbers = [count.tensors, count.elements, count.bytes].map(thousands);
            [
                vec![title.to_string(), count.element_type.clone()],
                numbers.to_vec(),
            ]
            .concat()
        })
    });
    let columns = [
        ("stored", Align::Left),
        ("type", Align::Left),
        ("tensors", Align::Right),
        ("numbers", Align::Right),
        ("bytes", Align::Right),
    ];
    table(&columns, &rows.collect::<Vec<_>>())
}

fn contract(found: &Inspection) -> String {
    let known = match (&found.input_contract, found.network_known) {
        (None, _) => {
            return "\ninput contract: unknown, the file does not say how images are prepared\n"
                .into();
        }
        (Some(_), true) => "written by incept, which knows the network",
        (Some(_), false) => "in incept's terms, of a network this version does not know",
    };
    let said = found.input_contract.iter().flatten();
    let said: Vec<String> = said
        .map(|(key, value)| format!("  {key}: {value}\n"))
        .collect();
    format!("\ninput contract: known, {known}\n{}", said.concat())
}

fn tensors(stored: &[StoredTensor]) -> String {
    let row = |tensor: &StoredTensor| {
        let shape: Vec<String> = tensor.shape.iter().map(i64::to_string).collect();
        vec![
            tensor.name.clone(),
            tensor.element_type.clone(),
            format!("[{}]", shape.join(", ")),
            thousands(tensor.bytes),
            tensor.sha256.clone().unwrap_or_else(|| "-".into()),
        ]
    };
    let columns = [
        ("initializer", Align::Left),
        ("type", Align::Left),
        ("shape", Align::Left),
        ("bytes", Align::Right),
        ("SHA-256", Align::Left),
    ];
    table(&columns, &stored.iter().map(row).collect::<Vec<_>>())
}
