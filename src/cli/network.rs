//! Arguments that choose a network and its options: the same in every subcommand.

use std::path::Path;

use clap::Args;
use incept_exporters::net::{Net, NetOptions};
use incept_exporters::onnx::ImageSize;
use incept_exporters::weights::import::{Opened, Request, open};
use incept_exporters::zoo::{self, Entry};

use super::Failure;
use super::weights::FileArguments;

/// Which network, at which size.
#[derive(Debug, Args)]
pub(super) struct NetworkArguments {
    /// inception_v4, inception_resnet_v1, inception_resnet_v2 or inception_v3
    #[arg(value_name = "NET", required = true)]
    name: Option<String>,
    /// Variant: `paper`, as its figures draw it, or `published`, as its weights fit it; `incept list` names all
    #[arg(long)]
    variant: Option<String>,
    /// Image size in pixels, at least 75 each way
    #[arg(long, value_name = "N|HxW", default_value = "299", value_parser = size_argument)]
    image_size: SizeArgument,
    /// Number of classes [default: 1000, or those of the weights]
    #[arg(long, value_name = "N")]
    classes: Option<usize>,
    /// Factor on the filters of every convolution [default: 1, or that of the weights]
    #[arg(long, value_name = "F")]
    width: Option<f64>,
    /// With the second classifier that the published networks have for training
    #[arg(long)]
    auxiliary_head: bool,
}

/// The sizes that a network is to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SizeArgument {
    /// This height and width.
    Fixed(usize, usize),
    /// Any, which only a file can.
    Dynamic,
}

/// The size that a network of dynamic size is built with: the paper's.
const USUAL_SIDE: usize = 299;

impl NetworkArguments {
    /// The network, of a size that is known.
    pub(super) fn build(&self) -> Result<(&'static Entry, Net), Failure> {
        if self.image_size == SizeArgument::Dynamic {
            return Err(Failure::new(
                "--image-size: expected N or HEIGHTxWIDTH in pixels, found `dynamic`",
                "only `incept export` writes a network of any size",
            ));
        }
        self.build_of_any_size()
    }

    /// The network; where its file is to take other sizes too, of the usual one.
    pub(super) fn build_of_any_size(&self) -> Result<(&'static Entry, Net), Failure> {
        let name = self.name.as_deref().unwrap_or_default();
        let entry = zoo::find(name, self.variant.as_deref())?;
        Ok((entry, entry.build(&self.options())?))
    }

    /// The network that a file holds, and its weights: the file decides on what is not given.
    pub(super) fn open(
        &self,
        path: &Path,
        file: &FileArguments,
        without_classifier: bool,
    ) -> Result<Opened, Failure> {
        let request = Request {
            classes: self.classes,
            width_multiplier: self.width,
            without_classifier,
            ..file.request(self.name.as_deref(), self.variant.as_deref())
        };
        Ok(open(path, &request, &self.options())?)
    }

    /// Whether a file of the network is to take its size only, or any.
    pub(super) fn sizes(&self) -> ImageSize {
        match self.image_size {
            SizeArgument::Fixed(..) => ImageSize::Fixed,
            SizeArgument::Dynamic => ImageSize::Dynamic,
        }
    }

    fn options(&self) -> NetOptions {
        let (image_height, image_width) = match self.image_size {
            SizeArgument::Fixed(height, width) => (height, width),
            SizeArgument::Dynamic => (USUAL_SIDE, USUAL_SIDE),
        };
        let default = NetOptions::default();
        NetOptions {
            image_height,
            image_width,
            classes: self.classes.unwrap_or(default.classes),
            width_multiplier: self.width.unwrap_or(default.width_multiplier),
            auxiliary_head: self.auxiliary_head,
            ..default
        }
    }
}

fn size_argument(text: &str) -> Result<SizeArgument, String> {
    match text {
        "dynamic" => Ok(SizeArgument::Dynamic),
        _ => image_size(text).map(|(height, width)| SizeArgument::Fixed(height, width)),
    }
}

/// `299` or `224x320`: height, then width.
pub(super) fn image_size(text: &str) -> Result<(usize, usize), String> {
    let side = |text: &str| {
        text.parse()
            .map_err(|_| format!("expected N or HEIGHTxWIDTH in pixels, found `{text}`"))
    };
    match text.split_once('x') {
        Some((height, width)) => Ok((side(height)?, side(width)?)),
        None => side(text).map(|side| (side, side)),
    }
}
