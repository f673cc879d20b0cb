//! Any bytes as a PyTorch checkpoint: read, then every number of every tensor looked at.
//!
//! ```sh
//! cd exporters && RUSTC_BOOTSTRAP=1 cargo fuzz run pytorch fuzz/corpus/pytorch ../golden/checkpoints/pytorch -- \
//!     -rss_limit_mb=2048 -max_len=65536
//! ```

#![no_main]

use std::path::Path;

use bytes::Bytes;
use incept_exporters::weights::Checkpoint;
use incept_exporters::weights::checkpoint::pytorch;
use libfuzzer_sys::fuzz_target;

/// Numbers that are looked at; a stride of 0 stands for many more than there are bytes.
const MOST_NUMBERS: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    // What is not recognised goes to the reader as well, which must not rely on having been asked.
    if !pytorch::detect(&bytes) {
        let _ = pytorch::read(&bytes);
    }
    match Checkpoint::parse(bytes, Path::new("fuzzed.pth")) {
        Ok(checkpoint) => {
            for tensor in checkpoint.tensors.values() {
                if tensor.elements() <= MOST_NUMBERS {
                    assert_eq!(tensor.values().len(), tensor.elements());
                }
            }
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            let _ = error.hint();
        }
    }
});
