//! What can go wrong in a runtime.

use super::placement::{PlacedNode, listed};
use super::{LEFT_OUT, feature_hint};

/// A runtime that is missing, or refuses a model or a batch.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// No runtime of that name in this build.
    #[error("no runtime is called `{found}`: expected one of {known}")]
    Unknown {
        /// The name given.
        found: String,
        /// The names there are.
        known: String,
        /// The nearest of them.
        nearest: Option<&'static str>,
    },
    /// The runtime's library or device is not there.
    #[error("runtime `{runtime}` cannot be used: {reason}")]
    Missing {
        /// The runtime.
        runtime: &'static str,
        /// What is missing.
        reason: String,
        /// How to get it.
        hint: String,
    },
    /// The model was refused.
    #[error("runtime `{runtime}` cannot load the model: {reason}")]
    Load {
        /// The runtime.
        runtime: &'static str,
        /// What it said.
        reason: String,
    },
    /// Nodes ran elsewhere than on the device asked for.
    #[error("{}", placement(expected, *computed, elsewhere))]
    Placement {
        /// The execution provider or device asked for.
        expected: String,
        /// How many nodes computed at all.
        computed: usize,
        /// Those that ran elsewhere, all of them.
        elsewhere: Vec<PlacedNode>,
    },
    /// Where the nodes ran cannot be told.
    #[error("runtime `{runtime}` does not tell where its nodes ran: {reason}")]
    NoPlacement {
        /// The runtime.
        runtime: &'static str,
        /// Why not.
        reason: String,
    },
    /// The batch was refused.
    #[error("runtime `{runtime}` cannot run a batch of shape {shape}: {reason}")]
    Run {
        /// The runtime.
        runtime: &'static str,
        /// The batch's shape; of several inputs, each with its name.
        shape: String,
        /// What it said.
        reason: String,
    },
}

impl RuntimeError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { found, nearest: Some(name), .. }
                if LEFT_OUT.iter().all(|(left_out, _)| left_out != found) =>
            {
                Some(format!("did you mean `{name}`?"))
            }
            Self::Unknown { found, .. } => {
                let mut left_out = LEFT_OUT.iter().filter(|(name, _)| name == found);
                let (name, feature) = left_out.next()?;
                Some(format!(
                    "this build has no {name}: {}",
                    feature_hint(feature)
                ))
            }
            Self::Missing { hint, .. } => Some(hint.clone()),
            Self::Load { .. } => {
                Some("`incept doctor` shows the versions of all runtimes; an older --opset may be what this one needs".into())
            }
            Self::Placement { .. } => Some(
                "a node that the device has no kernel for, in this precision or operator set, runs on the host: \
                 another --precision or --opset may give it one"
                    .into(),
            ),
            _ => None,
        }
    }
}

fn placement(expected: &str, computed: usize, elsewhere: &[PlacedNode]) -> String {
    if computed == 0 {
        return format!("expected every node on {expected}, but no node that computes ran");
    }
    format!(
        "expected every node on {expected}, but {} of {computed} ran elsewhere: {}",
        elsewhere.len(),
        listed(elsewhere)
    )
}
