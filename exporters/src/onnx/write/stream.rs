//! The pass itself: tensors computed, rounded, hashed and handed on in the order of the file.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Write};
use std::path::Path;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::super::data_type::{number_of, type_name};
use super::super::layout::{self, Layout, Place, Planned};
use super::super::manifest::{Manifest, ManifestTensor, Provenance, WrittenFile};
use super::super::rounding::{Encoded, Rounding};
use super::super::{
    ExportError, ExportOptions, Precision, PrecisionReport, TensorRounding, fold, metadata,
};
use crate::files::FileError;
use crate::net::Net;
use crate::text::hex;
use crate::weights::{Weights, digest, not_finite};

/// Why the pass stopped.
pub(super) enum StreamError {
    Io(io::Error),
    Export(ExportError),
}

impl StreamError {
    pub(super) fn into_export(self, path: &Path) -> ExportError {
        match self {
            Self::Io(error) => FileError::new("write", path, error).into(),
            Self::Export(error) => error,
        }
    }
}

impl From<io::Error> for StreamError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<ExportError> for StreamError {
    fn from(error: ExportError) -> Self {
        Self::Export(error)
    }
}

/// Bytes of tensors that are computed while others are written.
const WINDOW: u64 = 8 << 20;

/// Small tensors of a model whose others lie in a data file, by their place in the order of tensors.
pub(super) type Small = HashMap<usize, Vec<u8>>;

/// An export, before and after its pass.
pub(super) struct Export<'a> {
    pub(super) net: &'a Net,
    pub(super) weights: &'a Weights,
    pub(super) options: &'a ExportOptions,
    pub(super) layout: Layout,
    /// Whether stored tensors and files are hashed, for a manifest.
    pub(super) hashed: bool,
    pub(super) outcome: Outcome<'a>,
}

/// What the pass over the weights found.
#[derive(Default)]
pub(super) struct Outcome<'a> {
    /// SHA-256 of the values of each tensor of the weights.
    digests: BTreeMap<&'a str, [u8; 32]>,
    /// What rounding did to each tensor of the file.
    roundings: Vec<Rounding>,
    /// SHA-256 of each tensor of the file.
    stored: Vec<[u8; 32]>,
}

/// One tensor, ready to be written.
struct Computed<'a> {
    encoded: Encoded<'a>,
    rounding: Rounding,
    /// The tensor of the weights that was read for it, and its hash.
    source: Option<(&'a str, [u8; 32])>,
    stored: Option<[u8; 32]>,
}

impl<'a> Export<'a> {
    /// Writes the data file; keeps the tensors that do not go there.
    pub(super) fn data(
        &mut self,
        writer: &mut crate::files::Writer<'_>,
        location: String,
    ) -> Result<(WrittenFile, Small), StreamError> {
        let mut counted = Counted::new(writer, self.hashed);
        let mut small = Small::new();
        self.tensors(|index, tensor, values| match tensor.place {
            Place::Model(_) => {
                small.insert(index, values.to_vec());
                Ok(())
            }
            Place::Data(offset) => {
                let gap = offset.saturating_sub(counted.bytes);
                io::copy(&mut io::Read::take(io::repeat(0), gap), &mut counted)?;
                counted.write_all(values)
            }
        })?;
        Ok((counted.finish(location), small))
    }

    /// Writes the model; with `kept`, the tensors have been computed already.
    pub(super) fn model(
        &mut self,
        writer: &mut (impl Write + Send),
        kept: Option<Small>,
    ) -> Result<(), StreamError> {
        self.layout.start(writer)?;
        match kept {
            None => self.tensors(|_, tensor, values| {
                tensor.start(writer)?;
                writer.write_all(values)
            })?,
            Some(kept) => {
                for (index, tensor) in self.layout.tensors.iter().enumerate() {
                    tensor.start(writer)?;
                    if let Some(values) = kept.get(&index) {
                        writer.write_all(values)?;
                    }
                }
            }
        }
        writer.write_all(&self.tail())?;
        Ok(())
    }

    fn tail(&self) -> Vec<u8> {
        let sha256 = self.weights.combine(&self.outcome.digests);
        layout::tail(self.net, self.weights, self.options, &sha256)
    }

    /// Computes every tensor of the file and hands it to `sink`, in order; then hashes what no tensor was made of.
    fn tensors(
        &mut self,
        mut sink: impl FnMut(usize, &Planned, &[u8]) -> io::Result<()> + Send,
    ) -> Result<(), StreamError> {
        let export = &*self;
        let mut outcome = Outcome::default();
        let mut take = |outcome: &mut Outcome<'a>, (index, computed): (usize, Computed<'a>)| {
            sink(
                index,
                &export.layout.tensors[index],
                computed.encoded.bytes(),
            )?;
            outcome.digests.extend(computed.source);
            outcome.roundings.push(computed.rounding);
            outcome.stored.extend(computed.stored);
            Ok::<(), io::Error>(())
        };
        let mut ready: Vec<(usize, Computed<'a>)> = vec![];
        let mut next = 0;
        while next < export.layout.tensors.len() {
            let window = export.window(next);
            next = window.end;
            let compute = |index| Ok((index, export.compute(&export.layout.tensors[index])?));
            let (computed, written) = rayon::join(
                || {
                    window
                        .into_par_iter()
                        .map(compute)
                        .collect::<Result<_, ExportError>>()
                },
                || {
                    ready
                        .drain(..)
                        .try_for_each(|tensor| take(&mut outcome, tensor))
                },
            );
            written?;
            ready = computed?;
        }
        ready
            .drain(..)
            .try_for_each(|tensor| take(&mut outcome, tensor))?;

        let others = export
            .weights
            .iter()
            .filter(|(name, _)| !outcome.digests.contains_key(name));
        let others: Vec<_> = others.collect();
        let digests = others.into_par_iter().map(|(name, tensor)| {
            let values = tensor.values();
            export.check(&values)?;
            Ok((name, digest(&values)))
        });
        let digests: Vec<_> = digests.collect::<Result<_, ExportError>>()?;
        outcome.digests.extend(digests);
        self.outcome = outcome;
        Ok(())
    }

    /// The tensors from `first` on that are computed at a time.
    fn window(&self, first: usize) -> std::ops::Range<usize> {
        let mut bytes = 0;
        let more = self.layout.tensors[first..].iter().take_while(|tensor| {
            let fits = bytes < WINDOW;
            bytes += tensor.bytes;
            fits
        });
        first..first + more.count()
    }

    fn compute(&self, tensor: &Planned) -> Result<Computed<'a>, ExportError> {
        let initializer = &tensor.stored.initializer;
        let mut source = None;
        let mut values = None;
        if let Some((name, tensor)) = fold::source(initializer, self.weights)? {
            let read = tensor.values();
            self.check(&read)?;
            source = Some((name, digest(&read)));
            values = Some(read);
        }
        let numbers = fold::numbers(initializer, self.weights, values)?;
        let (encoded, rounding) = tensor.encode(numbers);
        if rounding.not_finite > 0 {
            return Err(ExportError::NotFinite {
                tensor: initializer.name.clone(),
                count: rounding.not_finite,
            });
        }
        if rounding.overflows > 0 && !self.options.precision.allow_clamp {
            return Err(self.overflow());
        }
        let stored = self.hashed.then(|| match (&encoded, source) {
            (Encoded::Borrowed(_), Some((_, digest))) => digest,
            _ => Sha256::digest(encoded.bytes()).into(),
        });
        Ok(Computed {
            encoded,
            rounding,
            source,
            stored,
        })
    }

    /// An error that names everything wrong with the weights, unless these values are finite.
    fn check(&self, values: &[f32]) -> Result<(), ExportError> {
        match not_finite(values) {
            0 => Ok(()),
            _ => Ok(self.weights.check(self.net)?),
        }
    }

    /// The error that names every tensor with an overflow.
    fn overflow(&self) -> ExportError {
        let rounding = |tensor: &Planned| {
            let initializer = &tensor.stored.initializer;
            let source = fold::source(initializer, self.weights).ok()?;
            let values = source.map(|(_, tensor)| tensor.values());
            let numbers = fold::numbers(initializer, self.weights, values).ok()?;
            let (_, rounding) = tensor.encode(numbers);
            let rounded = tensor_rounding(tensor, &rounding);
            rounded.filter(|_| rounding.overflows > 0)
        };
        let tensors = self
            .layout
            .tensors
            .par_iter()
            .filter_map(rounding)
            .collect();
        ExportError::Overflow { tensors }
    }

    pub(super) fn precision(&self) -> Option<PrecisionReport> {
        let tensors = self.layout.tensors.iter().zip(&self.outcome.roundings);
        let rounded = tensors.filter_map(|(tensor, rounding)| tensor_rounding(tensor, rounding));
        let rounded: Vec<TensorRounding> = rounded.collect();
        (!rounded.is_empty()).then(|| PrecisionReport::new(rounded))
    }

    /// `files`: the model, then its data file where it has one.
    pub(super) fn manifest(&self, files: Vec<WrittenFile>, provenance: Provenance) -> Manifest {
        let tensors = self.layout.tensors.iter().zip(&self.outcome.stored);
        let tensors = tensors.map(|(tensor, sha256)| {
            let initializer = &tensor.stored.initializer;
            let (file, offset) = match tensor.place {
                Place::Model(offset) => (files.first(), offset),
                Place::Data(offset) => (files.last(), offset),
            };
            ManifestTensor {
                name: initializer.name.clone(),
                element_type: type_name(number_of(tensor.stored.element_type)),
                shape: initializer.shape.clone(),
                file: file.map(|file| file.path.clone()).unwrap_or_default(),
                offset,
                bytes: tensor.bytes,
                sha256: hex(sha256),
            }
        });
        let tensors = tensors.collect();
        let sha256 = self.weights.combine(&self.outcome.digests);
        let entries = metadata::entries(self.net, self.weights, self.options, &sha256);
        Manifest {
            schema: "incept.manifest/1".into(),
            provenance,
            ir_version: layout::ir_version(self.options.opset),
            opset: self.options.opset,
            metadata: entries
                .into_iter()
                .map(|entry| (entry.key, entry.value))
                .collect(),
            files,
            tensors,
            precision: self.precision(),
        }
    }
}

/// What rounding did to a tensor that is not stored as float32.
fn tensor_rounding(tensor: &Planned, rounding: &Rounding) -> Option<TensorRounding> {
    let precision = Precision::of(tensor.stored.element_type)?;
    let elements = tensor.bytes / tensor.stored.element_type.size() as u64;
    let name = &tensor.stored.initializer.name;
    (precision != Precision::Fp32).then(|| TensorRounding::new(name, precision, elements, rounding))
}

/// Counts and hashes what is written.
pub(super) struct Counted<W> {
    writer: W,
    bytes: u64,
    hash: Option<Sha256>,
}

impl<W: Write> Counted<W> {
    pub(super) fn new(writer: W, hashed: bool) -> Self {
        Self {
            writer,
            bytes: 0,
            hash: hashed.then(Sha256::new),
        }
    }

    pub(super) fn finish(self, path: String) -> WrittenFile {
        WrittenFile {
            path,
            bytes: self.bytes,
            sha256: self
                .hash
                .map(|hash| hex(&hash.finalize()))
                .unwrap_or_default(),
        }
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.bytes += written as u64;
        if let Some(hash) = &mut self.hash {
            hash.update(&bytes[..written]);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
