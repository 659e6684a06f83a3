//! What the machine itself reaches, to measure programs by.

use std::time::Duration;

use burn::tensor::{Device, Distribution, Tensor};
use serde::Serialize;

use super::meters::{Kept, Work, calls_in, seconds_a_call};
use super::statistics::median;
use crate::device::Chosen;

/// Rows and columns of the matrices that are multiplied.
const SIDE: usize = 1024;

/// Numbers that are copied, 128 MiB: more than any cache holds.
const COPIED: usize = 32 << 20;

/// How long one sample of a limit takes, about; how many samples there are.
const SAMPLE: Duration = Duration::from_millis(60);
const SAMPLES: usize = 5;

/// What the machine reached at one time.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Reading {
    /// In a product of two matrices of 1024 x 1024 32-bit floats by Burn, on the device.
    pub(super) matmul_flops_per_second: f64,
    /// In a copy of 128 MiB, read and written bytes together. On a processor it is the system's own copy by all
    /// threads; on other devices an operation of Burn's that reads and writes each number once.
    pub(super) copy_bytes_per_second: f64,
    /// In a sum of 128 MiB, which are only read, by all threads of a processor; `None` on other devices.
    pub(super) read_bytes_per_second: Option<f64>,
}

/// What the machine reaches: the mean of a reading before the rounds and one after them. Both are kept, since they
/// differ on a machine that had other things to do.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Limits {
    pub(super) matmul_flops_per_second: f64,
    pub(super) copy_bytes_per_second: f64,
    pub(super) read_bytes_per_second: Option<f64>,
    before: Reading,
    after: Reading,
}

impl Limits {
    pub(super) fn between(before: Reading, after: Reading) -> Self {
        Self {
            matmul_flops_per_second: f64::midpoint(before.matmul_flops_per_second, after.matmul_flops_per_second),
            copy_bytes_per_second: f64::midpoint(before.copy_bytes_per_second, after.copy_bytes_per_second),
            read_bytes_per_second: (before.read_bytes_per_second.zip(after.read_bytes_per_second))
                .map(|(before, after)| f64::midpoint(before, after)),
            before,
            after,
        }
    }

    /// For a person, in a line.
    pub(super) fn words(&self) -> String {
        let giga = |before: f64, after: f64| format!("{:.1} before, {:.1} after", before / 1e9, after / 1e9);
        let (before, after) = (&self.before, &self.after);
        let reading = self.read_bytes_per_second.map(|bytes| format!(", {:.1} GB/s in reading", bytes / 1e9));
        format!(
            "this machine: {:.1} GFLOP/s in a {SIDE} x {SIDE} matrix product ({}), {:.1} GB/s in a copy ({}){}",
            self.matmul_flops_per_second / 1e9,
            giga(before.matmul_flops_per_second, after.matmul_flops_per_second),
            self.copy_bytes_per_second / 1e9,
            giga(before.copy_bytes_per_second, after.copy_bytes_per_second),
            reading.unwrap_or_default(),
        )
    }
}

/// Measures both.
///
/// # Errors
/// When the device fails.
pub(super) fn read(chosen: &Chosen) -> anyhow::Result<Reading> {
    let device = &chosen.device;
    let flops = 2.0 * (SIDE as f64).powi(3);
    let bytes = 2.0 * (COPIED * size_of::<f32>()) as f64;
    let copying = if is_processor(chosen) { host_copying() } else { device_copying(device) };
    Ok(Reading {
        matmul_flops_per_second: flops / seconds(device, product(device))?,
        copy_bytes_per_second: bytes / seconds(device, copying)?,
        read_bytes_per_second: match is_processor(chosen) {
            true => Some(bytes / 2.0 / seconds(device, host_reading())?),
            false => None,
        },
    })
}

/// Whether the device computes in the memory of this process.
pub(super) fn is_processor(chosen: &Chosen) -> bool {
    ["cpu", "ndarray"].contains(&chosen.name.as_str())
}

/// The median of some samples, after a warm-up.
fn seconds(device: &Device, mut work: Work<'_>) -> anyhow::Result<f64> {
    let calls = calls_in(device, SAMPLE, &mut work)?;
    let samples: anyhow::Result<Vec<f64>> = (0..SAMPLES).map(|_| seconds_a_call(device, calls, &mut work)).collect();
    Ok(median(&samples?))
}

fn product(device: &Device) -> Work<'static> {
    let matrix = || Tensor::<2>::random([SIDE, SIDE], Distribution::Uniform(-1.0, 1.0), device);
    let (left, right) = (matrix(), matrix());
    Box::new(move || -> Kept { Box::new(left.clone().matmul(right.clone())) })
}

fn device_copying(device: &Device) -> Work<'static> {
    let numbers = Tensor::<1>::zeros([COPIED], device);
    Box::new(move || -> Kept { Box::new(numbers.clone().add_scalar(1.0)) })
}

/// Copies between two buffers that are written to beforehand, so that their pages are there; a part for each thread.
fn host_copying() -> Work<'static> {
    let (source, mut target) = (vec![1.0_f32; COPIED], vec![2.0_f32; COPIED]);
    let part = COPIED.div_ceil(threads());
    Box::new(move || -> Kept {
        std::thread::scope(|scope| {
            for (source, target) in source.chunks(part).zip(target.chunks_mut(part)) {
                scope.spawn(move || target.copy_from_slice(source));
            }
        });
        Box::new(())
    })
}

/// Adds up a buffer, a part in each thread.
fn host_reading() -> Work<'static> {
    let numbers = vec![1_u64; COPIED / 2];
    let part = numbers.len().div_ceil(threads());
    Box::new(move || -> Kept {
        let sum = |numbers: &[u64]| numbers.iter().fold(0_u64, |sum, number| sum.wrapping_add(*number));
        let sums: Vec<u64> = std::thread::scope(|scope| {
            let parts: Vec<_> = numbers.chunks(part).map(|part| scope.spawn(move || sum(part))).collect();
            parts.into_iter().filter_map(|part| part.join().ok()).collect()
        });
        Box::new(sums)
    })
}

/// As many as Burn computes with on the processor: rayon's rule.
fn threads() -> usize {
    let told = std::env::var("RAYON_NUM_THREADS").ok().and_then(|number| number.parse().ok());
    let told = told.filter(|&number: &usize| number > 0);
    told.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}
