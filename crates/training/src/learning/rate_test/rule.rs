//! Which rate is read off a range test.
//!
//! Two rates of the test say what a model can take. One is how far its weights have to go: the sum of all rates with
//! which the first part of the loss's fall was made, since they all move the weights in one direction then. It is the
//! lower one; the other is the rate at which training diverges. The best rate is a part of their geometric mean, which
//! part was measured: `docs/find-rate.md`.

use kiln_optimization::optimizers::OptimizerConfig;

/// The part of the loss's whole fall that is the first part.
pub(super) const EARLY: f64 = 0.15;

/// What the rule takes from the optimizer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateRule {
    /// The part of the geometric mean.
    share: f64,
    /// The highest rate that is tried unless another one is asked for. Training that diverges nowhere below counts as
    /// diverging there.
    pub highest: f64,
}

impl RateRule {
    /// Measured with AdamW and with plain gradient descent, whose updates are as long as the gradient is. The others
    /// are taken for AdamW: they bring the gradient to unit size too.
    pub fn of(optimizer: &OptimizerConfig) -> Self {
        match optimizer {
            OptimizerConfig::Sgd(_) | OptimizerConfig::ScheduleFreeSgd(_) => Self { share: 0.7, highest: 100.0 },
            _ => Self { share: 0.15, highest: 1.0 },
        }
    }

    /// The rate for a way to go and a rate of divergence, or the last one tried.
    pub(super) fn rate(self, way: f64, diverged: f64) -> f64 {
        self.share * (way * diverged.min(self.highest)).sqrt()
    }
}
