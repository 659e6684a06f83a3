//! Whether a noisy loss still falls.

use serde::{Deserialize, Serialize};

/// A test whether the losses of a window still fall by more than their noise: the mean of its first half against the
/// mean of
/// its second half, in units of the standard error of their difference (the statistic of Welch, "The Generalization of
/// 'Student's' Problem when Several Different Population Variances are Involved", 1947).
///
/// Stochastic gradient descent at a constant rate first moves towards the minimum and then about it; finding the
/// change from
/// what a run shows goes back to Pflug, "Non-asymptotic Confidence Bounds for Stochastic Approximation Algorithms
/// with Constant
/// Step Size", 1990, with inner products of gradients. A schedule is shown losses alone, so the losses are tested;
/// Lang, Zhang
/// and Xiao test another statistic in "Using Statistics to Automate Stochastic Optimization" (SASA), 2019.
///
/// # When it errs
/// - A window too short for the fall within it to rise above the noise is called stalled although the loss falls: too
///   early.
/// - Losses of successive batches that resemble one another (streams through one text) make the standard error too
///   small:
///   chance passes for a fall where there is none, and more often hides one that is there, so it errs both ways.
/// - At standard errors z, a loss that has come to rest passes for falling in the share 1 - Phi(z) of the windows (16
///   % for
///   z = 1): one window late, on average a fifth of one.
/// - A loss that rises counts as stalled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StallTest {
    /// Losses in a window.
    window: u64,
    /// Losses seen in this window.
    seen: u64,
    halves: [Moments; 2],
}

/// Mean and sum of squared deviations of some numbers, kept up by Welford's recurrence ("Note on a Method for
/// Calculating
/// Corrected Sums of Squares and Products", 1962).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Moments {
    count: u64,
    mean: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, value: f64) {
        self.count += 1;
        let deviation = value - self.mean;
        self.mean += deviation / self.count as f64;
        self.squares += deviation * (value - self.mean);
    }

    /// The squared standard error of the mean, s² / n.
    fn squared_error(&self) -> f64 {
        let n = self.count as f64;
        self.squares / (n - 1.0) / n
    }
}

impl StallTest {
    /// A test over windows of `window` losses, at least 4.
    pub fn new(window: u64) -> Self {
        Self { window: window.max(4), seen: 0, halves: [Moments::default(); 2] }
    }

    /// Takes the next loss. At the end of a window it says whether the loss has stalled, its fall being at most
    /// `standard_errors` standard errors, and begins the next window; `None` within one.
    pub fn observe(&mut self, loss: f64, standard_errors: f64) -> Option<bool> {
        let half = usize::from(self.seen >= self.window / 2);
        self.halves[half].add(loss);
        self.seen += 1;
        if self.seen < self.window {
            return None;
        }
        let [first, second] = self.halves;
        let fall = first.mean - second.mean;
        let error = (first.squared_error() + second.squared_error()).sqrt();
        *self = Self::new(self.window);
        Some(fall <= standard_errors * error)
    }

    /// Begins a new window of another length.
    pub fn restart(&mut self, window: u64) {
        *self = Self::new(window);
    }

    /// Losses in a window.
    pub fn window(&self) -> u64 {
        self.window
    }
}
