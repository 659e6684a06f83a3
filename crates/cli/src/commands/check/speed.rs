//! How fast a device multiplies matrices of the size that a run multiplies.

use std::time::{Duration, Instant};

use burn::tensor::{Device, Distribution, Tensor};
use kiln_training::config::Config;

/// How long the measurement takes.
const BUDGET: Duration = Duration::from_millis(300);

/// Products between two waits for the device: a GPU takes the next one while it computes.
const IN_A_ROW: u32 = 4;

/// The most floating-point operations of one product, few enough for a slow processor to do several.
const MOST_OPERATIONS: u64 = 400_000_000;

/// Rows, inner size and columns of the product that a run spends most of its time on.
pub(super) fn typical_product(config: &Config) -> [usize; 3] {
    let run = &config.run;
    let [rows, inner, columns] = config.model.training_costs(run.batch, run.context).typical_product;
    let (inner, columns) = (inner.min(8192), columns.min(8192));
    let affordable = MOST_OPERATIONS / (2 * inner as u64 * columns as u64).max(1);
    [rows.min(affordable.max(1) as usize), inner, columns]
}

/// How many operations one batch starts, forward and backward, with the steps of the optimizer, about.
pub(super) fn operations_started(config: &Config) -> f64 {
    config.model.training_costs(config.run.batch, config.run.context).operations as f64
}

/// Floating-point operations a second, a multiplication with its addition counted as two.
pub(super) fn measure(device: &Device, [rows, inner, columns]: [usize; 3]) -> anyhow::Result<f64> {
    let left = Tensor::<2>::random([rows, inner], Distribution::Uniform(-1.0, 1.0), device);
    let right = Tensor::<2>::random([inner, columns], Distribution::Uniform(-1.0, 1.0), device);
    // The first product pays for waking up threads and caches.
    let _ = left.clone().matmul(right.clone());
    device.sync()?;
    let started = Instant::now();
    let mut products = 0_u32;
    while started.elapsed() < BUDGET {
        for _ in 0..IN_A_ROW {
            let _ = left.clone().matmul(right.clone());
        }
        device.sync()?;
        products += IN_A_ROW;
    }
    let operations = 2.0 * rows as f64 * inner as f64 * columns as f64;
    Ok(operations * f64::from(products) / started.elapsed().as_secs_f64())
}
