//! Fuzz targets: everything that reads what a stranger wrote.
//!
//! A target takes any bytes and panics when something does not hold that must hold for all of them. `cargo xtask fuzz` looks
//! for such bytes by changing the inputs kept in `corpus`; an ordinary test runs every target over those inputs themselves,
//! among them one for every fault that was ever found.

mod mutator;
mod records;
mod texts;

pub use mutator::Mutator;

use std::{fs, io, path::PathBuf};

/// Something that must hold for all bytes.
#[derive(Clone, Copy)]
pub struct Target {
    /// Also the folder of its inputs.
    pub name: &'static str,
    /// Panics when it does not hold.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 10] = [
    Target {
        name: "event",
        run: texts::event,
    },
    Target {
        name: "fixed-point",
        run: texts::fixed_point,
    },
    Target {
        name: "profile",
        run: texts::profile,
    },
    Target {
        name: "retry-after",
        run: texts::retry_after,
    },
    Target {
        name: "url",
        run: texts::url,
    },
    Target {
        name: "delivery",
        run: records::delivery,
    },
    Target {
        name: "dead-letter",
        run: records::dead_letter,
    },
    Target {
        name: "webhook",
        run: records::webhook,
    },
    Target {
        name: "api-key",
        run: records::api_key,
    },
    Target {
        name: "record",
        run: records::record,
    },
];

impl Target {
    /// The inputs that were kept, with their names.
    ///
    /// # Errors
    ///
    /// When they cannot be read.
    pub fn corpus(self) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
        let corpus = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus");
        let mut inputs = Vec::new();
        for entry in fs::read_dir(corpus.join(self.name))? {
            let path = entry?.path();
            let input = fs::read(&path)?;
            inputs.push((path, input));
        }
        // By name: a seed stands for the same inputs on every machine.
        inputs.sort();
        Ok(inputs)
    }
}
