//! Numbers: as written until somebody calculates with them.

use std::{cmp::Ordering, rc::Rc};

/// A number.
#[derive(Debug, Clone)]
pub(super) enum Num {
    /// As the producer, or the filter, wrote it.
    Text(Rc<str>),
    /// The result of a calculation.
    Int(isize),
    /// The result of a calculation.
    Float(f64),
}

impl Num {
    /// The whole number that it is, if it fits.
    pub(super) fn as_int(&self) -> Option<isize> {
        match self {
            Self::Text(text) => text.parse().ok(),
            Self::Int(int) => Some(*int),
            Self::Float(_) => None,
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a double is what is asked for")]
    pub(super) fn as_float(&self) -> f64 {
        match self {
            Self::Text(text) => text.parse().unwrap_or(f64::NAN),
            Self::Int(int) => *int as f64,
            Self::Float(float) => *float,
        }
    }

    /// Calculates with whole numbers where both are and the result is, else with doubles.
    pub(super) fn calculate(
        &self,
        other: &Self,
        ints: impl Fn(isize, isize) -> Option<isize>,
        floats: impl Fn(f64, f64) -> f64,
    ) -> Self {
        match (self.as_int(), other.as_int()) {
            (Some(a), Some(b)) => ints(a, b).map(Self::Int),
            _ => None,
        }
        .unwrap_or_else(|| Self::Float(floats(self.as_float(), other.as_float())))
    }

    /// Writes it; nothing when JSON has no such number.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Option<()> {
        match self {
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
            Self::Int(int) => out.extend_from_slice(int.to_string().as_bytes()),
            Self::Float(float) if float.is_finite() => {
                out.extend_from_slice(ryu_js::Buffer::new().format_finite(*float).as_bytes());
            }
            Self::Float(_) => return None,
        }
        Some(())
    }

    /// The order of the values, exact also between whole numbers and doubles; as in jq, what is not a number comes first.
    ///
    /// A total order: sorting would panic on any other.
    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        if let (Some(a), Some(b)) = (self.as_int(), other.as_int()) {
            return a.cmp(&b);
        }
        let (a, b) = (self.as_float(), other.as_float());
        let by_doubles = a
            .partial_cmp(&b)
            .unwrap_or_else(|| b.is_nan().cmp(&a.is_nan()));
        // A whole number may be rounded to the double it is compared with, and is not equal to it then.
        by_doubles.then_with(|| self.whole().cmp(&other.whole()))
    }

    /// The whole part, exact for whole numbers.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the whole part is what is asked for"
    )]
    fn whole(&self) -> i128 {
        match self.as_int() {
            Some(int) => int as i128,
            None => self.as_float() as i128,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_order_is_exact() {
        let text = |text: &str| Num::Text(text.into());
        for (a, b, expected) in [
            (text("1.0"), Num::Int(1), Ordering::Equal),
            (
                text("9007199254740993"),
                Num::Float(9_007_199_254_740_992.0),
                Ordering::Greater,
            ),
            (
                text("9007199254740993"),
                text("9007199254740992"),
                Ordering::Greater,
            ),
            (text("-1e400"), text("-5"), Ordering::Less),
            (Num::Float(f64::NAN), text("-1e400"), Ordering::Less),
            (text("0"), Num::Float(f64::NAN), Ordering::Greater),
            (Num::Float(f64::NAN), Num::Float(f64::NAN), Ordering::Equal),
        ] {
            assert_eq!(a.cmp(&b), expected, "{a:?} {b:?}");
            assert_eq!(b.cmp(&a), expected.reverse(), "{b:?} {a:?}");
        }
    }

    fn number() -> impl Strategy<Value = Num> {
        let near = 9_007_199_254_740_992_isize;
        prop_oneof![
            (near - 3..near + 3).prop_map(Num::Int),
            (near - 3..near + 3).prop_map(|int| Num::Text(format!("{int}.0").into())),
            (near - 3..near + 3).prop_map(|int| Num::Text(int.to_string().into())),
            Just(Num::Float(f64::NAN)),
            Just(Num::Float(f64::INFINITY)),
            Just(Num::Text("1e400".into())),
        ]
    }

    proptest! {
        #[test]
        fn the_order_is_total(a in number(), b in number(), c in number()) {
            prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            if a.cmp(&b) == b.cmp(&c) {
                prop_assert_eq!(a.cmp(&c), a.cmp(&b));
            }
        }
    }
}
