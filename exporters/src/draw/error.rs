//! Why a block cannot be drawn.

/// A block that is not in the network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{network} has no block `{found}`: expected one of {}", blocks.join(", "))]
pub struct UnknownBlock {
    /// The network's name.
    pub network: String,
    /// The name given.
    pub found: String,
    /// The names of the blocks there are.
    pub blocks: Vec<String>,
    /// The one most like the name given, if it is near enough to be meant.
    pub nearest: Option<String>,
}

impl UnknownBlock {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        (self.nearest.as_ref()).map(|name| format!("did you mean `{name}`?"))
    }
}
