use super::*;

/// The nearest of all numbers of a type, by trying each: the last resort of ties is the even one. Nothing of the code
/// under test is used but the meaning of the bits.
fn nearest_by_search(value: f64, infinity: u16, number: impl Fn(u16) -> f64) -> u16 {
    let magnitude = value.abs();
    // The numbers grow with their bits: the last one not above the value.
    let (mut below, mut above) = (0u16, infinity);
    while above - below > 1 {
        let middle = below + (above - below) / 2;
        if number(middle) <= magnitude {
            below = middle;
        } else {
            above = middle;
        }
    }
    let step_above = if above == infinity {
        // As if the exponents went on.
        2.0 * number(infinity - 1) - number(infinity - 2)
    } else {
        number(above)
    };
    // Both differences are exact: the numbers are close, and have few bits.
    let (down, up) = (magnitude - number(below), step_above - magnitude);
    let nearest = match down.total_cmp(&up) {
        std::cmp::Ordering::Less => below,
        std::cmp::Ordering::Greater => above,
        std::cmp::Ordering::Equal => below + (below & 1),
    };
    nearest | if value.is_sign_negative() { 0x8000 } else { 0 }
}

fn half_value(bits: u16, mantissa_bits: u32, bias: i32) -> f64 {
    let exponent = i32::from(bits >> mantissa_bits);
    let fraction = f64::from(bits & ((1 << mantissa_bits) - 1)) / f64::from(1 << mantissa_bits);
    match exponent {
        0 => fraction * 2f64.powi(1 - bias),
        exponent => (1.0 + fraction) * 2f64.powi(exponent - bias),
    }
}

/// Numbers on, beside and between those of a type: each of them, each middle, and both moved by as little as float64 and
/// by as little as float32 can.
fn hard_cases(infinity: u16, number: impl Fn(u16) -> f64) -> Vec<f64> {
    let mut cases = vec![0.0, -0.0];
    for bits in 0..infinity - 1 {
        let (low, high) = (number(bits), number(bits + 1));
        let middle = low + (high - low) / 2.0;
        for value in [low, middle] {
            let nudge = (high - low) * 2f64.powi(-20);
            cases.extend([
                value,
                value.next_up(),
                value.next_down(),
                value + nudge,
                -value,
            ]);
            cases.extend([(value as f32).next_up(), (value as f32).next_down()].map(f64::from));
        }
    }
    let largest = number(infinity - 1);
    let last_step = largest - number(infinity - 2);
    cases.extend([
        largest + 0.49 * last_step,
        (largest + 0.5 * last_step).next_down(),
        largest + 0.5 * last_step,
        largest * 4.0,
    ]);
    cases
}

fn rounds_as_by_search<T: Half>(mantissa_bits: u32, bias: i32) {
    let number = |bits: u16| half_value(bits, mantissa_bits, bias);
    let mut cases = hard_cases(T::INFINITY, number);
    let all = cases.len();
    assert!(all > 400_000);
    let mut rounding = Rounding::default();
    let mut rounded = vec![];
    for block in cases.chunks(BLOCK) {
        round_block::<T>(block, &mut rounded, &mut rounding);
    }
    let (mut zeros, mut overflows, mut subnormals) = (0, 0, 0);
    for (value, found) in cases.drain(..).zip(rounded) {
        let expected = nearest_by_search(value, T::INFINITY, number);
        let overflow = expected & 0x7fff == T::INFINITY;
        let expected = expected - u16::from(overflow);
        assert_eq!(
            found, expected,
            "{value:e}: expected {expected:#x}, found {found:#x}"
        );
        let lossy = number(expected & 0x7fff) != value.abs();
        zeros += u64::from(expected & 0x7fff == 0 && value != 0.0);
        overflows += u64::from(overflow);
        let below_normal = number(expected & 0x7fff) < 2f64.powi(1 - bias);
        subnormals += u64::from(expected & 0x7fff != 0 && below_normal && lossy);
    }
    assert_eq!((rounding.zeros, rounding.overflows), (zeros, overflows));
    assert_eq!(rounding.subnormals, subnormals);
    assert!(zeros > 0 && overflows == 2 && subnormals > 100);
}

#[test]
fn float16_is_the_nearest_of_all_its_numbers() {
    rounds_as_by_search::<f16>(10, 15);
}

#[test]
fn bfloat16_is_the_nearest_of_all_its_numbers() {
    rounds_as_by_search::<bf16>(7, 127);
}

#[test]
fn rounding_twice_would_differ() {
    // Just above the middle between two float16 numbers: float32 puts it on the middle, and the tie goes to the even one.
    let value = (1.0 + 2f64.powi(-11)).next_up();
    let twice = f16::from_f32(value as f32);
    let mut once = vec![];
    round_block::<f16>(&[value], &mut once, &mut Rounding::default());
    assert_eq!(twice.to_bits(), 0x3c00);
    assert_eq!(once, [0x3c01]);
}

#[test]
fn a_tensor_is_rounded_filter_by_filter() {
    let weight: Vec<f32> = (0..5000).map(|n| n as f32 * 0.37 - 900.0).collect();
    let factors = vec![1.0 / 3.0, -1e-9];
    let (encoded, rounding) = encode(
        Numbers::Scaled {
            weight: Cow::Borrowed(&weight),
            factors: factors.clone(),
        },
        ElementType::Float16,
        factors.len(),
    );
    let found: &[u16] = bytemuck::cast_slice(encoded.bytes());
    for (place, (&found, &value)) in found.iter().zip(&weight).enumerate() {
        let exact = f64::from(value) * factors[place / 2500];
        let expected = nearest_by_search(exact, 0x7c00, |bits| half_value(bits, 10, 15));
        assert_eq!(found, expected, "{place}");
    }
    assert_eq!(rounding.overflows, 0);
    assert!(rounding.zeros + rounding.subnormals == 2500, "{rounding:?}");
    assert_eq!(rounding.largest, 900.0 / 3.0);
}

#[test]
fn what_is_no_number_is_counted_and_what_overflows_is_clamped() {
    let values = vec![f64::NAN, f64::INFINITY, 65520.0, -1e300, 65519.999];
    let (encoded, rounding) = encode(Numbers::Computed(values), ElementType::Float16, 1);
    let found: &[u16] = bytemuck::cast_slice(encoded.bytes());
    assert_eq!(found[2..], [0x7bff, 0xfbff, 0x7bff]);
    assert_eq!((rounding.not_finite, rounding.overflows), (2, 2));
    let plain = Cow::Owned(vec![1.0, f32::INFINITY, f32::NAN, f32::MAX, -0.0]);
    let (_, rounding) = encode(Numbers::Plain(plain), ElementType::Float32, 1);
    assert_eq!(rounding.not_finite, 2);
}
