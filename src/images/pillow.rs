//! Pillow's resampling of 8-bit images, in its own arithmetic: weights computed in double precision and
//! rounded to 22 bits, first along the rows, rounded and clipped to 8 bits, then along the columns.
//! (Pillow up to 12.3; 13.0 goes along the columns first where that takes fewer steps.)
use super::RgbImage;
use super::resize::SourceBox;

/// Bits after the binary point of a weight: 32 less 8 for the value and 2 for overshoot.
const PRECISION: u32 = 32 - 8 - 2;
const HALF: i32 = 1 << (PRECISION - 1);

/// A filter's weight as a function of the distance in (source, when shrinking output) pixels.
#[derive(Clone, Copy)]
pub(super) struct Kernel {
    weight: fn(f64) -> f64,
    /// Beyond this distance the weight is zero.
    radius: f64,
}

impl Kernel {
    pub(super) const BILINEAR: Self = Self {
        weight: triangle,
        radius: 1.0,
    };
    pub(super) const BICUBIC: Self = Self {
        weight: cubic,
        radius: 2.0,
    };
}

fn triangle(distance: f64) -> f64 {
    (1.0 - distance.abs()).max(0.0)
}

/// Keys' cubic with a = -0.5.
fn cubic(distance: f64) -> f64 {
    const A: f64 = -0.5;
    let x = distance.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// What one output position takes from the source: weights from position `first` on.
struct Tap {
    first: usize,
    weights: std::ops::Range<usize>,
}

/// The weights of all output positions along one axis.
struct Taps {
    taps: Vec<Tap>,
    weights: Vec<i32>,
}

impl Taps {
    /// `from..to` of a source of `length` pixels, to `outputs` pixels. A box is of single precision in
    /// Pillow, hence here.
    fn new(length: u32, from: f32, to: f32, outputs: u32, kernel: Kernel) -> Self {
        let scale = f64::from(to - from) / f64::from(outputs);
        let widening = scale.max(1.0);
        let radius = kernel.radius * widening;
        let narrowing = 1.0 / widening;
        let mut all = Self {
            taps: Vec::with_capacity(outputs as usize),
            weights: Vec::new(),
        };
        let mut exact = Vec::new();
        for output in 0..outputs {
            let centre = f64::from(from) + (f64::from(output) + 0.5) * scale;
            // Casts to integers truncate and saturate at zero.
            let first = (centre - radius + 0.5) as u32;
            let last = ((centre + radius + 0.5) as u32).min(length);
            exact.clear();
            exact.extend(
                (first..last).map(|position| {
                    (kernel.weight)((f64::from(position) - centre + 0.5) * narrowing)
                }),
            );
            let sum: f64 = exact.iter().sum();
            let start = all.weights.len();
            all.weights.extend(exact.iter().map(|&weight| {
                let weight = if sum == 0.0 { weight } else { weight / sum };
                (weight * f64::from(1 << PRECISION) + 0.5f64.copysign(weight)) as i32
            }));
            let weights = start..all.weights.len();
            all.taps.push(Tap {
                first: first as usize,
                weights,
            });
        }
        all
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        self.taps
            .iter()
            .map(|tap| (tap.first, &self.weights[tap.weights.clone()]))
    }

    /// The source positions used, from the first to one past the last.
    fn span(&self) -> (usize, usize) {
        let first = self.taps.first().map_or(0, |tap| tap.first);
        (
            first,
            self.taps
                .last()
                .map_or(0, |tap| tap.first + tap.weights.len()),
        )
    }
}

fn clipped(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// Resizes the box to `size` (width, height); the caller has checked the box and the output's length.
pub(super) fn resample(
    image: &RgbImage,
    source: SourceBox,
    size: (u32, u32),
    kernel: Kernel,
    between: &mut Vec<u8>,
    output: &mut [u8],
) {
    let (left, top) = (source.left as f32, source.top as f32);
    let right = (source.left + source.width) as f32;
    let lower = (source.top + source.height) as f32;
    // A pass that would change nothing is left out, as Pillow does.
    let untouched = |from: f32, to: f32, length: u32, outputs: u32| {
        from == 0.0 && to == length as f32 && outputs == length
    };
    let across = !untouched(left, right, image.width(), size.0);
    let down = !untouched(top, lower, image.height(), size.1);
    let horizontal = across.then(|| Taps::new(image.width(), left, right, size.0, kernel));
    let vertical = down.then(|| Taps::new(image.height(), top, lower, size.1, kernel));
    let stride = image.width() as usize * 3;
    match (horizontal, vertical) {
        (None, None) => output.copy_from_slice(image.pixels()),
        (Some(taps), None) => along_rows(image.pixels(), stride, &taps, size.0, output),
        (None, Some(taps)) => along_columns(image.pixels(), stride, 0, &taps, output),
        (Some(horizontal), Some(vertical)) => {
            // Only the rows that the second pass looks at.
            let (first, last) = vertical.span();
            let narrow = size.0 as usize * 3;
            between.resize((last - first) * narrow, 0);
            let rows = &image.pixels()[first * stride..last * stride];
            along_rows(rows, stride, &horizontal, size.0, between);
            along_columns(between, narrow, first, &vertical, output);
        }
    }
}

fn along_rows(rows: &[u8], stride: usize, taps: &Taps, width: u32, output: &mut [u8]) {
    for (row, to) in rows
        .chunks_exact(stride)
        .zip(output.chunks_exact_mut(width as usize * 3))
    {
        for ((first, weights), pixel) in taps.iter().zip(to.chunks_exact_mut(3)) {
            let mut sums = [HALF; 3];
            for (from, &weight) in row[first * 3..].chunks_exact(3).zip(weights) {
                for (sum, &value) in sums.iter_mut().zip(from) {
                    *sum += i32::from(value) * weight;
                }
            }
            for (value, sum) in pixel.iter_mut().zip(sums) {
                *value = clipped(sum);
            }
        }
    }
}

/// `offset`: which row of the source the first of `rows` is.
fn along_columns(rows: &[u8], stride: usize, offset: usize, taps: &Taps, output: &mut [u8]) {
    let mut sums = vec![0; stride];
    for ((first, weights), to) in taps.iter().zip(output.chunks_exact_mut(stride)) {
        sums.fill(HALF);
        let used = &rows[(first - offset) * stride..];
        for (row, &weight) in used.chunks_exact(stride).zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += i32::from(value) * weight;
            }
        }
        for (value, &sum) in to.iter_mut().zip(&sums) {
            *value = clipped(sum);
        }
    }
}
