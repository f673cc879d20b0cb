//! Arguments that choose a network and its options: the same in every subcommand.

use clap::Args;
use incept_exporters::net::{Net, NetOptions};
use incept_exporters::zoo::{self, Entry};

use super::Failure;

/// Which network, at which size.
#[derive(Debug, Args)]
pub(super) struct NetworkArguments {
    /// inception_v4, inception_resnet_v1, inception_resnet_v2 or inception_v3
    #[arg(value_name = "NET")]
    name: String,
    /// Variant: `paper`, as its figures draw it, or `published`, as its weights fit it; `incept list` names all
    #[arg(long)]
    variant: Option<String>,
    /// Image size in pixels, at least 75 each way
    #[arg(long, value_name = "N|HxW", default_value = "299", value_parser = image_size)]
    image_size: (usize, usize),
    /// Number of classes
    #[arg(long, value_name = "N", default_value_t = 1000)]
    classes: usize,
    /// Factor on the filters of every convolution
    #[arg(long, value_name = "F", default_value_t = 1.0)]
    width: f64,
    /// With the second classifier that the published networks have for training
    #[arg(long)]
    auxiliary_head: bool,
}

impl NetworkArguments {
    pub(super) fn build(&self) -> Result<(&'static Entry, Net), Failure> {
        let entry = zoo::find(&self.name, self.variant.as_deref())?;
        let (image_height, image_width) = self.image_size;
        let net = entry.build(&NetOptions {
            image_height,
            image_width,
            classes: self.classes,
            width_multiplier: self.width,
            auxiliary_head: self.auxiliary_head,
            ..NetOptions::default()
        })?;
        Ok((entry, net))
    }
}

/// `299` or `224x320`: height, then width.
fn image_size(text: &str) -> Result<(usize, usize), String> {
    let side = |text: &str| {
        text.parse()
            .map_err(|_| format!("expected N or HEIGHTxWIDTH in pixels, found `{text}`"))
    };
    match text.split_once('x') {
        Some((height, width)) => Ok((side(height)?, side(width)?)),
        None => side(text).map(|side| (side, side)),
    }
}
