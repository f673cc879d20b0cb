//! Errors as the user sees them: what, the chain of causes, and the fix where one is known.

use std::error::Error;
use std::io::{self, Write};

/// An error on its way to the user.
#[derive(Debug)]
pub(super) struct Failure {
    error: Box<dyn Error>,
    hint: Option<String>,
}

impl Failure {
    /// An error of the command line itself.
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            error: message.into().into(),
            hint: Some(hint.into()),
        }
    }

    /// What only a build with libtorch can do.
    #[cfg(not(feature = "torch"))]
    pub(super) fn without_torch(what: &str) -> Self {
        Self::new(
            format!("{what} needs libtorch, and this build has no feature `torch`"),
            "run ./scripts/setup.sh, then build with `cargo build --release --features torch`",
        )
    }

    /// `error: ...`, each cause once, `hint: ...`, on standard error.
    pub(super) fn print(&self) {
        let mut text = format!("error: {}", self.error);
        let mut last = self.error.to_string();
        let mut cause = self.error.source();
        while let Some(error) = cause {
            let message = error.to_string();
            // Transparent errors repeat what they wrap.
            if message != last {
                text += &format!("\n  caused by: {message}");
            }
            last = message;
            cause = error.source();
        }
        if let Some(hint) = &self.hint {
            text += &format!("\nhint: {hint}");
        }
        // Where standard error is closed there is nobody left to tell.
        let _ = writeln!(io::stderr(), "{text}");
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self {
            error: error.into(),
            hint: None,
        }
    }
}

macro_rules! failures {
    ($($error:ty),* $(,)?) => { $(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                let hint = error.hint();
                Self { error: error.into(), hint }
            }
        }
    )* };
}

failures!(
    incept_exporters::draw::UnknownBlock,
    incept_exporters::files::FileError,
    incept_exporters::net::NetError,
    incept_exporters::onnx::ExportError,
    incept_exporters::onnx::LoadError,
    incept_exporters::weights::WeightsError,
    incept_exporters::weights::import::OpenError,
    incept_exporters::zoo::ZooError,
    crate::evaluate::EvaluateError,
    crate::golden::GoldenError,
    crate::images::ImageError,
    crate::images::synthetic::SyntheticError,
    crate::parity::ParityError,
    crate::report::ReportError,
    crate::parity::against::AgainstError,
    crate::parity::bisect::BisectError,
    crate::runtime::RuntimeError,
    crate::sensitivity::SensitivityError,
    crate::training::ConfigError,
);

#[cfg(feature = "torch")]
failures!(
    crate::demo::DemoError,
    crate::matrix::MatrixError,
    crate::torch::TrainingError
);
