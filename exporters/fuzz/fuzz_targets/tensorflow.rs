//! TensorFlow checkpoints: a V1 file; or an index, and after its magic number the bytes of every shard.
//!
//! ```sh
//! mkdir -p exporters/fuzz/corpus/tensorflow && cd golden/checkpoints/tensorflow
//! cp *.ckpt others/* ../../../exporters/fuzz/corpus/tensorflow
//! for index in *.index; do cat "$index" "${index%.index}".data-* >"../../../exporters/fuzz/corpus/tensorflow/$index"; done
//! cd ../../../exporters && RUSTC_BOOTSTRAP=1 cargo fuzz run tensorflow -- -rss_limit_mb=2048 -max_len=65536
//! ```

#![no_main]

use std::path::Path;

use bytes::Bytes;
use incept_exporters::weights::checkpoint::{Checkpoint, Contents, tensorflow};
use libfuzzer_sys::fuzz_target;

const MAGIC: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();

fn look(contents: Contents) {
    for tensor in contents.0.values() {
        if tensor.elements() <= 1 << 16 {
            assert_eq!(tensor.values().len(), tensor.elements());
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let bytes = Bytes::copy_from_slice(input);
    let magic = input.windows(8).position(|window| window == MAGIC);
    let end = magic.map_or(input.len(), |at| at + 8);
    let (index, shard) = (bytes.slice(..end), bytes.slice(end..));
    if let Ok(contents) = tensorflow::v2::read(&index, |_| Ok(shard.clone())) {
        look(contents);
    }
    // Tells the format, reads V1, and names what is no checkpoint; there are no shards to find.
    if let Ok(checkpoint) = Checkpoint::parse(bytes, Path::new("/nonexistent/model.ckpt")) {
        look((checkpoint.tensors, checkpoint.notes));
    }
});
