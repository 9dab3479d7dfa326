//! Positional arguments and the reference's words for wrong ones. Facts: `spec/operations.md` §2.1 (-32602).

use jsonrpsee_types::ErrorObjectOwned;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::answer::invalid;

/// What a value must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// Of any size.
    Number,
    /// A string.
    Text,
    /// An array of texts.
    Texts,
    /// Of anything.
    Array,
    /// With any members.
    Object,
    /// Nothing but `null`.
    Null,
}

/// A positional parameter.
#[derive(Debug)]
pub struct Param {
    /// For people.
    pub name: &'static str,
    /// What its value must be.
    pub kind: Kind,
    /// Whether it must be there and not `null`.
    pub required: bool,
}

/// The arguments of one call, of the number and the kinds that the method wants.
#[derive(Debug, Default)]
pub struct Args(Vec<Value>);

impl Args {
    /// Reads the `params` of a request; `None` is no such key.
    ///
    /// # Errors
    /// Not an array, too many, too few, or of another kind.
    pub fn read(params: Option<&str>, want: &[Param]) -> Result<Self, ErrorObjectOwned> {
        let values = match serde_json::from_str(params.unwrap_or("null")) {
            Ok(Value::Null) => Vec::new(),
            Ok(Value::Array(values)) => values,
            _ => return Err(invalid("non-array args")),
        };
        Self::check(values, want)
    }

    /// Checks arguments that were taken out of their array already.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn check(values: Vec<Value>, want: &[Param]) -> Result<Self, ErrorObjectOwned> {
        if values.len() > want.len() {
            return Err(invalid(format!("too many arguments, want at most {}", want.len())));
        }
        for (index, param) in want.iter().enumerate() {
            match values.get(index) {
                None | Some(Value::Null) if param.required => {
                    return Err(invalid(format!("missing value for required argument {index}")));
                }
                None | Some(Value::Null) => {}
                Some(value) if param.kind.admits(value) => {}
                Some(_) => {
                    return Err(invalid(format!("invalid argument {index}: want {}", param.kind.want())));
                }
            }
        }
        Ok(Self(values))
    }

    /// A text; empty when an optional one is absent.
    pub fn text(&self, index: usize) -> &str {
        self.0.get(index).and_then(Value::as_str).unwrap_or_default()
    }

    /// A value in a type of its own; its default when an optional one is absent.
    ///
    /// # Errors
    /// The value does not fit the type.
    pub fn parse<T: DeserializeOwned + Default>(&self, index: usize) -> Result<T, ErrorObjectOwned> {
        match self.0.get(index) {
            None | Some(Value::Null) => Ok(T::default()),
            Some(value) => {
                T::deserialize(value).map_err(|error| invalid(format!("invalid argument {index}: {error}")))
            }
        }
    }

    /// Bytes as `0x` and hex digits; none when an optional argument is absent.
    ///
    /// # Errors
    /// The text is something else.
    pub fn hex(&self, index: usize) -> Result<Vec<u8>, ErrorObjectOwned> {
        match self.text(index).strip_prefix("0x").map(hex::decode) {
            Some(Ok(bytes)) => Ok(bytes),
            None if self.text(index).is_empty() => Ok(Vec::new()),
            _ => Err(invalid(format!("invalid argument {index}: want 0x and an even number of hex digits"))),
        }
    }
}

impl Kind {
    fn admits(self, value: &Value) -> bool {
        match self {
            Self::Boolean => value.is_boolean(),
            Self::Number => value.is_number(),
            Self::Text => value.is_string(),
            Self::Texts => value.as_array().is_some_and(|values| values.iter().all(Value::is_string)),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
            Self::Null => value.is_null(),
        }
    }

    /// What a person should write.
    fn want(self) -> &'static str {
        match self {
            Self::Boolean => "true or false",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::Texts => "an array of strings",
            Self::Array => "an array",
            Self::Object => "an object",
            Self::Null => "null",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANT: &[Param] = &[
        Param { name: "a", kind: Kind::Text, required: true },
        Param { name: "b", kind: Kind::Number, required: false },
    ];

    fn refused(params: &str) -> String {
        let error = Args::read(Some(params), WANT).unwrap_err();
        assert_eq!(error.code(), -32602);
        error.message().to_owned()
    }

    #[test]
    fn ops_2_1_numbers_and_kinds_of_arguments() {
        assert_eq!(refused("[]"), "missing value for required argument 0");
        assert_eq!(refused("[null,1]"), "missing value for required argument 0");
        assert_eq!(refused(r#"["a",1,2]"#), "too many arguments, want at most 2");
        assert_eq!(refused(r#"{"a":"b"}"#), "non-array args");
        assert_eq!(refused("[1]"), "invalid argument 0: want a string");
        assert_eq!(refused(r#"["a","b"]"#), "invalid argument 1: want a number");
        for good in [r#"["a"]"#, r#"["a",null]"#, r#"["a",7]"#] {
            assert_eq!(Args::read(Some(good), WANT).unwrap().text(0), "a");
        }
        assert!(Args::read(None, &[]).is_ok());
    }

    #[test]
    fn values_that_do_not_fit_their_type_name_the_argument() {
        let args = Args::read(Some(r#"["a",4294967296]"#), WANT).unwrap();
        assert!(args.parse::<u32>(1).unwrap_err().message().starts_with("invalid argument 1: "));
        assert_eq!(args.parse::<u64>(1).unwrap(), 1 << 32);
    }

    #[test]
    fn hex_texts() {
        let hex = |text: &str| {
            Args::check(vec![Value::from(text)], WANT).unwrap().hex(0).map_err(|error| error.code())
        };
        assert_eq!(hex("0x01fe"), Ok(vec![1, 0xfe]));
        assert_eq!(hex("0x"), Ok(vec![]));
        assert_eq!(hex("01fe"), Err(-32602));
        assert_eq!(hex("0x1"), Err(-32602));
    }
}
