//! How large a gradient may be: up to a norm, or without bound.
//!
//! In a configuration: a positive number, or `false`. Left out, it is the default of the options, which is a norm.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What one may write.
const EXPECTED: &str = "a positive number, or `false` to clip nothing";

/// Largest norm of the whole gradient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ClipNorm {
    /// A larger gradient is scaled down to this norm.
    At(f64),
    /// Every gradient is taken as it is.
    Off,
}

impl ClipNorm {
    /// What a gradient of norm `grad_norm` is multiplied by; `None` where it is taken as it is.
    pub(crate) fn factor(self, grad_norm: f64) -> Option<f64> {
        match self {
            Self::At(limit) => Some(limit / grad_norm).filter(|factor| *factor < 1.0),
            Self::Off => None,
        }
    }

    /// Says what is wrong with it, and what it may be.
    pub(crate) fn problem(self) -> Option<String> {
        match self {
            Self::At(limit) if !(limit.is_finite() && limit > 0.0) => Some(format!("is {limit}, expected {EXPECTED}")),
            _ => None,
        }
    }
}

impl fmt::Display for ClipNorm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(limit) => write!(f, "gradients are clipped to norm {limit}"),
            Self::Off => f.write_str("gradients are not clipped"),
        }
    }
}

impl Serialize for ClipNorm {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::At(limit) => serializer.serialize_f64(*limit),
            Self::Off => serializer.serialize_bool(false),
        }
    }
}

impl<'de> Deserialize<'de> for ClipNorm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Spelling)
    }
}

struct Spelling;

impl Visitor<'_> for Spelling {
    type Value = ClipNorm;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_bool<E: de::Error>(self, on: bool) -> Result<ClipNorm, E> {
        if on { Err(E::invalid_value(de::Unexpected::Bool(on), &self)) } else { Ok(ClipNorm::Off) }
    }

    fn visit_f64<E: de::Error>(self, limit: f64) -> Result<ClipNorm, E> {
        Ok(ClipNorm::At(limit))
    }

    fn visit_i64<E: de::Error>(self, limit: i64) -> Result<ClipNorm, E> {
        Ok(ClipNorm::At(limit as f64))
    }

    fn visit_u64<E: de::Error>(self, limit: u64) -> Result<ClipNorm, E> {
        Ok(ClipNorm::At(limit as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_a_number_or_false_and_comes_back_as_it_was_written() {
        for (text, clip) in [("false", ClipNorm::Off), ("2.5", ClipNorm::At(2.5)), ("1", ClipNorm::At(1.0))] {
            let read: ClipNorm = serde_json::from_str(text).unwrap();
            assert_eq!(read, clip, "{text}");
            assert_eq!(serde_json::from_value::<ClipNorm>(serde_json::to_value(clip).unwrap()).unwrap(), clip);
        }
        for text in ["true", "\"none\"", "null", "[]"] {
            let error = serde_json::from_str::<ClipNorm>(text).unwrap_err().to_string();
            assert!(error.contains("`false`"), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_larger_is_scaled_to_the_norm() {
        assert_eq!(ClipNorm::At(1.0).factor(4.0), Some(0.25));
        assert_eq!(ClipNorm::At(1.0).factor(0.5), None);
        assert_eq!(ClipNorm::Off.factor(4.0), None);
        for limit in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(ClipNorm::At(limit).problem().is_some_and(|problem| problem.contains("`false`")), "{limit}");
        }
    }
}
