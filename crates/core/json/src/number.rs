//! Numbers as ECMAScript has them.

use crate::{FaultKind, fault::shorten};

/// The double that ECMAScript reads.
///
/// # Errors
///
/// When it prints as another number: digits a double cannot hold, infinity (printed as `null`), or a negative zero.
pub(crate) fn ecmascript(text: &str) -> Result<f64, FaultKind> {
    let double: f64 = text.parse().expect("JSON numbers are a subset of Rust's");
    let mut buffer = ryu_js::Buffer::new();
    let printed = if double.is_finite() {
        buffer.format_finite(double)
    } else {
        "null"
    };
    if double.is_finite() && Decimal::of(text) == Decimal::of(printed) {
        return Ok(double);
    }
    Err(FaultKind::NumberChanges {
        number: shorten(text),
        becomes: printed.to_owned(),
    })
}

/// The exact value of a number: its sign, its digits without zeros at either end, and the power of ten of the first.
#[derive(PartialEq, Eq)]
struct Decimal {
    is_negative: bool,
    digits: Vec<u8>,
    magnitude: i64,
}

impl Decimal {
    fn of(text: &str) -> Self {
        let unsigned = text.strip_prefix('-');
        let is_negative = unsigned.is_some();
        let unsigned = unsigned.unwrap_or(text);
        let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        let significant = digits.iter().rposition(|digit| *digit != b'0');
        digits.truncate(significant.map_or(0, |last| last + 1));
        digits.drain(..zeros.min(digits.len()));
        let magnitude = if digits.is_empty() {
            0
        } else {
            // An exponent too long to read belongs to a number that is infinite or zero as a double.
            let exponent = exponent.parse().unwrap_or(i64::MAX / 2);
            exponent
                .saturating_add_unsigned(whole.len() as u64)
                .saturating_sub_unsigned(zeros as u64)
        };
        Self {
            is_negative,
            digits,
            magnitude,
        }
    }
}

/// Whether the text is an integer so short that it is its own ECMAScript form.
pub(crate) fn is_plain_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.len() <= 15 && text != "-0" && digits.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_same_value_are_respelled() {
        for (text, expected) in [
            ("0", "0"),
            ("0.000", "0"),
            ("0e5", "0"),
            ("0E-99999999999999999999", "0"),
            ("87.0", "87"),
            ("1.50", "1.5"),
            ("100e-2", "1"),
            ("1e5", "100000"),
            ("1e20", "100000000000000000000"),
            ("1E21", "1e+21"),
            ("1e-6", "0.000001"),
            ("0.0000001", "1e-7"),
            ("1e-07", "1e-7"),
            ("9007199254740991", "9007199254740991"),
            ("9007199254740992", "9007199254740992"),
            ("-1.7976931348623157e308", "-1.7976931348623157e+308"),
            ("0.1", "0.1"),
        ] {
            let double = ecmascript(text).unwrap();
            assert_eq!(ryu_js::Buffer::new().format(double), expected, "{text}");
        }
    }

    #[test]
    fn numbers_that_would_become_others_are_refused() {
        for (text, expected) in [
            ("-0", "0"),
            ("-0.0e3", "0"),
            ("9007199254740993", "9007199254740992"),
            ("18446744073709551615", "18446744073709552000"),
            ("3.14159265358979312", "3.141592653589793"),
            ("123456789012345678901", "123456789012345680000"),
            ("1e309", "null"),
            ("-1e400", "null"),
            ("1e-400", "0"),
            ("1e-99999999999999999999", "0"),
            ("4.9e-324", "5e-324"),
            ("0.1000000000000000055511151231257827", "0.1"),
        ] {
            let Err(FaultKind::NumberChanges { becomes, .. }) = ecmascript(text) else {
                panic!("{text} passed")
            };
            assert_eq!(becomes, expected, "{text}");
        }
    }

    #[test]
    fn short_integers_need_no_arithmetic() {
        for (text, plain) in [
            ("0", true),
            ("-12", true),
            ("999999999999999", true),
            ("1000000000000000", false),
            ("-0", false),
            ("1.0", false),
            ("1e3", false),
        ] {
            assert_eq!(is_plain_integer(text), plain, "{text}");
        }
    }
}
