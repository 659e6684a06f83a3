//! What double precision can carry.
//!
//! Numbers end at 1e308 and, below, at 1e-308. Expectations multiply the squares of a rate and of a distance by an
//! eigenvalue or two. With eigenvalues between 1e-100 and 1e100, starts and variances up to 1e12, that fits; numbers
//! outside are refused, where they are read.

use std::ops::RangeInclusive;

use kiln_settings::Violation;

/// What eigenvalues may be.
pub(crate) const CARRIED: RangeInclusive<f64> = 1e-100..=1e100;

/// What rates may begin with: somewhat more than the inverse of an eigenvalue.
pub(crate) const RATES: RangeInclusive<f64> = 1e-120..=1e120;

/// What features and targets may be in size, unless they are 0: an eigenvalue is a feature's square.
pub(crate) const DATA: RangeInclusive<f64> = 1e-50..=1e50;

/// A number that is too large or too small, and is not wrong otherwise.
pub(crate) fn carried(key: impl Into<String>, value: f64) -> Option<Violation> {
    (!CARRIED.contains(&value)).then(|| {
        let (least, most) = CARRIED.into_inner();
        Violation::new(key, format!("must be from {least:e} to {most:e}, is {value:e}"))
            .with_help("squares of others leave the range of double precision; write the problem in another unit")
    })
}
