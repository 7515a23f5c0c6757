//! What a filter may be made of.
//!
//! A profile is data, and a filter in it a mapping: it ends, and its result depends on the event alone. So a filter may not
//! define what calls itself, and may call only what `functions` lists.

use super::functions::is_callable;
use jaq_core::{
    load::{
        lex::StrPart,
        parse::{BinaryOp, Def, Pattern, Term},
    },
    path::Part,
};

/// A part of a filter that is not allowed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused<'f> {
    /// What is called; a part of the filter's text.
    pub(super) name: &'f str,
    /// Why not.
    pub(super) problem: String,
}

/// Everything in a filter that is not allowed.
pub(super) fn refused<'f>(filter: &Term<&'f str>) -> Vec<Refused<'f>> {
    let mut walk = Walk {
        defined: Vec::new(),
        refused: Vec::new(),
    };
    walk.term(filter);
    walk.refused
}

struct Walk<'f> {
    /// What the filter has defined where the walk is.
    defined: Vec<Defined<'f>>,
    refused: Vec<Refused<'f>>,
}

struct Defined<'f> {
    name: &'f str,
    arity: usize,
    /// The walk is inside its body.
    is_open: bool,
}

impl<'f> Walk<'f> {
    fn term(&mut self, term: &Term<&'f str>) {
        let defined_before = self.defined.len();
        match term {
            Term::Str(Some(format), _) => {
                self.refuse(format, "string formats are not available");
            }
            Term::Call(name, arguments) => self.call(name, arguments.len()),
            Term::Def(definitions, _) => {
                for definition in definitions {
                    self.definition(definition);
                }
            }
            _ => {}
        }
        for part in parts(term) {
            self.term(part);
        }
        self.defined.truncate(defined_before);
    }

    fn definition(&mut self, definition: &Def<&'f str>) {
        let at = self.defined.len();
        self.define(definition.name, definition.args.len(), true);
        for argument in &definition.args {
            if !argument.starts_with('$') {
                self.define(argument, 0, false);
            }
        }
        self.term(&definition.body);
        self.defined.truncate(at + 1);
        self.defined[at].is_open = false;
    }

    fn define(&mut self, name: &'f str, arity: usize, is_open: bool) {
        self.defined.push(Defined {
            name,
            arity,
            is_open,
        });
    }

    fn call(&mut self, name: &'f str, arity: usize) {
        let mut defined = self.defined.iter().rev();
        match defined.find(|it| it.name == name && it.arity == arity) {
            Some(found) if found.is_open => {
                self.refuse(name, "a definition must not call itself");
            }
            None if !is_callable(name, arity) => {
                let arguments = if arity == 1 { "argument" } else { "arguments" };
                let why = format!("there is no such function with {arity} {arguments}");
                self.refuse(name, &why);
            }
            Some(_) | None => {}
        }
    }

    fn refuse(&mut self, name: &'f str, why: &str) {
        self.refused.push(Refused {
            name,
            problem: format!("`{name}`: {why}"),
        });
    }
}

/// The terms that a term is made of, definitions left out.
fn parts<'t, 'f>(term: &'t Term<&'f str>) -> Vec<&'t Term<&'f str>> {
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => Vec::new(),
        Term::Str(_, parts) => {
            let parts = parts.iter().filter_map(|part| match part {
                StrPart::Term(term) => Some(term),
                StrPart::Str(_) | StrPart::Char(_) => None,
            });
            parts.collect()
        }
        Term::Arr(items) => items.iter().map(AsRef::as_ref).collect(),
        Term::Obj(members) => members
            .iter()
            .flat_map(|(name, value)| [name].into_iter().chain(value))
            .collect(),
        Term::Neg(term) | Term::Label(_, term) | Term::Def(_, term) => vec![term],
        Term::BinOp(left, BinaryOp::Pipe(Some(pattern)), right) => [
            vec![left.as_ref(), right.as_ref()],
            parts_of_pattern(pattern),
        ]
        .concat(),
        Term::BinOp(left, _, right) => vec![left, right],
        Term::Fold(_, over, pattern, steps) => [
            vec![over.as_ref()],
            steps.iter().collect(),
            parts_of_pattern(pattern),
        ]
        .concat(),
        Term::TryCatch(term, catch) => [term].into_iter().chain(catch).map(AsRef::as_ref).collect(),
        Term::IfThenElse(branches, otherwise) => {
            let branches = branches
                .iter()
                .flat_map(|(condition, then)| [condition, then]);
            branches.chain(otherwise.as_deref()).collect()
        }
        Term::Call(_, arguments) => arguments.iter().collect(),
        Term::Path(term, path) => {
            let indices = path.0.iter().flat_map(|(part, _)| match part {
                Part::Index(index) => vec![index],
                Part::Range(from, upto) => from.iter().chain(upto).collect(),
            });
            [term.as_ref()].into_iter().chain(indices).collect()
        }
    }
}

fn parts_of_pattern<'t, 'f>(pattern: &'t Pattern<&'f str>) -> Vec<&'t Term<&'f str>> {
    match pattern {
        Pattern::Var(_) => Vec::new(),
        Pattern::Arr(patterns) => patterns.iter().flat_map(parts_of_pattern).collect(),
        Pattern::Obj(members) => {
            let members = members.iter();
            members
                .flat_map(|(name, pattern)| [vec![name], parts_of_pattern(pattern)].concat())
                .collect()
        }
    }
}
