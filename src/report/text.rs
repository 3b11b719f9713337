//! Formatting of numbers for readers, and escaping of texts for HTML.

use std::ops::Range;

use crate::comparison::Mean;

/// A count with commas between thousands: `430,500`.
pub fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A fraction in percent with two decimals; `–` if it is not finite.
pub fn percent(fraction: f64) -> String {
    if fraction.is_finite() { format!("{:.2} %", 100.0 * fraction) } else { "–".into() }
}

/// A fraction in percent with at most three decimals and no trailing zeros: `99.95 %`.
pub fn short_percent(fraction: f64) -> String {
    let text = format!("{:.3}", 100.0 * fraction);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A loss with four decimals; `not finite` if training diverged.
pub fn loss(loss: f64) -> String {
    if loss.is_finite() { format!("{loss:.4}") } else { "not finite".into() }
}

/// A duration in seconds, minutes or hours.
pub fn seconds(seconds: f64) -> String {
    if !seconds.is_finite() {
        return "–".into();
    }
    let whole = seconds.round() as u64;
    match whole {
        0..120 => format!("{seconds:.2} s"),
        120..7200 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// The mean of fractions in percent ± their standard deviation if there are several.
pub fn mean_percent(fractions: &[f64]) -> String {
    let Mean { mean, deviation } = Mean::of(fractions);
    match deviation {
        Some(deviation) if mean.is_finite() => {
            format!("{:.2} ± {:.2} %", 100.0 * mean, 100.0 * deviation)
        }
        _ => percent(mean),
    }
}

/// Formats a positive number with two significant digits, as a multiple of a power of ten if it is small or large.
pub fn scientific(value: f64) -> String {
    number(value, -2..4)
}

/// Formats a positive number with two significant digits, as a multiple of a power of ten unless its exponent
/// is in `plain`.
pub fn number(value: f64, plain: Range<i32>) -> String {
    let text = format!("{value:.1e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    if plain.contains(&power) {
        let text = format!("{value:.0$}", (1 - power).max(0) as usize);
        return match text.split_once('.') {
            Some(_) => text.trim_end_matches('0').trim_end_matches('.').into(),
            None => text,
        };
    }
    match digits.trim_end_matches(".0") {
        "1" => format!("10{}", superscript(power)),
        digits => format!("{digits}·10{}", superscript(power)),
    }
}

fn superscript(power: i32) -> String {
    let digits: Vec<char> = "⁰¹²³⁴⁵⁶⁷⁸⁹".chars().collect();
    let power = power.to_string();
    let digit = |c: char| c.to_digit(10).map_or('⁻', |digit| digits[digit as usize]);
    power.chars().map(digit).collect()
}

/// Escapes a text for HTML elements and attributes. Control characters, which HTML forbids, are replaced by
/// U+FFFD.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\n' | '\t' => escaped.push(c),
            c if c.is_control() => escaped.push('\u{FFFD}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_formatted() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(430_500), "430,500");
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!(percent(0.98), "98.00 %");
        assert_eq!(percent(f64::NAN), "–");
        assert_eq!(short_percent(0.98), "98 %");
        assert_eq!(short_percent(0.9995), "99.95 %");
        assert_eq!(short_percent(0.0), "0 %");
        assert_eq!(scientific(3.24e-5), "3.2·10⁻⁵");
        assert_eq!(scientific(0.05), "0.05");
        assert_eq!(scientific(9.97), "10");
        assert_eq!(loss(f64::INFINITY), "not finite");
        assert_eq!(seconds(17.42), "17.42 s");
        assert_eq!(seconds(125.0), "2 min 5 s");
        assert_eq!(seconds(7260.0), "2 h 1 min");
        assert_eq!(seconds(f64::INFINITY), "–");
        assert_eq!(mean_percent(&[0.5]), "50.00 %");
        assert_eq!(mean_percent(&[0.5, 0.6]), "55.00 ± 7.07 %");
    }
}
