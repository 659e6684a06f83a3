//! Rules that settings of several kinds share.

use crate::Violation;

/// The rule of a number above 0.
pub fn positive(key: &str, value: f64) -> Option<Violation> {
    (!(value > 0.0 && value.is_finite())).then(|| Violation::new(key, format!("must be above 0, is {value}")))
}
