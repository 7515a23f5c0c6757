//! The profiles that come along, in the very format a user writes.

/// Names and texts, the default first.
pub(crate) const BUILTIN: [(&str, &str); 6] = [
    ("standard", include_str!("../profiles/standard.toml")),
    ("hinto", include_str!("../profiles/hinto.toml")),
    ("modelhunter", include_str!("../profiles/modelhunter.toml")),
    ("hooked", include_str!("../profiles/hooked.toml")),
    ("videopilot", include_str!("../profiles/videopilot.toml")),
    ("github", include_str!("../profiles/github.toml")),
];

/// The names of the built-in profiles, the default first.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    BUILTIN.iter().map(|(name, _)| *name)
}
