//! Numbers as text.

/// A percentage with one decimal, as the paper prints errors.
pub(super) fn percent(value: f64) -> String {
    if value.is_finite() {
        format!("{value:.1}")
    } else {
        "not a number".into()
    }
}

/// An interval of percentages.
pub(super) fn interval((low, high): (f64, f64)) -> String {
    format!("{}–{}", percent(low), percent(high))
}

/// A small number: `1.2e-6`.
pub(super) fn scientific(value: f64) -> String {
    if value == 0.0 {
        "0".into()
    } else if value.is_nan() {
        "NaN".into()
    } else {
        format!("{value:.1e}")
    }
}

/// A whole number in groups of three: `42,679,816`.
pub(super) fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// [`thousands`] of a count.
pub(super) fn count(value: usize) -> String {
    thousands(value as u64)
}

/// A count with its noun, in the plural where that is due.
pub(super) fn counted(value: usize, noun: &str) -> String {
    let plural = if value == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(value))
}

/// A duration: `42.5 s`, `3 min 20 s`, `2 h 5 min`.
pub(super) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".into();
    }
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    if whole < 3600 {
        format!("{} min {} s", whole / 60, whole % 60)
    } else {
        let minutes = (whole + 30) / 60;
        format!("{} h {} min", minutes / 60, minutes % 60)
    }
}

/// A list in a sentence: `a, b and c`.
pub(super) fn list<S: AsRef<str>>(items: &[S]) -> String {
    match items {
        [] => "none".into(),
        [one] => one.as_ref().into(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", first.join(", "), last.as_ref())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        assert_eq!(
            [0, 7, 999, 1000, 42_679_816].map(thousands),
            ["0", "7", "999", "1,000", "42,679,816"]
        );
        assert_eq!(
            [4.949, 5.0, f64::NAN].map(percent),
            ["4.9", "5.0", "not a number"]
        );
        assert_eq!(
            [0.0, 1.23e-6, 3.0].map(scientific),
            ["0", "1.2e-6", "3.0e0"]
        );
        assert_eq!(
            [0.25, 59.96, 119.6, 7500.0, f64::NAN].map(duration),
            ["0.2 s", "1 min 0 s", "2 min 0 s", "2 h 5 min", "–"]
        );
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
        assert_eq!(
            counted(1, "image") + &counted(2, "image"),
            "1 image2 images"
        );
    }
}
