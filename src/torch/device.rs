//! Which device computes.

use super::TorchError;
use std::path::PathBuf;
use std::sync::OnceLock;

/// What libtorch has to compute with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The folder libtorch was loaded from, where the system tells.
    pub folder: Option<PathBuf>,
    /// How many CUDA devices there are.
    pub cuda_devices: usize,
    /// Why there is no CUDA, where libtorch_cuda.so could not be loaded.
    pub reason: Option<String>,
}

/// Reads a device: `cpu`, `cuda` (the first) or `cuda:N`, and makes sure that it is there.
///
/// # Errors
/// [`TorchError::DeviceName`], or [`TorchError::NoCuda`] with what was found.
pub fn device(text: &str) -> Result<tch::Device, TorchError> {
    let number = match text {
        "cpu" => return Ok(tch::Device::Cpu),
        "cuda" => Some(0),
        _ => text
            .strip_prefix("cuda:")
            .and_then(|number| number.parse().ok()),
    };
    let number: usize = number.ok_or_else(|| TorchError::DeviceName { found: text.into() })?;
    let Found {
        cuda_devices: found,
        reason,
        ..
    } = found();
    if number < found {
        return Ok(tch::Device::Cuda(number));
    }
    Err(TorchError::NoCuda {
        number,
        found,
        reason,
    })
}

/// Looks for CUDA devices, once; the answer does not change while the program runs.
pub fn found() -> Found {
    static FOUND: OnceLock<Found> = OnceLock::new();
    FOUND
        .get_or_init(|| {
            let folder = libtorch_folder();
            let reason = load_cuda(folder.as_ref()).err();
            let cuda_devices = if tch::Cuda::is_available() {
                usize::try_from(tch::Cuda::device_count()).unwrap_or(0)
            } else {
                0
            };
            Found {
                folder,
                cuda_devices,
                reason: reason.filter(|_| cuda_devices == 0),
            }
        })
        .clone()
}

/// The folder of the libtorch_cpu.so in this process, from the system's list of mapped files.
fn libtorch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let path = maps
        .lines()
        .find(|line| line.ends_with("/libtorch_cpu.so"))
        .and_then(|line| line.find('/').map(|at| &line[at..]))?;
    PathBuf::from(path).parent().map(PathBuf::from)
}

/// Loads libtorch_cuda.so from beside libtorch_cpu.so. The program is linked with libtorch_cpu only, so that
/// it starts on machines without CUDA; the CUDA half registers its kernels when it is loaded, and libtorch
/// reports no CUDA until then.
fn load_cuda(folder: Option<&PathBuf>) -> Result<(), String> {
    use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
    let path = folder
        .ok_or("cannot tell where libtorch_cpu.so was loaded from")?
        .join("libtorch_cuda.so");
    if !path.exists() {
        return Err(format!("`{}` does not exist", path.display()));
    }
    #[expect(unsafe_code, reason = "loading a library runs its constructors")]
    // SAFETY: this is libtorch's own other half from the folder libtorch itself came from, of the same build;
    // its constructors only register kernels. Global symbols, because its own parts find one another by them.
    let library = unsafe { Library::open(Some(&path), RTLD_NOW | RTLD_GLOBAL) };
    // Never unloaded: libtorch keeps pointers into it.
    library
        .map(std::mem::forget)
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn devices_are_read_and_an_absent_one_is_named_with_a_hint() {
        assert_eq!(device("cpu").unwrap(), tch::Device::Cpu);
        for text in ["gpu", "cuda:", "cuda:x", "cuda:-1", ""] {
            let error = device(text).unwrap_err();
            assert!(matches!(error, TorchError::DeviceName { .. }), "{error}");
            assert!(error.to_string().contains(&format!("found `{text}`")));
        }
        let error = device("cuda:1000").unwrap_err();
        assert!(error.to_string().contains("cuda:1000"), "{error}");
        assert!(error.hint().is_some());
        assert!(found().folder.unwrap().join("libtorch_cpu.so").exists());
    }
}
