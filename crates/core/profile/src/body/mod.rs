//! Bodies: a filter in the jq language turns the event into the body, losing nothing on the way.

mod access;
mod allowed;
mod direct;
mod fuel;
mod functions;
mod number;
mod operators;
mod value;

use self::direct::Direct;
use self::value::{Val, WriteFault, Written, write};
use bytes::Bytes;
use jaq_core::{
    Compiler, Ctx, Vars,
    data::JustLut,
    load::{self, Arena, File, Loader},
};
use ringback_domain::limits::{BODY_BYTES_MAX, EVENT_BYTES_MAX, JSON_DEPTH_MAX};
use ringback_json::{Fault, Limits};

const EVENT_LIMITS: Limits = Limits {
    bytes_max: EVENT_BYTES_MAX,
    depth_max: JSON_DEPTH_MAX,
};
const LIMITS: Limits = Limits {
    bytes_max: BODY_BYTES_MAX,
    depth_max: JSON_DEPTH_MAX,
};

/// A filter, compiled once and run for every event.
pub(crate) struct Filter {
    interpreted: jaq_core::Filter<JustLut<Val>>,
    direct: Option<Direct>,
}

/// What is wrong with a filter's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FilterFault {
    /// The byte of the text at which it was noticed.
    pub(crate) offset: usize,
    /// What it is.
    pub(crate) problem: String,
}

/// Why a filter made no body of an event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RunError {
    #[error("the event cannot be read: {0}")]
    Event(Fault),
    #[error("{0}")]
    Failed(String),
    #[error("the filter yields nothing")]
    Nothing,
    #[error("the filter yields more than one value")]
    Several,
    #[error("a number in the result is not finite")]
    NotFinite,
    #[error("the body is longer than {BODY_BYTES_MAX} bytes")]
    TooLong,
    #[error("{0}")]
    Result(Fault),
}

impl Filter {
    /// Compiles a filter.
    pub(crate) fn compile(text: &str) -> Result<Self, Vec<FilterFault>> {
        let arena = Arena::default();
        let program = File {
            code: text,
            path: (),
        };
        let modules = Loader::new(functions::definitions())
            .load(&arena, program)
            .map_err(|errors| {
                let errors = errors.into_iter().map(|(_, error)| error);
                errors
                    .flat_map(|error| load_faults(text, error))
                    .collect::<Vec<_>>()
            })?;
        // A module is more than a filter: what is only that would not be looked at below.
        let Some(term) = load::parse(text, |parser| parser.term()) else {
            let problem = "expected a filter, found a module, which is not available".to_owned();
            return Err(vec![FilterFault { offset: 0, problem }]);
        };
        // What is refused here would be compiled as if it were part of the library.
        let refused = allowed::refused(&term).into_iter();
        let faults: Vec<_> = refused
            .map(|refused| fault_at(text, refused.name, refused.problem))
            .collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        Compiler::default()
            .with_funs(functions::natives())
            .compile(modules)
            .map(|interpreted| Self {
                interpreted,
                direct: Direct::of(&term),
            })
            .map_err(|errors| {
                let undefined = errors.into_iter().flat_map(|(_, undefined)| undefined);
                undefined
                    .map(|(name, what)| {
                        fault_at(
                            text,
                            name,
                            format!("there is no {} `{name}`", what.as_str()),
                        )
                    })
                    .collect()
            })
    }

    /// The body of an event: exactly one value, written without white space.
    pub(crate) fn run(&self, document: &Bytes) -> Result<Vec<u8>, RunError> {
        fuel::refill();
        let event = Val::parse(document, EVENT_LIMITS).map_err(RunError::Event)?;
        let direct = self.direct.as_ref();
        let direct = direct.and_then(|direct| direct.run(&event));
        let result = match direct {
            Some(result) if fuel::exceeded().is_none() => Ok(result),
            _ => {
                fuel::refill();
                self.interpret(event)
            }
        };
        if let Some(exceeded) = fuel::exceeded() {
            return Err(RunError::Failed(exceeded.describe()));
        }
        let result = result?;
        let mut written = Written {
            bytes: Vec::with_capacity(document.len()),
            has_replaced: false,
        };
        write(&result, &mut written, BODY_BYTES_MAX).map_err(|fault| match fault {
            WriteFault::TooLong => RunError::TooLong,
            WriteFault::NotFinite => RunError::NotFinite,
        })?;
        if written.has_replaced || result.depth() > LIMITS.depth_max {
            // A reader can tell which member that is.
            ringback_json::check(&written.bytes, LIMITS).map_err(RunError::Result)?;
        }
        Ok(written.bytes)
    }

    fn interpret(&self, event: Val) -> Result<Val, RunError> {
        let context = Ctx::<JustLut<Val>>::new(&self.interpreted.lut, Vars::new([]));
        let mut results = self.interpreted.id.run((context, event)).map(|result| {
            result.map_err(|exception| match exception.get_err() {
                Ok(error) => RunError::Failed(message(error.into_val())),
                Err(_) => RunError::Failed("the filter broke off".into()),
            })
        });
        let result = results.next().ok_or(RunError::Nothing)??;
        match results.next() {
            None => Ok(result),
            Some(Ok(_)) => Err(RunError::Several),
            Some(Err(error)) => Err(error),
        }
    }
}

/// The longest message of a filter that is passed on, in characters.
const MESSAGE_MAX: usize = 200;

fn message(error: Val) -> String {
    match error {
        Val::Str(text) => text.to_text().chars().take(MESSAGE_MAX).collect(),
        other => format!("the filter failed with {other}"),
    }
}

fn load_faults(text: &str, error: load::Error<&str>) -> Vec<FilterFault> {
    let expected = |what: &str, found: &str| {
        let found: String = found.chars().take(20).collect();
        match found.lines().next() {
            Some(found) => format!("expected {what}, found `{found}`"),
            None => format!("expected {what}, found the end of the filter"),
        }
    };
    match error {
        load::Error::Io(missing) => {
            let missing = missing.into_iter();
            missing
                .map(|(name, _)| fault_at(text, name, "modules are not available".into()))
                .collect()
        }
        load::Error::Lex(faults) => {
            let faults = faults.into_iter();
            faults
                .map(|(what, found)| fault_at(text, found, expected(what.as_str(), found)))
                .collect()
        }
        load::Error::Parse(faults) => {
            let faults = faults.into_iter();
            faults
                .map(|(what, found)| fault_at(text, found, expected(what.as_str(), found)))
                .collect()
        }
    }
}

/// A fault at a part of the filter's text.
fn fault_at(text: &str, part: &str, problem: String) -> FilterFault {
    let offset = part.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    FilterFault {
        // A part that is no part, like the empty text at the end, stands at the end.
        offset: offset.min(text.len()),
        problem,
    }
}

#[cfg(test)]
mod tests;
