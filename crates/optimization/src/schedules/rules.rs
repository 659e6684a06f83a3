//! Rules that the settings of several schedules share, beside those that any settings share.

use kiln_settings::Violation;
pub(super) use kiln_settings::rules::{at_least, below_one, inside_unit, positive, whole_at_least};

/// A factor that makes a rate smaller.
pub(super) fn shrinking(key: &str, value: f64) -> Option<Violation> {
    inside_unit(key, value).map(|violation| violation.with_help("0.5 halves the rate each time"))
}

/// A decay from `rate` to `final_rate` over `steps` updates, the first `warmup` of which warm up.
pub(super) fn decay(rate: f64, final_rate: f64, warmup: u64, steps: u64) -> Vec<Violation> {
    let broken = [positive("rate", rate), lower_rate("final-rate", final_rate, rate), warmup_before(warmup, steps)];
    broken.into_iter().flatten().collect()
}

/// A rate between 0 and `rate`.
pub(super) fn lower_rate(key: &str, lower: f64, rate: f64) -> Option<Violation> {
    // If `rate` itself is broken, that alone is reported.
    let rate_is_right = positive("rate", rate).is_none();
    (!(lower >= 0.0 && (lower <= rate || !rate_is_right)))
        .then(|| Violation::new(key, format!("must be between 0 and the rate ({rate}), is {lower}")))
}

/// A warm-up that leaves some of the `steps`.
pub(super) fn warmup_before(warmup: u64, steps: u64) -> Option<Violation> {
    (warmup >= steps).then(|| {
        Violation::new("warmup", format!("must be below the steps of the decay ({steps}), is {warmup}"))
            .with_help("a warm-up of 1 to 10 % of the steps is usual")
    })
}
