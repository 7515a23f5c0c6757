//! What a scheme signs: literals around the id, the timestamp and the body.

use std::{fmt, str::FromStr};

/// The bytes that are signed, as a template: `{body}`, `{timestamp}.{body}`, `{id}.{timestamp}.{body}`, `v0:{timestamp}:{body}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedBytes(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    Literal(String),
    Id,
    Timestamp,
    Body,
    Signature,
}

/// Why a template cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its partner.
    #[error("`{0}` has a brace without its partner")]
    UnbalancedBrace(String),
    /// A placeholder nobody fills.
    #[error("`{{{name}}}` is not known here; known: {known}")]
    UnknownPlaceholder {
        /// What stood between the braces.
        name: String,
        /// What may stand there.
        known: &'static str,
    },
    /// A placeholder that must appear once does not, or more than once.
    #[error("`{template}` must contain `{{{name}}}` exactly once")]
    ExactlyOnce {
        /// The template as it came.
        template: String,
        /// The placeholder.
        name: &'static str,
    },
    /// `{id}{body}` signs the id `a` with the body `bc` like the id `ab` with the body `c`.
    #[error(
        "`{0}` has two placeholders without a literal between them, so that different requests would sign alike"
    )]
    Adjacent(String),
    /// A literal that cannot stand in a header.
    #[error("`{0}` contains a character that is not visible ASCII")]
    NotVisible(String),
}

impl Part {
    /// Reads literals and the placeholders that `known` lists.
    pub(crate) fn parse_all(
        text: &str,
        placeholders: &[(&str, Part)],
        known: &'static str,
    ) -> Result<Vec<Self>, TemplateError> {
        let unbalanced = || TemplateError::UnbalancedBrace(text.to_owned());
        let mut parts = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, after) = rest
                .split_once('{')
                .map_or((rest, None), |(l, a)| (l, Some(a)));
            if literal.contains('}') {
                return Err(unbalanced());
            }
            if !literal.is_empty() {
                parts.push(Self::Literal(literal.to_owned()));
            }
            let Some(after) = after else { break };
            let (name, after) = after.split_once('}').ok_or_else(unbalanced)?;
            let part = placeholders
                .iter()
                .find(|(placeholder, _)| *placeholder == name)
                .ok_or_else(|| TemplateError::UnknownPlaceholder {
                    name: name.to_owned(),
                    known,
                })?;
            parts.push(part.1.clone());
            rest = after;
        }
        Ok(parts)
    }

    /// Reads what is signed, as far as its form goes.
    pub(crate) fn parse_signed(text: &str) -> Result<Vec<Self>, TemplateError> {
        let placeholders = [
            ("id", Self::Id),
            ("timestamp", Self::Timestamp),
            ("body", Self::Body),
        ];
        Self::parse_all(text, &placeholders, "`{id}`, `{timestamp}`, `{body}`")
    }

    fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Literal(text) => text,
            Self::Id => "{id}",
            Self::Timestamp => "{timestamp}",
            Self::Body => "{body}",
            Self::Signature => "{signature}",
        })
    }
}

impl SignedBytes {
    pub(crate) fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Whether the event's id is signed.
    pub fn has_id(&self) -> bool {
        self.0.contains(&Part::Id)
    }

    /// Whether the moment of signing is signed.
    pub fn has_timestamp(&self) -> bool {
        self.0.contains(&Part::Timestamp)
    }
}

impl FromStr for SignedBytes {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let parts = Part::parse_signed(text)?;
        if parts.iter().filter(|part| **part == Part::Body).count() != 1 {
            return Err(TemplateError::ExactlyOnce {
                template: text.to_owned(),
                name: "body",
            });
        }
        if parts
            .windows(2)
            .any(|pair| !pair[0].is_literal() && !pair[1].is_literal())
        {
            return Err(TemplateError::Adjacent(text.to_owned()));
        }
        Ok(Self(parts))
    }
}

impl fmt::Display for SignedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| part.fmt(f))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_read_and_shown_alike() {
        for text in [
            "{body}",
            "{timestamp}.{body}",
            "{id}.{timestamp}.{body}",
            "v0:{timestamp}:{body}",
            "{body}é",
        ] {
            assert_eq!(text.parse::<SignedBytes>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_template_that_would_sign_wrongly_is_refused_with_its_reason() {
        for (text, reason) in [
            (
                "{timestamp}",
                "`{timestamp}` must contain `{body}` exactly once",
            ),
            ("", "`` must contain `{body}` exactly once"),
            (
                "{body}.{body}",
                "`{body}.{body}` must contain `{body}` exactly once",
            ),
            ("{body", "`{body` has a brace without its partner"),
            ("}{body}", "`}{body}` has a brace without its partner"),
            (
                "{url}.{body}",
                "`{url}` is not known here; known: `{id}`, `{timestamp}`, `{body}`",
            ),
            (
                "{id}{body}",
                "`{id}{body}` has two placeholders without a literal between them, so that different requests would sign alike",
            ),
        ] {
            assert_eq!(text.parse::<SignedBytes>().unwrap_err().to_string(), reason);
        }
    }
}
