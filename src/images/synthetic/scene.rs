//! One synthetic image: a cluttered background, an object somewhere on it, light and noise.
use super::random::Random;
use super::shapes::{SHAPES, Tone};
use crate::images::RgbImage;
use libm::{cosf, fabsf, floorf, sinf};

type Colour = [f32; 3];

/// Samples per pixel and axis along an object's edges.
const SUBSAMPLES: u32 = 3;

/// Draws an image of `class` (an index into the classes) from a stream of its own.
pub(super) fn draw(class: usize, random: &mut Random) -> RgbImage {
    let (width, height) = size(random);
    let light_ground = random.chance(0.5);
    let mut canvas = background(width, height, light_ground, random);
    let count = 5 + random.below(9);
    for _ in 0..count {
        distractor(&mut canvas, random);
    }
    object(&mut canvas, class, light_ground, random);
    finish(canvas, random)
}

struct Canvas {
    width: u32,
    height: u32,
    pixels: Vec<Colour>,
}

impl Canvas {
    fn shorter(&self) -> f32 {
        self.width.min(self.height) as f32
    }

    fn blend(&mut self, x: u32, y: u32, colour: Colour, opacity: f32) {
        let pixel = &mut self.pixels[(y * self.width + x) as usize];
        for (value, new) in pixel.iter_mut().zip(colour) {
            *value += (new - *value) * opacity;
        }
    }

    /// The pixels within `reach` of a point.
    fn around(&self, x: f32, y: f32, reach: f32) -> impl Iterator<Item = (u32, u32)> + use<> {
        let clip = |value: f32, side: u32| value.max(0.0).min(side as f32) as u32;
        let (left, right) = (
            clip(x - reach, self.width),
            clip(x + reach + 1.0, self.width),
        );
        let (top, lower) = (
            clip(y - reach, self.height),
            clip(y + reach + 1.0, self.height),
        );
        (top..lower).flat_map(move |y| (left..right).map(move |x| (x, y)))
    }
}

/// A fifth of the images are square, the others as often upright as not, up to 1.7 to 1.
fn size(random: &mut Random) -> (u32, u32) {
    let shorter = random.between(96.0, 225.0);
    let aspect = if random.chance(0.2) {
        1.0
    } else {
        random.between(1.05, 1.7)
    };
    let (shorter, longer) = (shorter as u32, (shorter * aspect).min(320.0) as u32);
    if random.chance(0.5) {
        (shorter, longer)
    } else {
        (longer, shorter)
    }
}

fn luminance(colour: Colour) -> f32 {
    0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
}

/// Any hue, at a luminance between the bounds (0 to 255).
fn colour(random: &mut Random, low: f32, high: f32) -> Colour {
    let wanted = random.between(low, high);
    let any = [random.unit(), random.unit(), random.unit()].map(|v| 30.0 + 225.0 * v);
    let shift = wanted / luminance(any);
    // Scaling keeps the hue; what it would push past white is given back to all channels.
    let scaled = any.map(|v| (v * shift).min(255.0));
    let rest = wanted - luminance(scaled);
    scaled.map(|v| (v + rest).clamp(0.0, 255.0))
}

/// Values between -1 and 1 that vary over about `cell` pixels.
struct SmoothNoise {
    columns: u32,
    cell: f32,
    values: Vec<f32>,
}

impl SmoothNoise {
    fn new(width: u32, height: u32, cell: f32, random: &mut Random) -> Self {
        let count = |side: u32| (side as f32 / cell) as u32 + 2;
        let (columns, rows) = (count(width), count(height));
        let values = (0..columns * rows)
            .map(|_| random.between(-1.0, 1.0))
            .collect();
        Self {
            columns,
            cell,
            values,
        }
    }

    fn at(&self, x: u32, y: u32) -> f32 {
        let split = |v: u32| {
            let position = v as f32 / self.cell;
            let part = position - floorf(position);
            (position as u32, part * part * (3.0 - 2.0 * part))
        };
        let ((column, right), (row, down)) = (split(x), split(y));
        let value = |column, row| self.values[(row * self.columns + column) as usize];
        let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
        let upper = mix(value(column, row), value(column + 1, row), right);
        let lower = mix(value(column, row + 1), value(column + 1, row + 1), right);
        mix(upper, lower, down)
    }
}

/// A gradient between four corners under two layers of smooth noise.
fn background(width: u32, height: u32, light: bool, random: &mut Random) -> Canvas {
    let (low, high) = if light { (145.0, 215.0) } else { (35.0, 105.0) };
    let corners: [Colour; 4] = std::array::from_fn(|_| colour(random, low, high));
    let (coarse_cell, fine_cell) = (random.between(24.0, 60.0), random.between(5.0, 14.0));
    let coarse = SmoothNoise::new(width, height, coarse_cell, random);
    let fine = SmoothNoise::new(width, height, fine_cell, random);
    let (coarse_depth, fine_depth) = (random.between(8.0, 26.0), random.between(3.0, 15.0));
    let mut pixels = Vec::with_capacity((width * height) as usize);
    for y in 0..height {
        for x in 0..width {
            let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
            let noise = coarse.at(x, y) * coarse_depth + fine.at(x, y) * fine_depth;
            pixels.push(std::array::from_fn(|c| {
                let upper = corners[0][c] + (corners[1][c] - corners[0][c]) * u;
                let lower = corners[2][c] + (corners[3][c] - corners[2][c]) * u;
                upper + (lower - upper) * v + noise
            }));
        }
    }
    Canvas {
        width,
        height,
        pixels,
    }
}

/// A small blob or a thin line that says nothing about the class.
fn distractor(canvas: &mut Canvas, random: &mut Random) {
    let shorter = canvas.shorter();
    let (x, y) = (
        random.unit() * canvas.width as f32,
        random.unit() * canvas.height as f32,
    );
    let paint = colour(random, 20.0, 235.0);
    let opacity = random.between(0.25, 0.75);
    let (length, thickness) = if random.chance(0.5) {
        let size = random.between(0.015, 0.05) * shorter;
        (random.between(0.0, 1.2) * size, size)
    } else {
        (
            random.between(0.08, 0.3) * shorter,
            random.between(0.6, 1.4),
        )
    };
    let turn = random.between(0.0, std::f32::consts::PI);
    let (along_x, along_y) = (cosf(turn), sinf(turn));
    for (px, py) in canvas.around(x, y, length + thickness + 1.0) {
        let (dx, dy) = (px as f32 + 0.5 - x, py as f32 + 0.5 - y);
        let along = (fabsf(dx * along_x + dy * along_y) - length).max(0.0);
        let across = dx * along_y - dy * along_x;
        let distance = libm::sqrtf(along * along + across * across);
        // A pixel's width of transition is antialiasing enough for clutter.
        let cover = (thickness - distance + 0.5).clamp(0.0, 1.0);
        canvas.blend(px, py, paint, cover * opacity);
    }
}

fn object(canvas: &mut Canvas, class: usize, light_ground: bool, random: &mut Random) {
    let shape = SHAPES[class].1;
    let radius = random.between(0.25, 0.44) * canvas.shorter();
    // At most a sixth of the radius is outside the image.
    let place =
        |side: u32, random: &mut Random| random.between(radius * 0.85, side as f32 - radius * 0.85);
    let (x, y) = (place(canvas.width, random), place(canvas.height, random));
    let turn = random.between(-0.38, 0.38);
    let stretch = random.between(0.86, 1.16);
    let flip = if random.chance(0.5) { -1.0 } else { 1.0 };
    // The first colour stands out from the ground, the second from the first.
    let contrasting = |light: bool, random: &mut Random| {
        if light {
            colour(random, 175.0, 245.0)
        } else {
            colour(random, 12.0, 70.0)
        }
    };
    let first = contrasting(!light_ground, random);
    let second = contrasting(light_ground, random);
    // Light falls from one side.
    let (light_x, light_y) = (random.between(-0.22, 0.22), random.between(-0.22, 0.22));
    let (cosine, sine) = (cosf(turn), sinf(turn));
    let share = 1.0 / (SUBSAMPLES * SUBSAMPLES) as f32;
    for (px, py) in canvas.around(x, y, radius * 1.45) {
        let (mut first_cover, mut second_cover) = (0.0, 0.0);
        for sample in 0..SUBSAMPLES * SUBSAMPLES {
            let inside = |index: u32| (index as f32 + 0.5) / SUBSAMPLES as f32;
            let dx = (px as f32 + inside(sample % SUBSAMPLES) - x) / radius;
            let dy = (py as f32 + inside(sample / SUBSAMPLES) - y) / radius;
            let (u, v) = (dx * cosine + dy * sine, dy * cosine - dx * sine);
            match shape(u * flip * stretch, v / stretch) {
                Tone::Nothing => {}
                Tone::First => first_cover += share,
                Tone::Second => second_cover += share,
            }
        }
        let (dx, dy) = ((px as f32 - x) / radius, (py as f32 - y) / radius);
        let shade = 1.0 + light_x * dx + light_y * dy;
        let covered = first_cover + second_cover;
        if covered > 0.0 {
            let mixed = std::array::from_fn(|c| {
                (first[c] * first_cover + second[c] * second_cover) / covered * shade
            });
            canvas.blend(px, py, mixed, covered);
        }
    }
}

/// Camera noise, and bytes.
fn finish(canvas: Canvas, random: &mut Random) -> RgbImage {
    let deviation = random.between(2.0, 8.0);
    let mut image = RgbImage::filled(canvas.width, canvas.height, [0; 3]);
    for (bytes, pixel) in image.pixels_mut().chunks_exact_mut(3).zip(canvas.pixels) {
        for (byte, value) in bytes.iter_mut().zip(pixel) {
            *byte = (value + deviation * random.normal() + 0.5).clamp(0.0, 255.0) as u8;
        }
    }
    image
}
