//! How long an experiment will take, said at the beginning of a long one.

use std::time::{Duration, Instant};

use kiln_convergence::Progress;

use crate::training_display::duration;

/// After this long the speed is known well enough,
const SOON: Duration = Duration::from_secs(2);
/// and with more than this many seconds left it is worth saying.
const LONG: f64 = 30.0;

/// Looks at the first updates of an experiment.
pub(super) struct Forecast {
    /// When the first update was made, and how far the experiment was then.
    first: Option<(Instant, u64)>,
    is_over: bool,
}

impl Forecast {
    pub(super) fn new() -> Self {
        Self { first: None, is_over: false }
    }

    /// What to say, once.
    pub(super) fn words(&mut self, progress: Progress, now: Instant) -> Option<String> {
        let (started, done) = *self.first.get_or_insert((now, progress.done));
        let passed = now.duration_since(started);
        if self.is_over || passed < SOON || progress.done == done {
            return None;
        }
        self.is_over = true;
        let each = passed.as_secs_f64() / (progress.done - done) as f64;
        let left = each * progress.total.saturating_sub(progress.done) as f64;
        (left > LONG).then(|| {
            format!(
                "about {} at the speed of the first {} of {} updates; `evaluate-every` or fewer `repeats` shorten it",
                duration(left),
                progress.done,
                progress.total
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_experiment_says_how_long_it_will_take_once_and_a_short_one_nothing() {
        let start = Instant::now();
        let after = |seconds: u64| start + Duration::from_secs(seconds);
        let at = |done: u64| Progress { done, total: 1001 };
        let mut long = Forecast::new();
        assert_eq!(long.words(at(1), start), None);
        assert_eq!(long.words(at(11), after(1)), None);
        // Forty updates in four seconds, 960 left.
        let words = long.words(at(41), after(4)).unwrap();
        assert!(words.starts_with(&format!("about {} at the speed of the first 41", duration(96.0))), "{words}");
        assert_eq!(long.words(at(51), after(5)), None);
        let mut short = Forecast::new();
        short.words(at(1), start);
        assert_eq!(short.words(at(900), after(3)), None);
    }
}
