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

    #[test]
    fn known_widths_are_bounded() {
        // "3x3 Conv (96)" measures 83.41 at 12 in DejaVu Sans, as Chromium lays it out.
        let bound = text_width("3x3 Conv (96)", 12.0, Weight::Regular);
        assert!((83.41..90.0).contains(&bound), "{bound}");
        assert_eq!(text_width("W", 100.0, Weight::Regular), 99.0);
        assert_eq!(text_width("~", 100.0, Weight::Regular), 84.0);
        assert_eq!(text_width("\u{4e2d}\n", 10.0, Weight::Regular), 30.0);
        assert_eq!(text_width("", 12.0, Weight::Bold), 0.0);
    }
}
