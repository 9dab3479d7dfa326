//! One body: a call or a batch of them. Facts: `spec/operations.md` §2.1.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::answer::{error, fault, parse_error};

/// Most calls of one batch; the reference has no bound.
pub const MAX_BATCH: usize = 1000;

/// What one body holds; nothing that follows its first value is looked at.
#[derive(Debug)]
pub enum Body<'a> {
    /// One call, to be answered by one object.
    One(&'a RawValue),
    /// 1 to [`MAX_BATCH`] calls, to be answered by an array.
    Batch(Vec<&'a RawValue>),
}

impl<'a> Body<'a> {
    /// Reads a body. Copies nothing of it.
    ///
    /// # Errors
    /// The answer that refuses it: no JSON, or a batch that is empty or too large.
    pub fn parse(body: &'a [u8]) -> Result<Self, String> {
        let mut values = serde_json::Deserializer::from_slice(body).into_iter::<&RawValue>();
        let Some(Ok(value)) = values.next() else { return Err(parse_error()) };
        if !value.get().starts_with('[') {
            return Ok(Self::One(value));
        }
        let Ok(calls) = serde_json::from_str::<Vec<&RawValue>>(value.get()) else {
            return Err(parse_error());
        };
        if calls.is_empty() {
            return Err(error(None, &fault(-32600, "empty batch")));
        }
        if calls.len() > MAX_BATCH {
            let message = format!("batch too large, want at most {MAX_BATCH} calls");
            return Err(error(None, &fault(-32600, message)));
        }
        Ok(Self::Batch(calls))
    }
}

/// One call.
#[derive(Debug)]
pub struct Call<'a> {
    /// Neither an object nor an array; `None`: a notification, which takes effect and is not answered.
    pub id: Option<&'a RawValue>,
    /// Not empty.
    pub method: String,
    /// `None` is an absent key.
    pub params: Option<&'a RawValue>,
}

/// As far as it could be understood. `None` is an absent key.
#[derive(Deserialize)]
struct Parts<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(default)]
    method: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    params: Option<&'a RawValue>,
}

/// Keeps an explicit `null` apart from an absent key.
pub(crate) fn present<'de: 'a, 'a, D: serde::Deserializer<'de>>(
    d: D,
) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(d).map(Some)
}

impl<'a> Call<'a> {
    /// Reads one call of a [`Body`].
    ///
    /// # Errors
    /// The answer that refuses it, under its id where that could be read.
    pub fn parse(text: &'a RawValue) -> Result<Self, String> {
        let refuse = |id| error(id, &fault(-32600, "invalid request"));
        let Ok(Parts { id, method, params }) = serde_json::from_str(text.get()) else {
            return Err(refuse(None));
        };
        let echoed = id.filter(|id| !id.get().starts_with(['{', '[']));
        let Some(method) = method.filter(|method| !method.is_empty()) else {
            return Err(refuse(echoed));
        };
        if id.is_some() && echoed.is_none() {
            return Err(refuse(None));
        }
        Ok(Self { id: echoed, method, params })
    }
}
