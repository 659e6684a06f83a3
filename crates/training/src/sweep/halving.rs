//! Successive halving (Jamieson and Talwalkar 2016, <https://arxiv.org/abs/1502.07943>), in the form that is the inner
//! loop of Hyperband (Li et al. 2018, <https://arxiv.org/abs/1603.06560>): all entrants are trained for a small part of
//! their steps, the best of them for a longer one, and so on, until one is trained to its end.
//!
//! Entrants that go on are resumed, not begun again, and their schedules are those of all their steps. So what comes
//! out of one that reaches its end is what would have come out had it been trained without a stop. It also means that
//! entrants are compared before their rates have come down.

use crate::config::RunConfig;

/// How entrants are left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Halving {
    entrants: usize,
    /// eta: one in so many goes on.
    factor: usize,
}

impl Halving {
    /// Halving of so many entrants of which one in `factor`, at least 2, goes on.
    pub fn new(entrants: usize, factor: u64) -> Self {
        Self { entrants, factor: usize::try_from(factor).unwrap_or(usize::MAX).max(2) }
    }

    /// How often entrants are compared, the last time at their end: 1 + floor(log n / log eta).
    pub fn rungs(&self) -> usize {
        let mut rungs = 1;
        let mut left = self.entrants / self.factor;
        while left > 0 {
            rungs += 1;
            left /= self.factor;
        }
        rungs
    }

    /// How many entrants take part in a rung, counted from 0: floor(n / eta^rung), but at least one.
    pub fn taking_part(&self, rung: usize) -> usize {
        (0..rung).fold(self.entrants, |left, _| left / self.factor).max(1)
    }

    /// After how many steps of a run the entrants of a rung are compared: steps / eta^(rungs after it), up to the next
    /// evaluation.
    pub fn steps(&self, run: &RunConfig, rung: usize) -> u64 {
        let after = self.rungs().saturating_sub(rung + 1);
        let part = (0..after).fold(run.steps, |steps, _| steps.div_ceil(self.factor as u64));
        part.div_ceil(run.evaluate_every).saturating_mul(run.evaluate_every).min(run.steps)
    }

    /// Of the entrants of a rung those that go on to the next one, the best first: `losses` has their loss, or nothing
    /// for one that diverged and can't go on. Of equal ones the first goes on.
    pub fn survivors(&self, rung: usize, losses: &[(usize, Option<f64>)]) -> Vec<usize> {
        let mut ranked: Vec<(usize, f64)> =
            losses.iter().filter_map(|(entrant, loss)| Some((*entrant, (*loss)?))).collect();
        ranked.sort_by(|left, right| left.1.total_cmp(&right.1));
        ranked.truncate(self.taking_part(rung + 1));
        ranked.into_iter().map(|(entrant, _)| entrant).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(steps: u64, evaluate_every: u64) -> RunConfig {
        toml::from_str(&format!("steps = {steps}\nbatch = 2\ncontext = 8\nevaluate-every = {evaluate_every}")).unwrap()
    }

    /// The bracket s = 4 of table 1 of the paper on Hyperband: R = 81, eta = 3, n = 81, 27, 9, 3, 1 with r = 1, 3, 9,
    /// 27, 81.
    #[test]
    fn the_rungs_are_those_of_the_paper() {
        let halving = Halving::new(81, 3);
        assert_eq!(halving.rungs(), 5);
        assert_eq!([0, 1, 2, 3, 4].map(|rung| halving.taking_part(rung)), [81, 27, 9, 3, 1]);
        assert_eq!([0, 1, 2, 3, 4].map(|rung| halving.steps(&run(81, 1), rung)), [1, 3, 9, 27, 81]);
    }

    #[test]
    fn rungs_end_at_evaluations() {
        let halving = Halving::new(6, 2);
        assert_eq!([0, 1, 2].map(|rung| halving.taking_part(rung)), [6, 3, 1]);
        assert_eq!([0, 1, 2].map(|rung| halving.steps(&run(1000, 100), rung)), [300, 500, 1000]);
        assert_eq!([0, 1, 2].map(|rung| halving.steps(&run(90, 250), rung)), [90, 90, 90]);
        assert_eq!((Halving::new(1, 2).rungs(), Halving::new(1, 2).steps(&run(10, 1), 0)), (1, 10));
    }

    #[test]
    fn the_best_go_on_and_what_diverged_does_not() {
        let halving = Halving::new(4, 2);
        let losses = [(0, Some(2.0)), (1, None), (2, Some(1.0)), (3, Some(2.0))];
        assert_eq!(halving.survivors(0, &losses), [2, 0]);
        assert_eq!(halving.survivors(0, &[(0, None), (1, None), (2, None), (3, Some(9.0))]), [3]);
        assert_eq!(halving.survivors(1, &[(2, Some(0.9)), (0, Some(0.8))]), [0]);
    }
}
