//! Whether a noisy loss still falls.

use serde::{Deserialize, Serialize};

/// Blocks that a window has at least. From half of them the standard error comes, with 7 degrees of freedom.
const BLOCKS: usize = 16;

/// Blocks after which an undecided window is tested again; at twice `BLOCKS`, neighbours become one.
const MORE: usize = 4;

/// A test whether a loss has come to rest, from the losses alone.
///
/// A window of losses is cut into 16 blocks. D is the mean of its first half less that of its second half, and e its
/// standard error, from the scatter of the means of the second half's n = 8 blocks: sqrt(2 s² / n) (batch means, Law
/// and Kelton, "Simulation Modeling and Analysis"). Losses that follow each other may be correlated; means of blocks
/// that are longer than the correlation lasts are not. The second half alone gives it, since a first half in which the
/// loss falls scatters by its fall. What counts as a fall is a part, `tolerance`, of S: the fall seen since the rate
/// was last changed, or, where that is more, `factor` times what S was before, since the floor falls as the rate does.
///
/// - D + z e <= tolerance S: **at rest**. A loss that falls by more passes for resting in the share of Student's
///   distribution with n - 1 degrees of freedom beyond z: 4.3 % of the tests for z = 2.
/// - D - z e > tolerance S: **falling**; the next window begins with the last 8 blocks.
/// - else **undecided**: the losses don't say. The window goes on, and is tested after every 4 more blocks; of 32
///   blocks, neighbours become one.
///
/// So a window that is too short for its noise grows by itself, and nothing is concluded from a lack of evidence. Where
/// the loss has never been seen to fall, S is 0, and only a loss that rises is called resting.
///
/// Stochastic gradient descent at a constant rate first moves towards the minimum and then about it; finding the change
/// from what a run shows goes back to Pflug, "Non-asymptotic Confidence Bounds for Stochastic Approximation Algorithms
/// with Constant Step Size", 1990, with inner products of gradients. That resting has to be proven, within a tolerance,
/// is the test of Lang, Zhang and Xiao, "Using Statistics to Automate Stochastic Optimization" (SASA), 2019, whose
/// statistic is of weights and gradients. A schedule is shown losses alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StallTest {
    /// Losses in a block.
    block: u64,
    /// Means of the blocks of this window that are full.
    means: Vec<f64>,
    /// Losses in the block that isn't, and their sum.
    count: u64,
    sum: f64,
    /// The mean of the first block since the rate was changed.
    first: Option<f64>,
    /// The least that S is.
    fall: f64,
}

/// What a window of losses says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finding {
    /// The loss falls.
    Falling,
    /// It has come to rest, or rises.
    AtRest,
    /// The noise hides which.
    Undecided,
}

impl StallTest {
    /// A test whose first window has `window` losses, rounded up to blocks of the same length.
    pub fn new(window: u64) -> Self {
        let block = window.div_ceil(BLOCKS as u64).max(1);
        Self { block, means: Vec::new(), count: 0, sum: 0.0, first: None, fall: 0.0 }
    }

    /// Takes the next loss. At the end of a window it says what the window shows, at `standard_errors` z and
    /// `tolerance`.
    pub fn observe(&mut self, loss: f64, standard_errors: f64, tolerance: f64) -> Option<Finding> {
        self.sum += loss;
        self.count += 1;
        if self.count < self.block {
            return None;
        }
        let mean = self.sum / self.count as f64;
        (self.count, self.sum) = (0, 0.0);
        self.first.get_or_insert(mean);
        self.means.push(mean);
        let is_to_be_tested = self.means.len() >= BLOCKS && self.means.len().is_multiple_of(MORE);
        is_to_be_tested.then(|| self.conclude(standard_errors, tolerance))
    }

    fn conclude(&mut self, standard_errors: f64, tolerance: f64) -> Finding {
        let (first, second) = self.means.split_at(self.means.len() / 2);
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let (before, now) = (mean(first), mean(second));
        let n = second.len() as f64;
        let variance = second.iter().map(|value| (value - now).powi(2)).sum::<f64>() / (n - 1.0);
        let margin = standard_errors * (2.0 * variance / n).sqrt();
        let seen = self.first.map_or(0.0, |first| first - now).max(self.fall);
        let (fall, least) = (before - now, tolerance * seen);
        if fall + margin <= least {
            self.fall = seen;
            self.means.clear();
            Finding::AtRest
        } else if fall - margin > least {
            self.means.drain(..self.means.len() - BLOCKS / 2);
            Finding::Falling
        } else {
            if self.means.len() >= 2 * BLOCKS {
                self.means = self.means.chunks_exact(2).map(mean).collect();
                self.block = self.block.saturating_mul(2);
            }
            Finding::Undecided
        }
    }

    /// Begins anew after the rate was multiplied by `factor`, with windows `growth` times as long.
    pub fn rate_was_cut(&mut self, factor: f64, growth: f64) {
        // A window beyond any run means that there is no further cut.
        let block = (self.block as f64 * growth).ceil() as u64;
        *self = Self { block: block.max(1), fall: factor * self.fall, ..Self::new(1) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window of 16 losses, a block each: the first half is 5, the second has mean `now` and deviations of +-1, so s²
    /// = 8/7 and the standard error is sqrt(2/7).
    fn window(now: f64) -> Vec<f64> {
        [vec![5.0; 8], [now - 1.0, now + 1.0].repeat(4)].concat()
    }

    #[test]
    fn resting_and_falling_losses_are_told_apart_by_hand() {
        let error = (2.0_f64 / 7.0).sqrt();
        let finding = |now: f64, standard_errors: f64, tolerance: f64| {
            let mut test = StallTest::new(16);
            let found: Vec<_> =
                window(now).into_iter().map(|loss| test.observe(loss, standard_errors, tolerance)).collect();
            assert_eq!(found[..15], [None; 15]);
            found[15]
        };
        // The fall is 2, and so is what was seen since the first block: at tolerance 1/4 it is falling by less than 1.5
        // standard errors' worth, and at 3/4 resting by less than -0.5.
        for (standard_errors, tolerance, expected) in [
            (1.5 / error - 1e-9, 0.25, Finding::Falling),
            (1.5 / error + 1e-9, 0.25, Finding::Undecided),
            (0.5 / error - 1e-9, 1.25, Finding::AtRest),
            (0.5 / error + 1e-9, 1.25, Finding::Undecided),
        ] {
            assert_eq!(finding(3.0, standard_errors, tolerance), Some(expected), "{standard_errors} {tolerance}");
        }
        // A loss that was never seen to fall: level is no evidence, a rise is.
        assert_eq!(finding(5.0, 0.1, 0.5), Some(Finding::Undecided));
        assert_eq!(finding(7.0, 2.0 / error - 1e-9, 0.5), Some(Finding::AtRest));
    }

    #[test]
    fn an_undecided_window_is_tested_again_with_more_losses() {
        let mut test = StallTest::new(16);
        let undecided: Vec<_> = window(3.0).into_iter().map(|loss| test.observe(loss, 9.0, 0.25)).collect();
        assert_eq!(undecided[15], Some(Finding::Undecided));
        // With 16 losses of 1 the halves are 5 and 3, eight times each, and 1 without scatter: a fall of 4 - 1.
        let rest: Vec<_> = (0..16).map(|_| test.observe(1.0, 9.0, 0.25)).collect();
        let tests = [3, 7, 11, 15].map(|place| rest[place]);
        let undecided = Some(Finding::Undecided);
        assert_eq!(tests, [undecided, undecided, undecided, Some(Finding::Falling)]);
        // What fell is left out. It was seen to fall by 5 - 1, so a rest without scatter is one.
        let rest: Vec<_> = (0..8).map(|_| test.observe(1.0, 9.0, 0.25)).collect();
        assert_eq!(rest[7], Some(Finding::AtRest));
        // Blocks are now 2.5 times as long, rounded up, and a quarter of half the fall is none.
        test.rate_was_cut(0.5, 2.5);
        let next: Vec<_> = (0..48).map(|t| test.observe(if t < 24 { 1.0 } else { 0.51 }, 9.0, 0.25)).collect();
        assert_eq!(next.iter().position(Option::is_some), Some(47));
        assert_eq!(next[47], Some(Finding::AtRest));
    }

    #[test]
    fn in_a_long_window_neighbouring_blocks_become_one() {
        let mut test = StallTest::new(16);
        // 5, then 2 and 4 in turns: pairs of them are 3 without scatter.
        let losses = [vec![5.0; 8], [2.0, 4.0].repeat(12)].concat();
        let found: Vec<_> = losses.into_iter().filter_map(|loss| test.observe(loss, 9.0, 0.25)).collect();
        assert_eq!(found, [Finding::Undecided; 5]);
        // Twenty blocks of two: the first half is 4 times 5 and 6 times 3, the second 3, and 0.8 is a fall.
        let more: Vec<_> = [2.0, 4.0].repeat(4).into_iter().map(|loss| test.observe(loss, 9.0, 0.25)).collect();
        assert_eq!(more.iter().position(Option::is_some), Some(7));
        assert_eq!(more[7], Some(Finding::Falling));
    }

    /// Losses about a level with deviations that depend on the one before: x_t = a x_(t-1) + normal.
    fn correlated(level: impl Fn(usize) -> f64, a: f64, draws: &mut Draws, count: usize) -> Vec<f64> {
        let mut deviation = 0.0;
        (0..count)
            .map(|t| {
                deviation = a * deviation + draws.normal();
                level(t) + deviation
            })
            .collect()
    }

    /// SplitMix64 (Steele, Lea and Flood 2014) and the sum of twelve uniform numbers, which is normal enough here.
    struct Draws(u64);

    impl Draws {
        fn normal(&mut self) -> f64 {
            let mut uniform = || {
                self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut z = self.0;
                z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                (z ^ (z >> 31)) as f64 / 2.0_f64.powi(64)
            };
            (0..12).map(|_| uniform()).sum::<f64>() - 6.0
        }
    }

    /// The promise at two standard errors is 4.3 %, whether losses are alike, independent or alternate; a test on
    /// single losses breaks it under correlation. 400 windows: the standard error of a share is 1 %.
    #[test]
    fn a_loss_that_falls_rarely_passes_for_resting_and_one_that_rests_is_found() {
        for a in [-0.5, 0.0, 0.5, 0.8] {
            let mut draws = Draws(1);
            let (mut false_rests, mut rests) = (0, 0);
            for _ in 0..400 {
                // Seen to fall by 100; a tenth of it from half to half is the least fall.
                let after = |fall: f64, draws: &mut Draws| {
                    let mut test = StallTest::new(400);
                    test.first = Some(100.0);
                    let level = |t: usize| if t < 200 { fall } else { 0.0 };
                    let losses = correlated(level, a, draws, 400);
                    losses.into_iter().filter_map(|loss| test.observe(loss, 2.0, 0.01)).next()
                };
                false_rests += usize::from(after(1.0, &mut draws) == Some(Finding::AtRest));
                rests += usize::from(after(0.0, &mut draws) == Some(Finding::AtRest));
            }
            // Neighbouring blocks of 25 hardly depend on each other.
            assert!((1..=30).contains(&false_rests), "{a}: {false_rests} of 400 false");
            assert!(a > 0.7 || rests > 300, "{a}: {rests} of 400 found");
        }
    }
}
