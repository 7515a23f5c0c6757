//! Sets of HTTP status codes, as profiles write them: `200`, `2xx`, `200-204`.

use std::{fmt, str::FromStr};

/// A set of HTTP status codes.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct StatusSet(Vec<(u16, u16)>);

/// A text that is no status code, class or range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "status `{0}` is not one; write a code (`200`), a class (`2xx`) or a range (`200-204`) within 100 to 599"
)]
pub struct StatusSetError(String);

impl StatusSet {
    /// Whether the status is in the set.
    pub fn contains(&self, status: u16) -> bool {
        self.0
            .iter()
            .any(|(low, high)| (*low..=*high).contains(&status))
    }

    /// The set of everything the texts name.
    pub fn try_from_texts<'a>(
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, StatusSetError> {
        texts
            .into_iter()
            .map(parse_range)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn parse_range(text: &str) -> Result<(u16, u16), StatusSetError> {
    let refused = || StatusSetError(text.to_owned());
    let code = |text: &str| {
        u16::from_str(text)
            .ok()
            .filter(|code| (100..=599).contains(code))
            .ok_or_else(refused)
    };
    if let Some(class) = text.strip_suffix("xx") {
        let low = code(&format!("{class}00"))?;
        return Ok((low, low + 99));
    }
    match text.split_once('-') {
        Some((low, high)) => {
            let range = (code(low)?, code(high)?);
            if range.0 <= range.1 {
                Ok(range)
            } else {
                Err(refused())
            }
        }
        None => code(text).map(|code| (code, code)),
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (low, high)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            match (low, high) {
                _ if low == high => write!(f, "{low}")?,
                _ if low % 100 == 0 && high - low == 99 => write!(f, "{}xx", low / 100)?,
                _ => write!(f, "{low}-{high}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StatusSet({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_classes_and_ranges() {
        let set = StatusSet::try_from_texts(["200", "3xx", "410-412"]).unwrap();
        for (status, expected) in [
            (200, true),
            (201, false),
            (300, true),
            (399, true),
            (400, false),
            (411, true),
            (413, false),
        ] {
            assert_eq!(set.contains(status), expected, "{status}");
        }
        assert_eq!(set.to_string(), "200, 3xx, 410-412");
    }

    #[test]
    fn what_is_no_status_is_refused() {
        for text in [
            "", "20", "xx", "0xx", "6xx", "204-200", "2xx-3xx", "+200x", "99999",
        ] {
            assert!(StatusSet::try_from_texts([text]).is_err(), "{text}");
        }
    }
}
