//! Rules that the settings of several schedules share.

use kiln_settings::Violation;

pub(super) use kiln_settings::positive;

/// The rule of a whole number above 0.
pub(super) fn at_least_one(key: &str, value: u64) -> Option<Violation> {
    (value == 0).then(|| Violation::new(key, "must be 1 or more, is 0"))
}

/// The rule of a factor that makes a rate smaller.
pub(super) fn shrinking(key: &str, value: f64) -> Option<Violation> {
    (!(value > 0.0 && value < 1.0)).then(|| {
        Violation::new(key, format!("must be above 0 and below 1, is {value}"))
            .with_help("0.5 halves the rate each time")
    })
}

/// The rules of a decay from `rate` to `final_rate` over `steps` updates, the first `warmup` of which warm up.
pub(super) fn decay(rate: f64, final_rate: f64, warmup: u64, steps: u64) -> Vec<Violation> {
    let mut violations: Vec<_> = positive("rate", rate).into_iter().collect();
    violations.extend(lower_rate("final-rate", final_rate, rate));
    violations.extend(warmup_before(warmup, steps));
    violations
}

/// The rule of a rate between 0 and `rate`.
pub(super) fn lower_rate(key: &str, lower: f64, rate: f64) -> Option<Violation> {
    // What a broken rate is compared with is not told beside it.
    let rate_is_right = positive("rate", rate).is_none();
    (!(lower >= 0.0 && (lower <= rate || !rate_is_right)))
        .then(|| Violation::new(key, format!("must be between 0 and the rate ({rate}), is {lower}")))
}

/// The rule of a warm-up that leaves something of the `steps`.
pub(super) fn warmup_before(warmup: u64, steps: u64) -> Option<Violation> {
    (warmup >= steps).then(|| {
        Violation::new("warmup", format!("must be below the steps of the decay ({steps}), is {warmup}"))
            .with_help("a warm-up of 1 to 10 % of the steps is usual")
    })
}
