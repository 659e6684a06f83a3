//! Checks shared by the configurations of the models.

use kiln_settings::Violation;

/// Adds a violation when `value` is not in `1..=most`.
pub(crate) fn check_size(violations: &mut Vec<Violation>, key: &str, value: usize, most: usize) {
    if value == 0 || value > most {
        violations.push(Violation::new(key, format!("must be between 1 and {most}, is {value}")));
    }
}

/// Adds a violation when `value` is not a probability below one.
pub(crate) fn check_probability(violations: &mut Vec<Violation>, key: &str, value: f64) {
    if !(0.0..1.0).contains(&value) {
        let violation = Violation::new(key, format!("must be at least 0 and below 1, is {value}"));
        violations.push(violation.with_help("it is the share that is dropped: 0.1 drops one number in ten, 0 none"));
    }
}

/// Adds a violation when `value` is not a finite number above zero.
pub(crate) fn check_positive(violations: &mut Vec<Violation>, key: &str, value: f64) {
    if !(value.is_finite() && value > 0.0) {
        violations.push(Violation::new(key, format!("must be a number above 0, is {value}")));
    }
}
