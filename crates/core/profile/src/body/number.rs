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

    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) if a == b => return Ordering::Equal,
            _ => {}
        }
        if let (Some(a), Some(b)) = (self.as_int(), other.as_int()) {
            return a.cmp(&b);
        }
        // As in jq, what is not a number comes before all that are, and is not equal to itself.
        self.as_float()
            .partial_cmp(&other.as_float())
            .unwrap_or(Ordering::Less)
    }
}
