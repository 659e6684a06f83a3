//! Rules that many settings share, each `None` if the value keeps it.
//!
//! ```
//! use kiln_settings::rules;
//!
//! assert_eq!(rules::positive("rate", 0.1), None);
//! let broken = rules::below_one("betas", &[0.9, 1.5]).expect("1.5 is not below 1");
//! assert_eq!((broken.key.as_str(), broken.message.as_str()), ("betas", "each must be in [0, 1), is 1.5"));
//! ```

use crate::Violation;

/// A finite number above 0.
pub fn positive(key: &str, value: f64) -> Option<Violation> {
    (!(value > 0.0 && value.is_finite())).then(|| Violation::new(key, format!("must be above 0, is {value}")))
}

/// A finite number, `least` or more.
pub fn at_least(key: &str, least: f64, value: f64) -> Option<Violation> {
    (!(value >= least && value.is_finite()))
        .then(|| Violation::new(key, format!("must be {least} or more, is {value}")))
}

/// A finite number, 0 or more.
pub fn non_negative(key: &str, value: f64) -> Option<Violation> {
    at_least(key, 0.0, value)
}

/// A whole number, `least` or more.
pub fn whole_at_least(key: &str, least: u64, value: u64) -> Option<Violation> {
    (value < least).then(|| Violation::new(key, format!("must be {least} or more, is {value}")))
}

/// Numbers in [0, 1); the first other one is named.
pub fn below_one(key: &str, values: &[f64]) -> Option<Violation> {
    let wrong = values.iter().find(|value| !(0.0..1.0).contains(*value))?;
    let which = if values.len() > 1 { "each must" } else { "must" };
    Some(Violation::new(key, format!("{which} be in [0, 1), is {wrong}")))
}

/// A number in (0, 1).
pub fn inside_unit(key: &str, value: f64) -> Option<Violation> {
    (!(value > 0.0 && value < 1.0)).then(|| Violation::new(key, format!("must be above 0 and below 1, is {value}")))
}

/// A size between 1 and `most`.
pub fn size(key: &str, value: usize, most: usize) -> Option<Violation> {
    let fits = (1..=most).contains(&value);
    (!fits).then(|| Violation::new(key, format!("must be between 1 and {most}, is {value}")))
}

/// A probability below 1.
pub fn probability(key: &str, value: f64) -> Option<Violation> {
    let violation = || {
        let violation = Violation::new(key, format!("must be at least 0 and below 1, is {value}"));
        violation.with_help("it is the share that is dropped: 0.1 drops one number in ten, 0 none")
    };
    (!(0.0..1.0).contains(&value)).then(violation)
}
