//! Decoding, resizing, datasets.
