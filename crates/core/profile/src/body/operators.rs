//! Arithmetic: `+`, `-`, `*`, `/`, `%` and the sign, on values of any kind.

use super::{
    fuel,
    number::Num,
    value::{Error, Map, Str, Val, into_items, into_members},
};
use jaq_core::{ValR, ops::Math};
use std::{
    ops::{Add, Div, Mul, Neg, Rem, Sub},
    rc::Rc,
};

impl Add for Val {
    type Output = ValR<Self>;
    fn add(self, other: Self) -> ValR<Self> {
        fuel::spend(1)?;
        match (self, other) {
            (Self::Null, value) | (value, Self::Null) => Ok(value),
            (Self::Num(a), Self::Num(b)) => {
                Ok(Self::Num(a.calculate(&b, isize::checked_add, |a, b| a + b)))
            }
            (Self::Str(a), Self::Str(b)) => {
                fuel::spend_text(a.bytes().len() + b.bytes().len())?;
                Ok(Self::Str(Str::from_bytes(&[a.bytes(), b.bytes()].concat())))
            }
            (Self::Arr(a), Self::Arr(b)) => {
                fuel::spend(a.items().len() + b.items().len())?;
                let mut items = into_items(a);
                items.extend_from_slice(b.items());
                Ok(Self::array(items))
            }
            (Self::Obj(a), Self::Obj(b)) => {
                fuel::spend(a.members().len() + b.members().len())?;
                let mut members = into_members(a);
                members.extend(into_members(b));
                Ok(Self::object(members))
            }
            (a, b) => Err(Error::math(a, Math::Add, b)),
        }
    }
}

impl Sub for Val {
    type Output = ValR<Self>;
    fn sub(self, other: Self) -> ValR<Self> {
        fuel::spend(1)?;
        match (self, other) {
            (Self::Num(a), Self::Num(b)) => {
                Ok(Self::Num(a.calculate(&b, isize::checked_sub, |a, b| a - b)))
            }
            (Self::Arr(a), Self::Arr(b)) => {
                fuel::spend(a.items().len().saturating_mul(b.items().len()))?;
                let mut items = into_items(a);
                items.retain(|item| !b.items().contains(item));
                Ok(Self::array(items))
            }
            (a, b) => Err(Error::math(a, Math::Sub, b)),
        }
    }
}

impl Mul for Val {
    type Output = ValR<Self>;
    fn mul(self, other: Self) -> ValR<Self> {
        fuel::spend(1)?;
        match (self, other) {
            (Self::Num(a), Self::Num(b)) => {
                Ok(Self::Num(a.calculate(&b, isize::checked_mul, |a, b| a * b)))
            }
            (Self::Obj(a), Self::Obj(b)) => Ok(merged(into_members(a), into_members(b))?),
            (a, b) => Err(Error::math(a, Math::Mul, b)),
        }
    }
}

/// The members of both; where both have an object, those objects merged.
fn merged(mut into: Map, from: Map) -> Result<Val, Error> {
    fuel::spend(into.len() + from.len())?;
    for (name, value) in from {
        let value = match (into.get(&name), value) {
            (Some(Val::Obj(a)), Val::Obj(b)) => merged(a.members().clone(), into_members(b))?,
            (_, value) => value,
        };
        into.insert(name, value);
    }
    Ok(Val::object(into))
}

impl Div for Val {
    type Output = ValR<Self>;
    fn div(self, other: Self) -> ValR<Self> {
        fuel::spend(1)?;
        match (self, other) {
            (Self::Num(a), Self::Num(b)) => {
                let exact = |a: isize, b| a.checked_div(b).filter(|_| a.checked_rem(b) == Some(0));
                Ok(Self::Num(a.calculate(&b, exact, |a, b| a / b)))
            }
            (Self::Str(text), Self::Str(separator)) => {
                fuel::spend(text.bytes().len())?;
                let (text, separator) = (text.to_text(), separator.to_text());
                if text.is_empty() {
                    return Ok(Self::array(Vec::new()));
                }
                Ok(if separator.is_empty() {
                    text.chars().map(|c| Self::from(c.to_string())).collect()
                } else {
                    text.split(&separator)
                        .map(|part| Self::from(part.to_owned()))
                        .collect()
                })
            }
            (a, b) => Err(Error::math(a, Math::Div, b)),
        }
    }
}

impl Rem for Val {
    type Output = ValR<Self>;
    fn rem(self, other: Self) -> ValR<Self> {
        fuel::spend(1)?;
        match (self, other) {
            (Self::Num(a), Self::Num(b)) if b.as_float() != 0.0 => {
                Ok(Self::Num(a.calculate(&b, isize::checked_rem, |a, b| a % b)))
            }
            (a, b) => Err(Error::math(a, Math::Rem, b)),
        }
    }
}

impl Neg for Val {
    type Output = ValR<Self>;
    fn neg(self) -> ValR<Self> {
        match self {
            Self::Num(Num::Text(text)) => Ok(Self::Num(Num::Text(match text.strip_prefix('-') {
                Some(positive) => positive.into(),
                None => Rc::from(format!("-{text}")),
            }))),
            Self::Num(number) => {
                let zero = Num::Int(0);
                Ok(Self::Num(zero.calculate(
                    &number,
                    isize::checked_sub,
                    |_, b| -b,
                )))
            }
            other => Err(Error::typ(other, "a number")),
        }
    }
}
