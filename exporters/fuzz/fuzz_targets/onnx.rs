//! The ONNX reader, in every way it is used: whatever the bytes, facts or an error.
//!
//!     RUSTC_BOOTSTRAP=1 cargo fuzz run onnx

#![no_main]

use std::path::Path;

use incept_exporters::onnx::{Bytes, DataTensor, Inspection, ModelFacts, with_outputs};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    let _ = DataTensor::read(&bytes);
    // A folder without files: references to external data are followed, and end there.
    let path = Path::new("/nonexistent/fuzzed.onnx");
    for tensors in [false, true] {
        if let Err(error) = Inspection::read(bytes.clone(), path, tensors) {
            assert!(error.to_string().contains("fuzzed.onnx"));
        }
    }
    if let Ok(facts) = ModelFacts::read(&bytes)
        && let Some(network) = &facts.network
    {
        let _ = network.build();
    }
    if let Ok(extended) = with_outputs(&bytes, &["logits".to_string()]) {
        // What was read once is read again.
        ModelFacts::read(&bytes)
            .map(|facts| {
                let again = ModelFacts::read(&extended.into()).expect("the extended model is read");
                assert_eq!(facts.values, again.values);
            })
            .ok();
    }
});
