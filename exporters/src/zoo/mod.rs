//! The networks: one file each, one function per figure of the paper.

mod inception_resnet_v1;
mod inception_resnet_v1_published;
mod inception_resnet_v2;
mod inception_resnet_v2_published;
mod inception_v3;
mod inception_v4;
mod inception_v4_published;
mod shared;

use crate::net::{Net, NetError, NetOptions};
use crate::text::nearest;

/// A network of the zoo in one of its variants.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// `inception_v4`: its name at the command line and in files.
    pub name: &'static str,
    /// `paper`: as the figures have it; `published`, or a library's name: as the weights of the world fit it.
    pub variant: &'static str,
    /// As the paper writes it.
    pub title: &'static str,
    /// Where it is described.
    pub source: &'static str,
    build: fn(&NetOptions) -> Result<Net, NetError>,
}

impl Entry {
    /// Builds the network.
    ///
    /// # Errors
    /// An option out of range: see [`NetError`].
    pub fn build(&self, options: &NetOptions) -> Result<Net, NetError> {
        (self.build)(options)
    }
}

/// Every network and variant, in the order they are listed.
pub const REGISTRY: &[Entry] = &[
    inception_v4::ENTRY,
    inception_v4_published::ENTRY,
    inception_resnet_v1::ENTRY,
    inception_resnet_v1_published::PUBLISHED,
    inception_resnet_v1_published::FACENET,
    inception_resnet_v2::ENTRY,
    inception_resnet_v2_published::ENTRY,
    inception_v3::TORCHVISION,
    inception_v3::TENSORFLOW,
];

/// A network or variant that is not in the zoo.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZooError {
    /// No network of that name.
    #[error("no network is called `{found}`: expected one of {}", names().join(", "))]
    UnknownNetwork {
        /// The name given.
        found: String,
        /// The nearest name there is.
        nearest: Option<&'static str>,
    },
    /// No such variant of the network.
    #[error("`{network}` has no variant `{found}`: expected {}", variants(network).join(" or "))]
    UnknownVariant {
        /// The network.
        network: &'static str,
        /// The variant given.
        found: String,
    },
}

impl ZooError {
    /// The fix, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownNetwork {
                nearest: Some(name),
                ..
            } => Some(format!("did you mean `{name}`?")),
            _ => Some("`incept list` shows every network and variant".into()),
        }
    }
}

/// The names of the networks, without their variants.
pub fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = REGISTRY.iter().map(|entry| entry.name).collect();
    names.dedup();
    names
}

fn variants(network: &str) -> Vec<&'static str> {
    REGISTRY
        .iter()
        .filter(|entry| entry.name == network)
        .map(|entry| entry.variant)
        .collect()
}

/// Finds a network. Without a variant it is the paper's, or the first where the paper draws none. `published` is the
/// first variant with published weights. Hyphens and capitals are allowed: `Inception-v4`.
///
/// # Errors
/// [`ZooError`] with the names there are.
///
/// ```
/// use incept_exporters::{net::NetOptions, zoo};
///
/// let net = zoo::find("inception_v4", None)?.build(&NetOptions::default())?;
/// assert_eq!(net.cost().parameters, 42_679_816);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn find(name: &str, variant: Option<&str>) -> Result<&'static Entry, ZooError> {
    let wanted = name.to_lowercase().replace('-', "_");
    let of_name: Vec<&'static Entry> = REGISTRY
        .iter()
        .filter(|entry| entry.name == wanted)
        .collect();
    let Some(&first) = of_name.first() else {
        let nearest = nearest(&wanted, names());
        return Err(ZooError::UnknownNetwork {
            found: name.into(),
            nearest,
        });
    };
    let Some(variant) = variant else {
        return Ok(first);
    };
    let exact = of_name.iter().find(|entry| entry.variant == variant);
    let published = || {
        let mut others = of_name.iter().filter(|entry| entry.variant != "paper");
        others.next().filter(|_| variant == "published")
    };
    exact
        .or_else(published)
        .copied()
        .ok_or(ZooError::UnknownVariant {
            network: first.name,
            found: variant.into(),
        })
}
