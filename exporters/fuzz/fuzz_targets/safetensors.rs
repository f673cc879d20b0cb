//! Any bytes as safetensors: read, then every number of every tensor looked at.
//!
//! ```sh
//! cd exporters && RUSTC_BOOTSTRAP=1 cargo fuzz run safetensors -- -rss_limit_mb=2048 -max_len=65536
//! ```

#![no_main]

use bytes::Bytes;
use incept_exporters::weights::checkpoint::safetensors;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = Bytes::copy_from_slice(bytes);
    match safetensors::read(&bytes) {
        Ok((tensors, _)) => {
            for tensor in tensors.values() {
                assert_eq!(tensor.values().len(), tensor.elements());
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
