//! Where nodes ran, from ONNX Runtime's own profile.

use std::collections::HashSet;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value};
use tempfile::TempDir;

use super::super::{PlacedNode, Placement, RecordedValue, computes};

/// One event of a profile; those of other categories than [`NODE`] have other arguments.
#[derive(Deserialize)]
struct Event {
    #[serde(default)]
    cat: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    args: Arguments,
}

#[derive(Default, Deserialize)]
struct Arguments {
    provider: Option<String>,
    #[serde(default)]
    op_name: String,
    /// Each an object of one entry: type and shape.
    #[serde(default)]
    output_type_shape: Vec<Map<String, Value>>,
}

/// The category of what nodes do.
const NODE: &str = "Node";

/// What the name of an event ends with that is a node's computation, and not a wait before or after it.
const COMPUTATION: &str = "_kernel_time";

/// Reads a profile: each node once, however often it ran.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn parse(profile: &[u8]) -> Result<Placement, String> {
    let events: Vec<Event> = serde_json::from_slice(profile)
        .map_err(|error| format!("its profile cannot be read: {error}"))?;
    let mut seen = HashSet::new();
    let mut nodes = vec![];
    for event in events {
        let Some(name) = event.name.strip_suffix(COMPUTATION) else {
            continue;
        };
        if event.cat != NODE {
            continue;
        }
        let provider = event.args.provider.filter(|provider| !provider.is_empty());
        let provider =
            provider.ok_or_else(|| format!("its profile names no provider for `{name}`"))?;
        let results = event.args.output_type_shape.iter().flatten();
        let results: Vec<RecordedValue> = results.filter_map(recorded).collect();
        let node = PlacedNode {
            name: name.into(),
            computes: computes(&event.args.op_name, &results),
            operator: event.args.op_name,
            provider,
        };
        if seen.insert(node.clone()) {
            nodes.push(node);
        }
    }
    Ok(Placement::Nodes(nodes))
}

fn recorded((element_type, shape): (&String, &Value)) -> Option<RecordedValue> {
    Some(RecordedValue {
        element_type: element_type.clone(),
        shape: shape.as_array()?.iter().filter_map(Value::as_i64).collect(),
    })
}

/// What becomes of a session's recording.
pub(super) enum Recording {
    /// It was not asked for.
    None,
    /// It goes on, into a file in this folder.
    Running(TempDir),
    /// It has ended.
    Ended(Result<Placement, String>),
}

impl Recording {
    /// The recording of a session: `asked` as its options say.
    ///
    /// # Errors
    /// A temporary folder that cannot be made.
    pub(super) fn new(asked: bool) -> std::io::Result<Self> {
        Ok(match asked {
            true => Self::Running(tempfile::tempdir()?),
            false => Self::None,
        })
    }

    /// What the profile's name is to begin with, where there is to be one.
    pub(super) fn prefix(&self) -> Option<PathBuf> {
        match self {
            Self::Running(folder) => Some(folder.path().join("profile")),
            Self::None | Self::Ended(_) => None,
        }
    }

    /// Ends the recording, unless it has ended, and reads it.
    pub(super) fn end(&mut self, session: &mut ort::session::Session) -> Result<Placement, String> {
        if let Self::Running(folder) = self {
            let mut read = || {
                let file = session.end_profiling().map_err(|error| error.to_string())?;
                let profile = std::fs::read(&file)
                    .map_err(|error| format!("cannot read its profile `{file}`: {error}"))?;
                parse(&profile)
            };
            let ended = read();
            // The profile is of no further use; a folder that stays behind in the system's temporary one harms nobody.
            let _ = std::fs::remove_dir_all(folder.path());
            *self = Self::Ended(ended);
        }
        match self {
            Self::Ended(placement) => placement.clone(),
            Self::Running(_) | Self::None => {
                Err("the session was not loaded with the option to record it".into())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::super::RuntimeError;
    use super::*;

    /// What ONNX Runtime 1.24.1 recorded of two runs of Conv, Bernoulli, Relu and Shape with OpenVINO's provider, which took
    /// the Relu only; arguments that are not read are left out.
    const RECORDED: &str = include_str!("mixed_profile.json");

    #[test]
    fn a_recorded_profile_names_what_fell_back() {
        let placement = parse(RECORDED.as_bytes()).unwrap();
        let expected = [
            ("CPUExecutionProvider", 5),
            ("OpenVINOExecutionProvider", 1),
        ];
        assert_eq!(placement.providers(), expected.into());
        let said = placement.require("OpenVINOExecutionProvider").unwrap_err();
        let said = said.to_string();
        assert!(said.contains("5 of 6 ran elsewhere"), "{said}");
        for node in [
            "`c_nchwc` (Conv)",
            "`ReorderOutput` (ReorderOutput)",
            "`RandomUniformLike_5` (RandomUniformLike)",
            "`Greater_6` (Greater)",
            "`Cast_7` (Cast)",
        ] {
            assert!(said.contains(node), "{said}");
        }
        let said = placement.require("CPUExecutionProvider").unwrap_err();
        let said = said.to_string();
        assert!(said.contains("1 of 6 ran elsewhere"), "{said}");
        assert!(said.contains("(OpenVINO-EP-subgraph_1)"), "{said}");
    }

    /// Composed after ONNX Runtime 1.31's: a model of which a part fell back to the processor.
    const MIXED: &str = r#"[
        {"cat":"Session","pid":1,"tid":1,"dur":9,"ts":1,"ph":"X","name":"model_run","args":{}},
        {"cat":"Node","pid":1,"tid":1,"dur":9,"ts":1,"ph":"X","name":"image/size_kernel_time","args":{
            "op_name":"Shape","provider":"CPUExecutionProvider","output_type_shape":[{"int64":[2]}]}},
        {"cat":"Node","pid":1,"tid":1,"dur":9,"ts":1,"ph":"X","name":"Memcpy_kernel_time","args":{
            "op_name":"MemcpyFromHost","provider":"CUDAExecutionProvider","output_type_shape":[{"float":[1,3,75,75]}]}},
        {"cat":"Node","pid":1,"tid":1,"dur":0,"ts":1,"ph":"X","name":"stem.0/conv_3x3_fence_before","args":{
            "op_name":"Conv"}},
        {"cat":"Node","pid":1,"tid":1,"dur":9,"ts":1,"ph":"X","name":"stem.0/conv_3x3_kernel_time","args":{
            "op_name":"Conv","provider":"CUDAExecutionProvider","output_type_shape":[{"float":[1,32,37,37]}]}},
        {"cat":"Node","pid":1,"tid":1,"dur":9,"ts":1,"ph":"X","name":"stem.0/average_pool_kernel_time","args":{
            "op_name":"AveragePool","provider":"CPUExecutionProvider","output_type_shape":[{"float16":[1,32,18,18]}]}},
        {"cat":"Node","pid":1,"tid":1,"dur":9,"ts":9,"ph":"X","name":"stem.0/conv_3x3_kernel_time","args":{
            "op_name":"Conv","provider":"CUDAExecutionProvider","output_type_shape":[{"float":[4,32,37,37]}]}}
    ]"#;

    #[test]
    fn a_mixed_profile_names_the_node_that_fell_back_and_no_other() {
        let placement = parse(MIXED.as_bytes()).unwrap();
        let Placement::Nodes(nodes) = &placement else {
            panic!("{placement:?}");
        };
        let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        let expected = [
            "image/size",
            "Memcpy",
            "stem.0/conv_3x3",
            "stem.0/average_pool",
        ];
        assert_eq!(names, expected);
        let error = placement.require("CUDAExecutionProvider").unwrap_err();
        let RuntimeError::Placement {
            computed,
            elsewhere,
            ..
        } = &error
        else {
            panic!("{error}");
        };
        assert_eq!((*computed, elsewhere.len()), (2, 1));
        assert_eq!(elsewhere[0], nodes[3]);
        // Of a CPU session the convolution is the stranger.
        let error = placement.require("CPUExecutionProvider").unwrap_err();
        assert!(error.to_string().contains("`stem.0/conv_3x3` (Conv)"));
    }

    #[test]
    fn a_node_moved_between_two_runs_is_there_twice() {
        let second = MIXED.rfind("CUDAExecutionProvider").unwrap();
        let mut moved = MIXED.to_string();
        moved.replace_range(second..second + 4, "CPU");
        let error = parse(moved.as_bytes())
            .unwrap()
            .require("CUDAExecutionProvider");
        let said = error.unwrap_err().to_string();
        assert!(said.contains("`stem.0/conv_3x3` (Conv) on CPU"), "{said}");
    }

    #[test]
    fn a_profile_that_is_cut_off_or_names_no_provider_is_no_proof() {
        assert!(parse(&MIXED.as_bytes()[..400]).is_err());
        assert!(parse(b"").is_err());
        let silent = MIXED.replacen("\"provider\":\"CUDAExecutionProvider\",", "", 1);
        let said = parse(silent.as_bytes()).unwrap_err();
        assert!(said.contains("`Memcpy`"), "{said}");
        assert_eq!(parse(b"[]").unwrap(), Placement::Nodes(vec![]));
    }
}
