//! Arguments that say what a file of weights holds and what becomes of its classifier.

use clap::Args;
use incept_exporters::weights::import::Request;
use incept_exporters::weights::{Choice, NamesChoice};

/// How a file of weights is read.
#[derive(Debug, Args)]
pub(in crate::cli) struct FileArguments {
    /// Whose names the file has [default: recognised]: incept, timm, torchvision, facenet_pytorch, tf_slim, keras, or
    /// tf_slim:ema for the averages beside TensorFlow's variables
    #[arg(long, value_name = "LIBRARY")]
    names: Option<NamesChoice>,
    /// What stands before each name in the file [default: recognised]
    #[arg(long, value_name = "TEXT")]
    prefix: Option<String>,
    /// Leave out class 0: the background of TF-slim's 1001 classes
    #[arg(long)]
    drop_background: bool,
    /// Make a new classifier from this seed, whatever the file has
    #[arg(long, value_name = "SEED")]
    reset_classifier: Option<u64>,
}

impl FileArguments {
    /// What the user says of the file.
    pub(in crate::cli) fn choice(&self, network: Option<&str>, variant: Option<&str>) -> Choice {
        Choice {
            network: network.map(str::to_string),
            variant: variant.map(str::to_string),
            names: self.names,
            prefix: self.prefix.clone(),
        }
    }

    /// What is asked of a file of this network.
    pub(in crate::cli) fn request(&self, network: Option<&str>, variant: Option<&str>) -> Request {
        Request {
            choice: self.choice(network, variant),
            drop_background: self.drop_background,
            reset_classifier: self.reset_classifier,
            ..Request::default()
        }
    }
}
