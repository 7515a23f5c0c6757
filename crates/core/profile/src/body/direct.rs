//! Filters of which every part yields exactly one value, run without the interpreter.
//!
//! A mapping is hardly ever more: paths, objects, conditions, calls of our own functions. The interpreter makes an iterator on the heap of each
//! part, and an object of each member, which it then adds up: four fifths of a rendering. What fails here is run again there, so
//! that there is one place for what is wrong with an event.

use super::{
    fuel, functions,
    value::{Map, Str, Val},
};
use jaq_core::{
    ValT as _,
    load::{
        lex::StrPart,
        parse::{BinaryOp, Pattern, Term},
    },
    ops::{Cmp, Math},
    path::{Opt, Part},
};

/// A part that yields one value.
#[derive(Debug)]
pub(super) enum Direct {
    Input,
    Null,
    Bool(bool),
    Int(isize),
    Text(Box<str>),
    Array(Vec<Direct>),
    Object(Vec<(Box<str>, Direct)>),
    Member(Box<Direct>, Box<str>),
    /// Of those that are bound where it is, the outermost being 0.
    Variable(usize),
    Call(fn(Val) -> jaq_core::ValR<Val>),
    Pipe(Box<[Direct; 2]>),
    /// A value, and what sees it as its variable.
    Bind(Box<[Direct; 2]>),
    If(Box<[Direct; 3]>),
    Alternative(Box<[Direct; 2]>),
    /// The right one is asked when the left one is not this.
    Logic(bool, Box<[Direct; 2]>),
    Compare(Cmp, Box<[Direct; 2]>),
    Calculate(Math, Box<[Direct; 2]>),
}

impl Direct {
    /// Nothing, when some part may yield none or several.
    pub(super) fn of(filter: &Term<&str>) -> Option<Self> {
        Scope::default().term(filter)
    }

    /// The value it yields; nothing when that fails.
    pub(super) fn run(&self, event: &Val) -> Option<Val> {
        self.value(event, &mut Vec::new())
    }

    fn value(&self, input: &Val, bound: &mut Vec<Val>) -> Option<Val> {
        Some(match self {
            Self::Input => input.clone(),
            Self::Null => Val::Null,
            Self::Bool(value) => Val::Bool(*value),
            Self::Int(value) => Val::from(*value),
            Self::Text(text) => Val::Str(Str::from_bytes(text.as_bytes())),
            Self::Array(items) => {
                fuel::spend(items.len()).ok()?;
                let items = items.iter().map(|item| item.value(input, bound));
                Val::array(items.collect::<Option<_>>()?)
            }
            Self::Object(members) => {
                fuel::spend(members.len()).ok()?;
                let mut made = Map::with_capacity(members.len());
                for (name, value) in members {
                    let value = value.value(input, bound)?;
                    made.insert(Str::from_bytes(name.as_bytes()), value);
                }
                Val::object(made)
            }
            Self::Member(of, name) => {
                fuel::spend(1).ok()?;
                match &**of {
                    Self::Input => input.member(name)?,
                    of => of.value(input, bound)?.member(name)?,
                }
            }
            Self::Variable(index) => bound.get(*index)?.clone(),
            Self::Call(function) => function(input.clone()).ok()?,
            Self::Pipe(parts) => {
                let [left, right] = &**parts;
                right.value(&left.value(input, bound)?, bound)?
            }
            Self::Bind(parts) => {
                let [value, within] = &**parts;
                let value = value.value(input, bound)?;
                bound.push(value);
                let value = within.value(input, bound)?;
                bound.pop();
                value
            }
            Self::If(parts) => {
                let [condition, then, otherwise] = &**parts;
                let branch = if condition.value(input, bound)?.as_bool() {
                    then
                } else {
                    otherwise
                };
                branch.value(input, bound)?
            }
            Self::Alternative(parts) => {
                let left = parts[0].value(input, bound)?;
                if left.as_bool() {
                    left
                } else {
                    parts[1].value(input, bound)?
                }
            }
            Self::Logic(stop, parts) => {
                let left = parts[0].value(input, bound)?.as_bool();
                Val::Bool(if left == *stop {
                    left
                } else {
                    parts[1].value(input, bound)?.as_bool()
                })
            }
            Self::Compare(how, parts) => {
                let [left, right] = &**parts;
                let (left, right) = (left.value(input, bound)?, right.value(input, bound)?);
                Val::Bool(how.run(&left, &right))
            }
            Self::Calculate(how, parts) => {
                let [left, right] = &**parts;
                let (left, right) = (left.value(input, bound)?, right.value(input, bound)?);
                how.run::<_, jaq_core::ValR<Val>>(left, right).ok()?
            }
        })
    }
}

/// What is bound where a term is read.
#[derive(Default)]
struct Scope<'f> {
    variables: Vec<&'f str>,
}

impl<'f> Scope<'f> {
    fn term(&mut self, term: &Term<&'f str>) -> Option<Direct> {
        Some(match term {
            Term::Id => Direct::Input,
            Term::Num(number) => Direct::Int(number.parse().ok()?),
            Term::Str(..) => Direct::Text(text(term)?.into()),
            Term::Arr(None) => Direct::Array(Vec::new()),
            Term::Arr(Some(items)) => {
                let mut read = Vec::new();
                self.items(items, &mut read)?;
                Direct::Array(read)
            }
            Term::Obj(members) => {
                let members = members
                    .iter()
                    .map(|(name, value)| self.member(name, value.as_ref()));
                Direct::Object(members.collect::<Option<_>>()?)
            }
            Term::BinOp(left, how, right) => self.operation(left, how, right)?,
            Term::IfThenElse(branches, otherwise) => {
                let otherwise = match otherwise {
                    Some(otherwise) => self.term(otherwise)?,
                    None => Direct::Input,
                };
                let branches = branches.iter().rev();
                branches
                    .into_iter()
                    .try_fold(otherwise, |otherwise, (condition, then)| {
                        let parts = [self.term(condition)?, self.term(then)?, otherwise];
                        Some(Direct::If(parts.into()))
                    })?
            }
            Term::Call("null", arguments) if arguments.is_empty() => Direct::Null,
            Term::Call("true", arguments) if arguments.is_empty() => Direct::Bool(true),
            Term::Call("false", arguments) if arguments.is_empty() => Direct::Bool(false),
            Term::Call(name, arguments) if arguments.is_empty() => {
                Direct::Call(functions::of_one_value(name)?)
            }
            Term::Var(name) => {
                let index = self.variables.iter().rposition(|bound| bound == name);
                Direct::Variable(index?)
            }
            Term::Path(of, path) => path.0.iter().try_fold(self.term(of)?, |of, part| {
                let (Part::Index(name), Opt::Essential) = part else {
                    return None;
                };
                Some(Direct::Member(of.into(), text(name)?.into()))
            })?,
            // What may yield none or several, and definitions, after which a name means something else.
            Term::Recurse
            | Term::Neg(_)
            | Term::Label(..)
            | Term::Break(_)
            | Term::Fold(..)
            | Term::TryCatch(..)
            | Term::Def(..)
            | Term::Call(..) => return None,
        })
    }

    fn items(&mut self, items: &Term<&'f str>, into: &mut Vec<Direct>) -> Option<()> {
        if let Term::BinOp(left, BinaryOp::Comma, right) = items {
            self.items(left, into)?;
            self.items(right, into)
        } else {
            into.push(self.term(items)?);
            Some(())
        }
    }

    fn member(
        &mut self,
        name: &Term<&'f str>,
        value: Option<&Term<&'f str>>,
    ) -> Option<(Box<str>, Direct)> {
        let name: Box<str> = text(name)?.into();
        let value = match value {
            Some(value) => self.term(value)?,
            None => Direct::Member(Direct::Input.into(), name.clone()),
        };
        Some((name, value))
    }

    fn operation(
        &mut self,
        left: &Term<&'f str>,
        how: &BinaryOp<&'f str>,
        right: &Term<&'f str>,
    ) -> Option<Direct> {
        let left = self.term(left)?;
        if let BinaryOp::Pipe(Some(Pattern::Var(name))) = how {
            self.variables.push(name);
            let right = self.term(right)?;
            self.variables.pop();
            return Some(Direct::Bind([left, right].into()));
        }
        let parts = [left, self.term(right)?].into();
        Some(match how {
            BinaryOp::Pipe(None) => Direct::Pipe(parts),
            BinaryOp::Alt => Direct::Alternative(parts),
            BinaryOp::Or => Direct::Logic(true, parts),
            BinaryOp::And => Direct::Logic(false, parts),
            BinaryOp::Math(how) => Direct::Calculate(*how, parts),
            BinaryOp::Cmp(how) => Direct::Compare(*how, parts),
            BinaryOp::Pipe(Some(_))
            | BinaryOp::Comma
            | BinaryOp::Assign
            | BinaryOp::Update
            | BinaryOp::UpdateMath(_)
            | BinaryOp::UpdateAlt => return None,
        })
    }
}

/// A text that is there as it is, without anything put into it.
fn text<'f>(term: &Term<&'f str>) -> Option<&'f str> {
    match term {
        Term::Str(None, parts) => match parts.as_slice() {
            [] => Some(""),
            [StrPart::Str(text)] => Some(text),
            _ => None,
        },
        _ => None,
    }
}
