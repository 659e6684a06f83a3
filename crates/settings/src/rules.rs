//! Rules that settings of several kinds share.

use crate::Violation;

/// The rule of a number above 0.
pub fn positive(key: &str, value: f64) -> Option<Violation> {
    (!(value > 0.0 && value.is_finite())).then(|| Violation::new(key, format!("must be above 0, is {value}")))
}

/// The rule of a size between 1 and `most`.
pub fn size(key: &str, value: usize, most: usize) -> Option<Violation> {
    let fits = (1..=most).contains(&value);
    (!fits).then(|| Violation::new(key, format!("must be between 1 and {most}, is {value}")))
}

/// The rule of a probability below 1.
pub fn probability(key: &str, value: f64) -> Option<Violation> {
    let violation = || {
        let violation = Violation::new(key, format!("must be at least 0 and below 1, is {value}"));
        violation.with_help("it is the share that is dropped: 0.1 drops one number in ten, 0 none")
    };
    (!(0.0..1.0).contains(&value)).then(violation)
}
