//! What can go wrong in a runtime.

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
            Self::Unknown { nearest: Some(name), .. } => Some(format!("did you mean `{name}`?")),
            Self::Unknown { found, .. } if found == "tract" => {
                Some("this build has no tract: build with `--features tract`".into())
            }
            Self::Missing { hint, .. } => Some(hint.clone()),
            Self::Load { .. } => {
                Some("`incept doctor` shows the versions of all runtimes; an older --opset may be what this one needs".into())
            }
            _ => None,
        }
    }
}
