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

/// A call that is not allowed.
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

struct Walk<'t, 'f> {
    /// What the filter has defined where the walk is.
    defined: Vec<Defined<'t, 'f>>,
    refused: Vec<Refused<'f>>,
}

struct Defined<'t, 'f> {
    name: &'t &'f str,
    arity: usize,
    /// The walk is inside its body.
    is_open: bool,
}

impl<'t, 'f> Walk<'t, 'f> {
    fn term(&mut self, term: &'t Term<&'f str>) {
        match term {
            Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => {}
            Term::Str(format, parts) => {
                if let Some(format) = format {
                    self.refuse(format, "string formats are not available");
                }
                for part in parts {
                    if let StrPart::Term(term) = part {
                        self.term(term);
                    }
                }
            }
            Term::Arr(items) => items.iter().for_each(|items| self.term(items)),
            Term::Obj(members) => {
                for (name, value) in members {
                    self.term(name);
                    value.iter().for_each(|value| self.term(value));
                }
            }
            Term::Neg(term) | Term::Label(_, term) => self.term(term),
            Term::BinOp(left, operator, right) => {
                self.term(left);
                if let BinaryOp::Pipe(Some(pattern)) = operator {
                    self.pattern(pattern);
                }
                self.term(right);
            }
            Term::Fold(_, over, pattern, steps) => {
                self.term(over);
                self.pattern(pattern);
                steps.iter().for_each(|step| self.term(step));
            }
            Term::TryCatch(term, catch) => {
                self.term(term);
                catch.iter().for_each(|catch| self.term(catch));
            }
            Term::IfThenElse(branches, otherwise) => {
                for (condition, then) in branches {
                    self.term(condition);
                    self.term(then);
                }
                otherwise.iter().for_each(|otherwise| self.term(otherwise));
            }
            Term::Def(definitions, term) => {
                let before = self.defined.len();
                definitions
                    .iter()
                    .for_each(|definition| self.definition(definition));
                self.term(term);
                self.defined.truncate(before);
            }
            Term::Call(name, arguments) => {
                self.call(name, arguments.len());
                arguments.iter().for_each(|argument| self.term(argument));
            }
            Term::Path(term, path) => {
                self.term(term);
                for (part, _) in &path.0 {
                    match part {
                        Part::Index(index) => self.term(index),
                        Part::Range(from, upto) => {
                            from.iter().chain(upto).for_each(|end| self.term(end));
                        }
                    }
                }
            }
        }
    }

    fn pattern(&mut self, pattern: &'t Pattern<&'f str>) {
        match pattern {
            Pattern::Var(_) => {}
            Pattern::Arr(patterns) => patterns.iter().for_each(|pattern| self.pattern(pattern)),
            Pattern::Obj(members) => {
                for (name, pattern) in members {
                    self.term(name);
                    self.pattern(pattern);
                }
            }
        }
    }

    fn definition(&mut self, definition: &'t Def<&'f str>) {
        let at = self.defined.len();
        self.define(&definition.name, definition.args.len(), true);
        for argument in &definition.args {
            if !argument.starts_with('$') {
                self.define(argument, 0, false);
            }
        }
        self.term(&definition.body);
        self.defined.truncate(at + 1);
        self.defined[at].is_open = false;
    }

    fn define(&mut self, name: &'t &'f str, arity: usize, is_open: bool) {
        self.defined.push(Defined {
            name,
            arity,
            is_open,
        });
    }

    fn call(&mut self, name: &'f str, arity: usize) {
        let found = self
            .defined
            .iter()
            .rev()
            .find(|it| *it.name == name && it.arity == arity);
        match found.map(|found| found.is_open) {
            Some(true) => self.refuse(name, "a definition must not call itself"),
            Some(false) => {}
            None if is_callable(name, arity) => {}
            None => {
                let arguments = if arity == 1 { "argument" } else { "arguments" };
                self.refuse(
                    name,
                    &format!("there is no such function with {arity} {arguments}"),
                );
            }
        }
    }

    fn refuse(&mut self, name: &'f str, why: &str) {
        self.refused.push(Refused {
            name,
            problem: format!("`{name}`: {why}"),
        });
    }
}
