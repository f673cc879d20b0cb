//! From text and `key=value` overrides to a checked configuration.

use toml::{Table, Value};

use super::{ConfigError, TrainingConfig};
use crate::exporters::text::nearest;

/// Every key there is, dotted. A test compares it with the structure itself.
pub(super) const KEYS: &[&str] = &[
    "network",
    "variant",
    "data",
    "output",
    "epochs",
    "steps",
    "batch_size",
    "seed",
    "device",
    "weight_decay",
    "label_smoothing",
    "auxiliary_weight",
    "clip_norm",
    "checkpoint_every",
    "keep_checkpoints",
    "validate_every",
    "workers",
    "threads",
    "image_cache_mib",
    "options.image_height",
    "options.image_width",
    "options.classes",
    "options.width_multiplier",
    "options.dropout_keep_probability",
    "options.residual_scales.a",
    "options.residual_scales.b",
    "options.residual_scales.c",
    "options.auxiliary_head",
    "optimizer.kind",
    "optimizer.decay",
    "optimizer.epsilon",
    "optimizer.momentum",
    "learning_rate.initial",
    "learning_rate.decay",
    "learning_rate.every_epochs",
    "learning_rate.staircase",
    "learning_rate.warm_up_steps",
    "averaging.decay",
    "batch_norm.decay",
    "augmentation.area",
    "augmentation.aspect",
    "augmentation.flip",
];

pub(super) fn parse(
    text: &str,
    source_name: &str,
    overrides: &[String],
) -> Result<TrainingConfig, ConfigError> {
    let malformed = |reason: String| ConfigError::Malformed {
        source_name: source_name.into(),
        reason: reason.trim_end().into(),
    };
    let mut table: Table = text
        .parse()
        .map_err(|error: toml::de::Error| malformed(error.to_string()))?;
    check_keys(&table, source_name)?;
    for text in overrides {
        apply(&mut table, text)?;
    }
    let numbers = whole_numbers_as_floats(table);
    let config: TrainingConfig = numbers
        .try_into()
        .map_err(|error: toml::de::Error| malformed(error.to_string()))?;
    config.check()?;
    Ok(config)
}

/// The dotted keys of everything in a table that is not itself a table.
pub(super) fn dotted(table: &Table) -> Vec<(String, &Value)> {
    let mut found = vec![];
    for (key, value) in table {
        match value {
            Value::Table(inner) => found.extend(
                dotted(inner)
                    .into_iter()
                    .map(|(rest, value)| (format!("{key}.{rest}"), value)),
            ),
            value => found.push((key.clone(), value)),
        }
    }
    found
}

fn check_keys(table: &Table, source_name: &str) -> Result<(), ConfigError> {
    match dotted(table)
        .into_iter()
        .find(|(key, _)| !KEYS.contains(&key.as_str()))
    {
        Some((key, _)) => Err(ConfigError::UnknownKey {
            source_name: source_name.into(),
            nearest: nearest(&key, KEYS.iter().copied()),
            key,
        }),
        None => Ok(()),
    }
}

/// Sets one value. What is no TOML value is taken as text, so that `device=cuda:0` needs no quotes.
fn apply(table: &mut Table, text: &str) -> Result<(), ConfigError> {
    let Some((key, value)) = text.split_once('=') else {
        return Err(ConfigError::Override {
            text: text.into(),
            found: "no `=`".into(),
        });
    };
    let (key, value) = (key.trim(), value.trim());
    if !KEYS.contains(&key) {
        return Err(ConfigError::UnknownKey {
            source_name: format!("--set {text}"),
            key: key.into(),
            nearest: nearest(key, KEYS.iter().copied()),
        });
    }
    if value.is_empty() {
        return Err(ConfigError::Override {
            text: text.into(),
            found: "no value".into(),
        });
    }
    let value = format!("value = {value}")
        .parse::<Table>()
        .ok()
        .filter(|parsed| parsed.len() == 1)
        .and_then(|mut parsed| parsed.remove("value"))
        .unwrap_or_else(|| Value::String(value.into()));
    // `steps` and `epochs` exclude each other: setting one withdraws the other.
    match key {
        "steps" => drop(table.remove("epochs")),
        "epochs" => drop(table.remove("steps")),
        _ => {}
    }
    let mut place = table;
    let mut parts: Vec<&str> = key.split('.').collect();
    let last = parts.pop().unwrap_or(key);
    for part in parts {
        let inner = place
            .entry(part)
            .or_insert_with(|| Value::Table(Table::new()));
        place = match inner {
            Value::Table(inner) => inner,
            other => {
                return Err(ConfigError::Override {
                    text: text.into(),
                    found: format!("`{part}` set to {other}, which is no table"),
                });
            }
        };
    }
    place.insert(last.into(), value);
    Ok(())
}

/// TOML keeps `1` and `1.0` apart; a key that takes a fraction takes a whole number too.
fn whole_numbers_as_floats(mut table: Table) -> Table {
    const FRACTIONS: [&str; 17] = [
        "epochs",
        "weight_decay",
        "label_smoothing",
        "auxiliary_weight",
        "clip_norm",
        "width_multiplier",
        "dropout_keep_probability",
        "a",
        "b",
        "c",
        "decay",
        "epsilon",
        "momentum",
        "initial",
        "every_epochs",
        "area",
        "aspect",
    ];
    for (key, value) in table.iter_mut() {
        let takes_fractions = FRACTIONS.contains(&key.as_str());
        match value {
            Value::Table(inner) => *inner = whole_numbers_as_floats(std::mem::take(inner)),
            Value::Integer(whole) if takes_fractions => *value = Value::Float(*whole as f64),
            Value::Array(items) if takes_fractions => {
                for item in items {
                    if let Value::Integer(whole) = item {
                        *item = Value::Float(*whole as f64);
                    }
                }
            }
            _ => {}
        }
    }
    table
}
