//! A curve in bounded memory, and the range in which losses are drawn.

use super::state::State;

/// Points that a curve keeps at most: more than any terminal has dots.
const MOST: usize = 2048;
/// The part of the steps whose losses the axis shows: the first steep fall would press all the rest flat.
const SHOWN: f64 = 0.95;

/// Values by step. Where they get too many, every second one is left out, so that those that stay are evenly spaced.
#[derive(Debug, Clone, Default)]
pub(crate) struct Curve {
    kept: Vec<(f64, f64)>,
    newest: Option<(f64, f64)>,
    /// Steps from one that is kept to the next, less one.
    passed_over: u64,
}

impl Curve {
    pub(crate) fn push(&mut self, step: u64, value: f64) {
        let point = (step as f64, value);
        self.newest = Some(point);
        if self.kept.last().is_some_and(|last| step as f64 <= last.0 + self.passed_over as f64) {
            return;
        }
        if self.kept.len() == MOST {
            let mut is_odd = false;
            self.kept.retain(|_| {
                is_odd = !is_odd;
                is_odd
            });
            self.passed_over = 2 * self.passed_over + 1;
        }
        self.kept.push(point);
    }

    /// Forgets what comes after a step.
    pub(crate) fn cut(&mut self, step: u64) {
        self.kept.retain(|point| point.0 <= step as f64);
        self.newest = self.kept.last().copied();
    }

    /// The points in order, the newest among them.
    pub(crate) fn points(&self) -> Vec<(f64, f64)> {
        let last = self.kept.last().map(|point| point.0);
        let newest = self.newest.filter(|newest| Some(newest.0) != last);
        self.kept.iter().copied().chain(newest).collect()
    }

    pub(crate) fn newest(&self) -> Option<f64> {
        self.newest.map(|point| point.1)
    }
}

/// The losses that the plot shows: from the lowest of all, the floor included, to that below which the training loss
/// of 95 of 100 steps lies, but at least to the newest ones.
pub(crate) fn loss_range(state: &State) -> [f64; 2] {
    let evaluations = || state.evaluations.iter().map(|evaluated| evaluated.loss);
    let losses = with_steps(&state.training.points());
    let all = losses.iter().map(|(loss, _)| *loss).chain(evaluations()).filter(|loss| loss.is_finite());
    let Some((lowest, highest)) = all.fold(None, |range: Option<(f64, f64)>, loss| {
        Some(range.map_or((loss, loss), |(low, high)| (low.min(loss), high.max(loss))))
    }) else {
        return [0.0, 1.0];
    };
    let shown = highest_of_most(losses).unwrap_or(highest);
    let newest = [state.training.newest(), evaluations().next_back()];
    let top = newest.into_iter().flatten().filter(|loss| loss.is_finite()).fold(shown, f64::max);
    let bottom = state.facts.floor.map_or(lowest, |floor| floor.min(lowest));
    let margin = (0.03 * (top - bottom)).max(1e-3);
    [bottom - margin, top + margin]
}

/// Finite losses, each with the steps since the one before: of a log there are fewer points than of what is watched.
fn with_steps(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let before = std::iter::once(0.0).chain(points.iter().map(|point| point.0));
    let with_steps = points.iter().zip(before).map(|((step, loss), before)| (*loss, step - before));
    with_steps.filter(|(loss, _)| loss.is_finite()).collect()
}

/// The loss below which those of most steps lie.
fn highest_of_most(mut losses: Vec<(f64, f64)>) -> Option<f64> {
    losses.sort_by(|left, right| left.0.total_cmp(&right.0));
    let shown = SHOWN * losses.iter().map(|(_, steps)| steps).sum::<f64>();
    let mut steps = 0.0;
    let reached = losses.iter().find(|(_, more)| {
        steps += more;
        steps >= shown
    });
    reached.or(losses.last()).map(|(loss, _)| *loss)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::screen::state::{Facts, Happening, Numbers};

    #[test]
    fn a_long_curve_keeps_evenly_spaced_points_and_the_newest() {
        let mut curve = Curve::default();
        (1..=100_000_u64).for_each(|step| curve.push(step, step as f64));
        let points = curve.points();
        assert!(points.len() > MOST / 2 && points.len() <= MOST + 1, "{}", points.len());
        assert_eq!((points[0].0, points.last().unwrap().0), (1.0, 100_000.0));
        // 100,000 / 2048 is below 64.
        assert!(points.windows(2).rev().skip(1).all(|pair| pair[1].0 - pair[0].0 == 64.0), "{points:?}");
    }

    #[test]
    fn what_comes_after_a_step_is_forgotten() {
        let mut curve = Curve::default();
        (1..=10).for_each(|step| curve.push(step, 0.5));
        curve.cut(4);
        assert_eq!(curve.points().last(), Some(&(4.0, 0.5)));
        assert_eq!(curve.newest(), Some(0.5));
    }

    #[test]
    fn the_axis_leaves_out_the_first_fall_and_takes_in_the_floor_and_the_newest() {
        let mut state = State::new(Facts { steps: 100, floor: Some(0.5), ..Facts::default() });
        let update = |state: &mut State, step: u64, loss: f64| {
            let numbers =
                Numbers { step, loss, rate: 0.1, gradient_norm: 1.0, tokens_per_second: 1.0, seconds_left: 1.0 };
            state.apply(Happening::Updated(numbers), Instant::now());
        };
        update(&mut state, 1, 100.0);
        (2..=2000).for_each(|step| update(&mut state, step, 2.0));
        let [bottom, top] = loss_range(&state);
        assert!(bottom < 0.5 && bottom > 0.4 && top > 2.0 && top < 2.2, "{bottom} {top}");
        (2001..=2010).for_each(|step| update(&mut state, step, 50.0));
        assert!(loss_range(&state)[1] > 20.0);
    }

    #[test]
    fn a_point_of_the_log_counts_as_the_steps_that_it_stands_for() {
        let mut state = State::new(Facts { steps: 2000, ..Facts::default() });
        // The log of 1000 steps has 10 lines, at a loss that falls from 10; then come 1000 steps at 1.
        (1..=10).for_each(|line| state.training.push(100 * line, 11.0 - line as f64));
        (1001..=2000).for_each(|step| state.training.push(step, 1.0));
        // 1,900 of the 2,000 steps are at 9 or below.
        let [bottom, top] = loss_range(&state);
        assert!((top - 9.0 - 0.03 * 8.0).abs() < 1e-9 && (bottom - 1.0 + 0.03 * 8.0).abs() < 1e-9, "{bottom} {top}");
    }
}
