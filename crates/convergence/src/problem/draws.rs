//! Which samples a mini-batch has.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::config::Sampling;

/// What mini-batches are drawn from, for many rows side by side.
pub struct Draws {
    random: ChaCha8Rng,
    sampling: Sampling,
    /// The order of each row in its present epoch.
    orders: Vec<Vec<i64>>,
    /// How many samples of it have been taken.
    taken: usize,
}

impl Draws {
    /// Draws of random numbers.
    pub fn new(random: ChaCha8Rng, sampling: Sampling) -> Self {
        Self { random, sampling, orders: Vec::new(), taken: 0 }
    }

    /// Random numbers for noise that is added.
    pub(super) fn random(&mut self) -> &mut ChaCha8Rng {
        &mut self.random
    }

    /// The samples of a mini-batch for each of `rows` rows, out of `n`, row after row.
    ///
    /// Without replacement an epoch is as many whole mini-batches as there are; what remains is left out of it.
    pub(crate) fn samples(&mut self, rows: usize, batch: usize, n: usize) -> Vec<i64> {
        if self.sampling == Sampling::WithReplacement {
            return (0..rows * batch).map(|_| self.random.random_range(0..n) as i64).collect();
        }
        if self.orders.is_empty() {
            self.orders = vec![(0..n as i64).collect(); rows];
            self.taken = n;
        }
        if self.taken + batch > n {
            self.orders.iter_mut().for_each(|order| order.shuffle(&mut self.random));
            self.taken = 0;
        }
        let chosen = self.taken..self.taken + batch;
        self.taken += batch;
        self.orders.iter().flat_map(|order| &order[chosen.clone()]).copied().collect()
    }
}
