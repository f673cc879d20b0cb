//! The classes of the synthetic dataset: what stands where, in an object's own coordinates.
//!
//! x grows to the right, y downwards, and an object fills about the unit disc. Angles and powers come
//! from the portable `libm`, since the platform's own may differ in the last bit.
use libm::{atan2f, cosf, fabsf, floorf, sinf, sqrtf};
use std::f32::consts::{PI, TAU};

/// What an object shows at a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// Not the object.
    Nothing,
    /// Its first colour.
    First,
    /// Its second colour.
    Second,
}

type Shape = fn(f32, f32) -> Tone;

/// The classes in the order in which they are taken: a dataset of n classes has the first n.
pub(super) const SHAPES: [(&str, Shape); 24] = [
    ("disc", |x, y| solid(radius(x, y) < 0.85)),
    ("ring", |x, y| solid((0.56..0.92).contains(&radius(x, y)))),
    ("square", |x, y| solid(box_radius(x, y) < 0.74)),
    ("triangle", |x, y| {
        solid(y < 0.7 && fabsf(x) < (y + 0.85) * 0.6)
    }),
    ("star", star),
    ("cross", |x, y| {
        solid(box_radius(x, y) < 0.85 && fabsf(x).min(fabsf(y)) < 0.27)
    }),
    ("crescent", |x, y| {
        solid(radius(x, y) < 0.9 && radius(x - 0.42, y) > 0.72)
    }),
    ("stripes", |x, y| {
        patch(box_radius(x, y) < 0.8, y * 3.4 + 0.5)
    }),
    ("checker", |x, y| {
        patch(box_radius(x, y) < 0.8, floorf(x * 2.5) + floorf(y * 2.5))
    }),
    ("spiral", spiral),
    ("arrow", arrow),
    ("heart", heart),
    ("target", |x, y| {
        patch(radius(x, y) < 0.92, radius(x, y) * 4.9)
    }),
    ("dots", dots),
    ("hourglass", |x, y| {
        solid(fabsf(y) < 0.85 && fabsf(x) < fabsf(y) * 0.75 + 0.06)
    }),
    ("zigzag", zigzag),
    ("frame", |x, y| {
        solid((0.5..0.84).contains(&box_radius(x, y)))
    }),
    ("pinwheel", pinwheel),
    ("ladder", ladder),
    ("half_disc", |x, y| {
        solid(radius(x, y + 0.35) < 0.92 && y > -0.35)
    }),
    ("flower", flower),
    ("gear", gear),
    ("chevron", chevron),
    ("drop", drop),
];

fn solid(inside: bool) -> Tone {
    if inside { Tone::First } else { Tone::Nothing }
}

/// Two tones in turn, by whether the floor of `band` is even.
fn patch(inside: bool, band: f32) -> Tone {
    match inside {
        false => Tone::Nothing,
        true if floorf(band) as i32 & 1 == 0 => Tone::First,
        true => Tone::Second,
    }
}

fn radius(x: f32, y: f32) -> f32 {
    sqrtf(x * x + y * y)
}

fn box_radius(x: f32, y: f32) -> f32 {
    fabsf(x).max(fabsf(y))
}

/// The angle folded into one of `parts` equal sectors, in [-PI / parts, PI / parts); 0 points upwards.
fn sector(x: f32, y: f32, parts: f32) -> f32 {
    let angle = atan2f(x, -y);
    angle - TAU / parts * floorf(angle * parts / TAU + 0.5)
}

/// Five points: in each sector the area below the line from the tip (radius 0.98) to the notch (0.4).
fn star(x: f32, y: f32) -> Tone {
    let (radius, angle) = (radius(x, y), fabsf(sector(x, y, 5.0)));
    let (tip, notch) = (0.98, 0.4);
    let (along, across) = (radius * cosf(angle), radius * sinf(angle));
    let (notch_along, notch_across) = (notch * cosf(PI / 5.0), notch * sinf(PI / 5.0));
    solid((tip - along) * notch_across > across * (tip - notch_along))
}

/// Two and a quarter turns of an Archimedean spiral.
fn spiral(x: f32, y: f32) -> Tone {
    let (radius, angle) = (radius(x, y), (atan2f(y, x) + PI) / TAU);
    let pitch = 0.4;
    let turn = floorf(radius / pitch - angle + 0.5);
    let distance = fabsf(radius - (turn + angle) * pitch);
    solid(radius < 0.95 && distance < 0.11 && turn >= 0.0)
}

fn arrow(x: f32, y: f32) -> Tone {
    let head = y > -0.92 && y < -0.05 && fabsf(x) < (y + 0.92) * 0.85;
    let shaft = (-0.1..0.9).contains(&y) && fabsf(x) < 0.25;
    solid(head || shaft)
}

/// (x^2 + y^2 - 1)^3 < x^2 y^3, upright and scaled to the unit disc.
fn heart(x: f32, y: f32) -> Tone {
    let (x, y) = (x * 1.28, 0.12 - y * 1.28);
    let inner = x * x + y * y - 1.0;
    solid(inner * inner * inner < x * x * y * y * y)
}

/// Three by three discs.
fn dots(x: f32, y: f32) -> Tone {
    let cell = |v: f32| v - 0.62 * floorf(v / 0.62 + 0.5);
    solid(box_radius(x, y) < 0.93 && radius(cell(x), cell(y)) < 0.22)
}

fn zigzag(x: f32, y: f32) -> Tone {
    let phase = x / 0.5 - floorf(x / 0.5);
    let wave = (fabsf(phase - 0.5) * 4.0 - 1.0) * 0.42;
    solid(fabsf(x) < 0.95 && fabsf(y - wave) < 0.3)
}

/// Four blades: one half of each quarter.
fn pinwheel(x: f32, y: f32) -> Tone {
    let angle = sector(x, y, 4.0);
    solid(radius(x, y) < 0.93 && angle > 0.0 && box_radius(x, y) < 0.8)
}

fn ladder(x: f32, y: f32) -> Tone {
    let rail = (0.38..0.6).contains(&fabsf(x));
    let rung = fabsf(x) < 0.5 && fabsf(y - 0.46 * floorf(y / 0.46 + 0.5)) < 0.09;
    solid(fabsf(y) < 0.95 && (rail || rung))
}

fn flower(x: f32, y: f32) -> Tone {
    let radius = radius(x, y);
    if radius < 0.24 {
        return Tone::Second;
    }
    solid(radius < 0.56 + 0.38 * cosf(6.0 * sector(x, y, 6.0)))
}

fn gear(x: f32, y: f32) -> Tone {
    let (radius, tooth) = (radius(x, y), fabsf(sector(x, y, 9.0)) < PI / 18.0);
    solid(radius > 0.3 && radius < if tooth { 0.95 } else { 0.68 })
}

/// A V upside down.
fn chevron(x: f32, y: f32) -> Tone {
    solid(fabsf(x) < 0.88 && fabsf(y + 0.45 - fabsf(x)) < 0.36)
}

/// A disc with a point above it.
fn drop(x: f32, y: f32) -> Tone {
    let cone = (-0.95..0.2).contains(&y) && fabsf(x) < (y + 0.95) * 0.53;
    solid(radius(x, y - 0.32) < 0.6 || cone)
}
