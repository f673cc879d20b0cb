//! The library: found once, loaded when first used.

use std::env;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ort::environment::Environment;

use super::super::{RuntimeError, in_the_checkout};

/// The environment variable that names the library.
pub(super) const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// Where `scripts/setup.sh` puts it, from the checkout.
const LIBRARY: &str = ".runtime/onnxruntime/libonnxruntime.so";

/// The library's environment, or why there is none. Loading is tried once: `ort` panics, and aborts at exit, if any
/// other of its functions is the first to look for the library.
static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();

/// The library's environment, for an error of this runtime.
pub(super) fn environment(runtime: &'static str) -> Result<&'static Environment, RuntimeError> {
    let loaded = ENVIRONMENT.get_or_init(|| {
        let path = library();
        let builder = ort::init_from(&path).map_err(|error| error.to_string())?;
        builder
            .with_name("incept")
            .build()
            .map_err(|error| error.to_string())
    });
    loaded.as_ref().map_err(|reason| RuntimeError::Missing {
        runtime,
        reason: reason.clone(),
        hint: format!(
            "run ./scripts/setup.sh, or set {LIBRARY_VARIABLE} to a libonnxruntime.so of version 1.17 or later"
        ),
    })
}

/// The variable's path; else the library of the checkout that holds the program or the working directory; else the
/// system's.
pub(super) fn library() -> PathBuf {
    if let Some(path) = env::var_os(LIBRARY_VARIABLE) {
        return path.into();
    }
    in_the_checkout(LIBRARY).unwrap_or_else(|| "libonnxruntime.so".into())
}

/// The library's version, as far as its file tells: its build information names none where it was built from a detached
/// commit, but libonnxruntime.so is a link to libonnxruntime.so.1.31.1.
pub(super) fn version() -> String {
    let file = library().canonicalize().ok();
    let name = file
        .as_deref()
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    let version = name.and_then(|name| name.split(".so.").nth(1));
    version.unwrap_or("of unknown version").to_string()
}
