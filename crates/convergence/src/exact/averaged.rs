//! The mean of w_0, ..., w_t under plain gradient descent: what its F is expected to be.
//!
//! With s the sum of all errors e so far, an update e' = (I - eta H) e - eta xi whose noise is new gives
//! E e' s'ᵀ = (I - eta H) E e sᵀ + E e' e'ᵀ and E s' s'ᵀ = E s sᵀ + (I - eta H) E e sᵀ + its transpose + E e' e'ᵀ.

use nalgebra::DMatrix;

use super::{AdditiveNoise, Exact, LeastSquares, MOST_WORK, Model};
use crate::Trace;

/// What is exact of a curve whose weights are averaged; `trace` has its rates, known beforehand.
pub(super) fn exact(model: Model<'_>, batch: Option<usize>, trace: &Trace) -> Exact {
    let updates = trace.rates.len() as f64;
    let (work, path): (f64, Box<dyn Fn() -> Vec<f64>>) = match (model, batch) {
        (Model::Additive(noise), _) => {
            let variance = batch.map_or(0.0, |batch| noise.variance / batch as f64);
            let path = move || of_additive(noise, variance, &trace.rates, &trace.times);
            (updates * 8.0 * noise.directions.len() as f64, Box::new(path))
        }
        (Model::LeastSquares(data), None) => {
            let noise = data.quadratic();
            let path = move || of_additive(noise, 0.0, &trace.rates, &trace.times);
            (updates * 8.0 * noise.directions.len() as f64, Box::new(path))
        }
        (Model::LeastSquares(data), Some(batch)) => {
            let path = move || of_least_squares(data, batch, &trace.rates, &trace.times);
            (updates * 2.0 * data.work(), Box::new(path))
        }
    };
    let is_affordable = work <= MOST_WORK;
    Exact {
        path: is_affordable.then(path),
        left_out: (!is_affordable).then_some((work, MOST_WORK)),
        ..Exact::default()
    }
}

/// At each of `times`; `noise` is the variance of a mini-batch's gradient.
pub(crate) fn of_additive(model: &AdditiveNoise, noise: f64, rates: &[f64], times: &[u64]) -> Vec<f64> {
    let noise = noise / model.directions.len() as f64;
    let mut path = vec![0.0; times.len()];
    for direction in &model.directions {
        // E x², E x s and E s², with x = sqrt(lambda) e and s its sum: F is x² / 2.
        let (mut square, mut cross, mut sum) = (2.0 * direction.start, 2.0 * direction.start, 2.0 * direction.start);
        let mut made = 0;
        for (error, time) in path.iter_mut().zip(times) {
            for rate in &rates[made..*time as usize] {
                let kept = 1.0 - rate * direction.eigenvalue;
                square = kept * kept * square + rate * rate * direction.eigenvalue * noise;
                sum += 2.0 * kept * cross + square;
                cross = kept * cross + square;
            }
            made = *time as usize;
            *error += sum / (2.0 * (*time as f64 + 1.0).powi(2));
        }
    }
    path
}

fn of_least_squares(data: &LeastSquares, batch: usize, rates: &[f64], times: &[u64]) -> Vec<f64> {
    let h = data.hessian();
    let mut moments = data.start();
    let mut cross: DMatrix<f64> = moments.second.clone();
    let mut sum = cross.clone();
    let mut made = 0;
    let mut path = Vec::with_capacity(times.len());
    for time in times {
        for rate in &rates[made..*time as usize] {
            data.update(&mut moments, batch, *rate);
            let kept = &cross - h * &cross * *rate;
            sum += &kept + kept.transpose() + &moments.second;
            cross = kept + &moments.second;
        }
        made = *time as usize;
        path.push(h.component_mul(&sum).sum() / (2.0 * (*time as f64 + 1.0).powi(2)));
    }
    path
}
