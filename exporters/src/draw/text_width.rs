//! How wide a text may become. No font is embedded, so the viewer picks one; every box is made for the widest.

/// Advance widths of the printable ASCII characters in hundredths of the font size, the larger of DejaVu Sans 2.37 and
/// Liberation Sans 2.1 (as wide as Arial and Helvetica). Verdana is as wide as DejaVu Sans.
const ADVANCE: [u8; 95] = [
    32, 41, 46, 84, 64, 96, 78, 28, 40, 40, 50, 84, 32, 37, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64,
    64, 64, 34, 34, 84, 84, 84, 56, 102, 69, 69, 73, 78, 67, 62, 78, 76, 30, 50, 67, 56, 87, 75,
    79, 67, 79, 73, 67, 62, 74, 69, 99, 69, 67, 69, 40, 34, 40, 84, 56, 50, 62, 64, 55, 64, 62, 36,
    64, 64, 28, 28, 58, 28, 98, 64, 62, 64, 64, 42, 53, 40, 64, 60, 82, 60, 60, 53, 64, 34, 64, 84,
];

/// No bold letter of the two is wider than this many times the same letter above.
const BOLD: f64 = 1.27;

/// The weight a text is set in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    /// As most text is.
    Regular,
    /// As headings are.
    Bold,
}

/// An upper bound of a text's width at `size`, in the unit of `size`. Characters outside ASCII count as one and a half em.
pub(super) fn text_width(text: &str, size: f64, weight: Weight) -> f64 {
    let hundredths: u32 = text
        .chars()
        .map(|character| {
            let place = (character as usize).checked_sub(0x20);
            let known = place.and_then(|place| ADVANCE.get(place));
            known.map_or(150, |&advance| u32::from(advance))
        })
        .sum();
    let factor = match weight {
        Weight::Regular => 1.0,
        Weight::Bold => BOLD,
    };
    f64::from(hundredths) / 100.0 * size * factor
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Texts as Chromium 148 lays them out: size, weight, widths in Liberation Sans and in DejaVu Sans.
    const MEASURED: [(&str, f64, Weight, f64, f64); 8] = [
        ("3x3 Conv (96)", 12.0, Weight::Regular, 75.38, 85.06),
        ("1x1 Conv", 12.0, Weight::Regular, 50.70, 56.62),
        ("(1792 Linear)", 12.0, Weight::Regular, 71.39, 81.02),
        ("Filter concat", 12.0, Weight::Regular, 65.36, 73.73),
        ("Relu activation", 12.0, Weight::Regular, 78.72, 89.38),
        (
            "inception_resnet_a, 35x35 grid",
            11.0,
            Weight::Regular,
            150.45,
            170.02,
        ),
        ("Last-Inception-ResNet-C", 13.0, Weight::Bold, 151.69, 178.0),
        (
            "Inception-ResNet-v2 (paper)",
            20.0,
            Weight::Bold,
            266.72,
            320.91,
        ),
    ];

    #[test]
    fn measured_widths_are_bounded_and_not_by_far() {
        for (text, size, weight, liberation, dejavu) in MEASURED {
            let bound = text_width(text, size, weight);
            let widest = f64::max(liberation, dejavu);
            assert!((widest..1.2 * widest).contains(&bound), "{text}: {bound}");
        }
    }

    #[test]
    fn every_character_has_a_width() {
        assert_eq!(text_width("W", 100.0, Weight::Regular), 99.0);
        assert_eq!(text_width("~", 100.0, Weight::Regular), 84.0);
        assert_eq!(text_width("\u{4e2d}\n", 10.0, Weight::Regular), 30.0);
        assert_eq!(text_width("", 12.0, Weight::Bold), 0.0);
    }
}
