//! What the filter language asks of values: to be made, looked into, walked and changed in part.

use super::{
    fuel,
    number::Num,
    value::{Error, Map, Str, Val, Written, into_items, into_members, write},
};
use jaq_core::{
    Exn, ValR, ValX,
    box_iter::{BoxIter, box_once},
    path::Opt,
    val::Range,
};
use ringback_domain::limits::BODY_BYTES_MAX;

const ITERABLE: &str = "an array or object";

impl jaq_core::ValT for Val {
    fn from_num(text: &str) -> ValR<Self> {
        let limits = ringback_json::Limits {
            bytes_max: usize::MAX,
            depth_max: 0,
        };
        // The language also takes `.5` and `1.`, which are no JSON.
        Ok(Self::Num(
            match ringback_json::check(text.as_bytes(), limits) {
                Ok(()) => Num::Text(text.into()),
                Err(_) => Num::Float(text.parse().unwrap_or(f64::NAN)),
            },
        ))
    }

    fn from_map<I: IntoIterator<Item = (Self, Self)>>(entries: I) -> ValR<Self> {
        let mut members = Map::new();
        for (name, value) in entries {
            fuel::spend(1)?;
            match name {
                Self::Str(name) => members.insert(name, value),
                other => return Err(Error::typ(other, "a member's name")),
            };
        }
        Ok(Self::object(members))
    }

    fn key_values(self) -> BoxIter<'static, ValR<(Self, Self), Self>> {
        if let Err(error) = fuel::spend(self.len()) {
            return box_once(Err(error));
        }
        match self {
            Self::Arr(array) => {
                let items = into_items(array).into_iter().enumerate();
                Box::new(items.map(|(index, item)| Ok((Self::from(index), item))))
            }
            Self::Obj(object) => {
                let members = into_members(object).into_iter();
                Box::new(members.map(|(name, value)| Ok((Self::Str(name), value))))
            }
            other => box_once(Err(Error::typ(other, ITERABLE))),
        }
    }

    fn values(self) -> Box<dyn Iterator<Item = ValR<Self>>> {
        if let Err(error) = fuel::spend(self.len()) {
            return box_once(Err(error));
        }
        match self {
            Self::Arr(array) => Box::new(into_items(array).into_iter().map(Ok)),
            Self::Obj(object) => Box::new(into_members(object).into_values().map(Ok)),
            other => box_once(Err(Error::typ(other, ITERABLE))),
        }
    }

    fn index(self, index: &Self) -> ValR<Self> {
        fuel::spend(1)?;
        let found = match (&self, index) {
            (Self::Null, _) => None,
            (Self::Obj(object), Self::Str(name)) => object.members().get(name).cloned(),
            (Self::Arr(array), Self::Num(number)) if number.as_int().is_some() => {
                position(number, array.items().len()).map(|at| array.items()[at].clone())
            }
            _ => return Err(Error::index(self, index.clone())),
        };
        Ok(found.unwrap_or(Self::Null))
    }

    fn range(self, range: Range<&Self>) -> ValR<Self> {
        match self {
            Self::Arr(array) => {
                let (from, upto) = bounds(&range, array.items().len())?;
                fuel::spend(upto - from)?;
                Ok(Self::array(array.items()[from..upto].to_vec()))
            }
            Self::Str(text) => {
                fuel::spend_text(text.bytes().len())?;
                let chars: Vec<char> = text.to_text().chars().collect();
                let (from, upto) = bounds(&range, chars.len())?;
                Ok(Self::from(chars[from..upto].iter().collect::<String>()))
            }
            Self::Null => Ok(Self::Null),
            other => Err(Error::typ(other, "an array or string")),
        }
    }

    fn map_values<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        fuel::spend(self.len())?;
        match self {
            Self::Arr(array) => {
                let items = into_items(array).into_iter().flat_map(f);
                Ok(Self::array(items.collect::<Result<_, _>>()?))
            }
            Self::Obj(object) => {
                let members = into_members(object).into_iter();
                let changed = members
                    .filter_map(|(name, value)| f(value).next().map(|value| Ok((name, value?))));
                Ok(Self::object(changed.collect::<Result<_, Exn<_>>>()?))
            }
            other => opt.fail(other, |value| Error::typ(value, ITERABLE).into()),
        }
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        index: &Self,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        fuel::spend(self.len())?;
        match (self, index) {
            (Self::Null, Self::Str(_)) => Self::object(Map::new()).map_index(index, opt, f),
            (Self::Obj(object), Self::Str(name)) => {
                let mut members = into_members(object);
                let before = members.get(name).cloned().unwrap_or(Self::Null);
                match f(before).next().transpose()? {
                    Some(value) => members.insert(name.clone(), value),
                    None => members.shift_remove(name),
                };
                Ok(Self::object(members))
            }
            (Self::Arr(array), Self::Num(number)) => {
                let mut items = into_items(array);
                let Some(at) = position(number, items.len()) else {
                    let outside = || Error::str("an index outside the array").into();
                    return opt.fail(Self::array(items), |_| outside());
                };
                match f(items[at].clone()).next().transpose()? {
                    Some(value) => items[at] = value,
                    None => _ = items.remove(at),
                }
                Ok(Self::array(items))
            }
            (value, _) => opt.fail(value, |value| Error::index(value, index.clone()).into()),
        }
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        range: Range<&Self>,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        fuel::spend(self.len())?;
        let Self::Arr(array) = self else {
            return opt.fail(self, |value| Error::typ(value, "an array").into());
        };
        let mut items = into_items(array);
        let (from, upto) = bounds(&range, items.len())?;
        let part = Self::array(items[from..upto].to_vec());
        let changed = match f(part).next().transpose()? {
            Some(Self::Arr(changed)) => into_items(changed),
            Some(other) => return Err(Error::typ(other, "an array").into()),
            None => Vec::new(),
        };
        items.splice(from..upto, changed);
        Ok(Self::array(items))
    }

    fn as_bool(&self) -> bool {
        !matches!(self, Self::Null | Self::Bool(false))
    }

    fn into_string(self) -> Self {
        match self {
            Self::Str(_) => self,
            other => Self::from(other.to_json()),
        }
    }
}

impl jaq_std::ValT for Val {
    fn into_seq<S: FromIterator<Self>>(self) -> Result<S, Self> {
        match self {
            Self::Arr(array) if fuel::spend(array.items().len()).is_ok() => {
                Ok(into_items(array).into_iter().collect())
            }
            other => Err(other),
        }
    }

    fn is_int(&self) -> bool {
        self.as_isize().is_some()
    }

    fn as_isize(&self) -> Option<isize> {
        match self {
            Self::Num(number) => number.as_int(),
            _ => None,
        }
    }

    fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Num(number) => Some(number.as_float()),
            _ => None,
        }
    }

    fn is_utf8_str(&self) -> bool {
        matches!(self, Self::Str(_))
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Str(text) => Some(text.bytes()),
            _ => None,
        }
    }

    fn as_sub_str(&self, part: &[u8]) -> Self {
        Self::from_text(part)
    }

    fn from_utf8_bytes(text: impl AsRef<[u8]> + Send + 'static) -> Self {
        Self::from_text(text.as_ref())
    }
}

impl Val {
    /// How many values it holds.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Arr(array) => array.items().len(),
            Self::Obj(object) => object.members().len(),
            _ => 0,
        }
    }

    /// A member of an object, null where it has none; nothing of what is no object.
    pub(super) fn member(&self, name: &str) -> Option<Self> {
        let found = match self {
            Self::Null => None,
            Self::Obj(object) => object.members().get(name.as_bytes()).cloned(),
            _ => return None,
        };
        Some(found.unwrap_or(Self::Null))
    }

    /// The value as JSON text; `null` for what JSON cannot say, and for what is longer than a body. That costs as much as a text would.
    pub(super) fn to_json(&self) -> String {
        let mut out = Written::default();
        let is_written =
            fuel::exceeded().is_none() && write(self, &mut out, BODY_BYTES_MAX).is_ok();
        if fuel::spend_text(out.bytes.len()).is_err() || !is_written {
            return "null".into();
        }
        String::from_utf8(out.bytes).unwrap_or_default()
    }

    fn from_text(text: &[u8]) -> Self {
        // Whoever makes too much of it fails at the next step.
        let _ = fuel::spend_text(text.len());
        Self::Str(Str::from_bytes(text))
    }
}

impl From<bool> for Val {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<isize> for Val {
    fn from(value: isize) -> Self {
        Self::Num(Num::Int(value))
    }
}

impl From<usize> for Val {
    fn from(value: usize) -> Self {
        Self::Num(Num::Int(value.try_into().unwrap_or(isize::MAX)))
    }
}

impl From<f64> for Val {
    fn from(value: f64) -> Self {
        Self::Num(Num::Float(value))
    }
}

impl From<String> for Val {
    fn from(text: String) -> Self {
        Self::Str(Str::from_bytes(text.as_bytes()))
    }
}

impl From<Range<Val>> for Val {
    fn from(range: Range<Val>) -> Self {
        let ends = [("start", range.start), ("end", range.end)];
        let given = ends
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        Self::object(
            given
                .map(|(name, value)| (Str::from_bytes(name.as_bytes()), value))
                .collect(),
        )
    }
}

impl FromIterator<Self> for Val {
    fn from_iter<T: IntoIterator<Item = Self>>(items: T) -> Self {
        let items: Vec<_> = items.into_iter().collect();
        // Whoever makes too many of them fails at the next step.
        let _ = fuel::spend(items.len());
        Self::array(items)
    }
}

/// The place of an index that may count from the end.
fn position(index: &Num, len: usize) -> Option<usize> {
    let index = index.as_int()?;
    let at = if index < 0 {
        len.checked_sub(index.unsigned_abs())?
    } else {
        index.unsigned_abs()
    };
    (at < len).then_some(at)
}

/// The places of a range whose ends may be missing, and may count from the end.
fn bounds(range: &Range<&Val>, len: usize) -> Result<(usize, usize), Error> {
    let bound = |end: Option<&Val>, otherwise| match end {
        None | Some(Val::Null) => Ok(otherwise),
        Some(Val::Num(number)) if number.as_int().is_some() => {
            let end = number.as_int().unwrap_or(0);
            let at = end.unsigned_abs();
            Ok(if end < 0 {
                len.saturating_sub(at)
            } else {
                at.min(len)
            })
        }
        Some(other) => Err(Error::typ(other.clone(), "an integer")),
    };
    let (from, upto) = (bound(range.start, 0)?, bound(range.end, len)?);
    Ok((from, upto.max(from)))
}
