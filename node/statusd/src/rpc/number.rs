//! Numbers as Go's `encoding/json` writes them: `0.000002`, not `2e-6`; `1`, not `1.0`. Tools that compare texts, or
//! keep them, see no difference to the reference.

use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;

/// A number that is written as Go writes it. JSON knows no infinity: the largest number stands for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct GoFloat(pub(crate) f64);

impl GoFloat {
    fn text(self) -> String {
        let number = if self.0.is_nan() { 0.0 } else { self.0.clamp(f64::MIN, f64::MAX) };
        let size = number.abs();
        if size != 0.0 && size < 1e-6 {
            format!("{number:e}")
        } else if size >= 1e21 {
            format!("{number:e}").replace('e', "e+")
        } else {
            number.to_string()
        }
    }
}

impl Serialize for GoFloat {
    /// Only for JSON texts: serialised into a [`serde_json::Value`] it is a number as any other.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.text()).map_err(S::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_writes_them() {
        for (number, text) in [
            (0.000_002, "0.000002"),
            (0.000_001, "0.000001"),
            (0.000_000_9, "9e-7"),
            (1.5e-10, "1.5e-10"),
            (0.0, "0"),
            (1.0, "1"),
            (-2.5, "-2.5"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (f64::INFINITY, "1.7976931348623157e+308"),
            (f64::NAN, "0"),
        ] {
            assert_eq!(serde_json::to_string(&GoFloat(number)).unwrap(), text);
        }
    }
}
