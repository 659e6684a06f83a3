//! Quadratics whose gradients have noise of the same variance everywhere: each direction by itself, with momentum.

use nalgebra::{Matrix3, Vector3};

use super::{Exact, MOST_WORK, Momentum};
use crate::Trace;

/// A direction of a quadratic.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Direction {
    /// Lambda, the eigenvalue of the Hessian.
    pub eigenvalue: f64,
    /// Lambda e² / 2 at the start, e the distance from the minimum.
    pub start: f64,
}

/// A quadratic, with noise of a variance that is spread evenly over its directions.
#[derive(Debug, Clone, PartialEq)]
pub struct AdditiveNoise {
    /// The directions.
    pub directions: Vec<Direction>,
    /// sigma², E |g - grad F|² at a single sample.
    pub variance: f64,
}

impl AdditiveNoise {
    /// Directions of these eigenvalues at the minimum, without noise.
    pub(crate) fn at_rest(spectrum: &[f64]) -> Self {
        let directions = spectrum.iter().map(|eigenvalue| Direction { eigenvalue: *eigenvalue, start: 0.0 });
        Self { directions: directions.collect(), variance: 0.0 }
    }

    /// What is exact under rates known beforehand, those of `trace`.
    pub(super) fn exact(
        &self,
        momentum: Momentum,
        batch: Option<usize>,
        rate: Option<f64>,
        trace: Option<&Trace>,
    ) -> Exact {
        let noise = batch.map_or(0.0, |batch| self.variance / batch as f64);
        let updates = trace.map_or(0, |trace| trace.rates.len());
        let work = (updates * self.directions.len()) as f64 * if momentum.momentum > 0.0 { 16.0 } else { 4.0 };
        let is_affordable = work <= MOST_WORK;
        Exact {
            path: trace.filter(|_| is_affordable).map(|trace| self.path(momentum, noise, &trace.rates, &trace.times)),
            left_out: (!is_affordable).then_some((work, MOST_WORK)),
            floor: rate.filter(|_| batch.is_some()).and_then(|rate| self.floor(momentum, noise, rate)),
            factor: rate.filter(|_| batch.is_none()).map(|rate| self.factor(momentum, rate)),
            ..Exact::default()
        }
    }

    /// E F(w_t) - F* at each of `times`; `noise` is the variance of a mini-batch's gradient.
    pub(crate) fn path(&self, momentum: Momentum, noise: f64, rates: &[f64], times: &[u64]) -> Vec<f64> {
        let noise = noise / self.directions.len() as f64;
        let mut path = vec![0.0; times.len()];
        for direction in &self.directions {
            let mut moments = Vector3::new(2.0 * direction.start, 0.0, 0.0);
            let mut made = 0;
            for (error, time) in path.iter_mut().zip(times) {
                for rate in &rates[made..*time as usize] {
                    let step = Step::new(direction.eigenvalue, *rate, momentum);
                    if momentum.momentum > 0.0 {
                        moments = step.matrix() * moments + step.of_noise() * noise;
                    } else {
                        moments[0] = step.a * step.a * moments[0] + step.of_noise()[0] * noise;
                    }
                }
                made = *time as usize;
                *error += moments[0] / 2.0;
            }
        }
        path
    }

    /// What E F - F* ends at under a constant rate; `None` where a direction does not come to rest.
    pub(crate) fn floor(&self, momentum: Momentum, noise: f64, rate: f64) -> Option<f64> {
        let noise = noise / self.directions.len() as f64;
        let of_direction = |direction: &Direction| {
            let step = Step::new(direction.eigenvalue, rate, momentum);
            let rest = (Matrix3::identity() - step.matrix()).lu().solve(&(step.of_noise() * noise))?;
            (step.radius() < 1.0).then_some(rest[0] / 2.0)
        };
        self.directions.iter().map(of_direction).sum()
    }

    /// The factor of the error with each update in the end, without noise: that of the slowest direction.
    pub(crate) fn factor(&self, momentum: Momentum, rate: f64) -> f64 {
        let radius = |direction: &Direction| Step::new(direction.eigenvalue, rate, momentum).radius();
        self.directions.iter().map(radius).fold(0.0, f64::max).powi(2)
    }
}

/// One update of the error e and the velocity v in a direction, with noise xi in its gradient: with x = sqrt(lambda) e,
/// so that F is x² / 2, and y = v / sqrt(lambda),
///
/// x' = a x + b y + s sqrt(lambda) xi, y' = x + mu y + xi / sqrt(lambda),
///
/// where a = 1 - eta lambda, b = -eta lambda mu, s = -eta, or with a look-ahead a = 1 - eta lambda (1 + mu), b = -eta
/// lambda mu², s = -eta (1 + mu).
struct Step {
    a: f64,
    b: f64,
    s: f64,
    lambda: f64,
    mu: f64,
}

impl Step {
    fn new(lambda: f64, eta: f64, Momentum { momentum: mu, nesterov }: Momentum) -> Self {
        let h = eta * lambda;
        if nesterov {
            Self { a: 1.0 - h * (1.0 + mu), b: -h * mu * mu, s: -eta * (1.0 + mu), lambda, mu }
        } else {
            Self { a: 1.0 - h, b: -h * mu, s: -eta, lambda, mu }
        }
    }

    /// How (E x², E x y, E y²) become the next ones, without noise.
    fn matrix(&self) -> Matrix3<f64> {
        let Self { a, b, mu, .. } = *self;
        Matrix3::new(a * a, 2.0 * a * b, b * b, a, a * mu + b, b * mu, 1.0, 2.0 * mu, mu * mu)
    }

    /// What noise of variance 1 adds to them.
    fn of_noise(&self) -> Vector3<f64> {
        Vector3::new(self.s * self.s * self.lambda, self.s, 1.0 / self.lambda)
    }

    /// The largest modulus of the eigenvalues of the update.
    fn radius(&self) -> f64 {
        let Self { a, b, mu, .. } = *self;
        let (trace, determinant) = (a + mu, a * mu - b);
        let discriminant = trace * trace - 4.0 * determinant;
        if discriminant >= 0.0 { (trace.abs() + discriminant.sqrt()) / 2.0 } else { determinant.sqrt() }
    }
}
