//! Burn's own operations that everything else is measured by.

use burn::tensor::Device;

use super::super::speed::Cost;
use super::Kernel;
use super::inputs::{count, forward, numbers};

/// Products of two square matrices.
pub(super) fn products(device: &Device) -> Vec<Kernel> {
    [512, 1024].map(|side| product(device, side)).into()
}

fn product(device: &Device, side: usize) -> Kernel {
    let inputs = (numbers([side, side], device), numbers::<2>([side, side], device));
    Kernel {
        shape: format!("{side} x {side}"),
        fused: None,
        reference: forward::<_, 2>(&inputs, |(left, right)| left.matmul(right)),
        cost: Cost { flops: 2.0 * count([side; 3]), bytes: 3.0 * 4.0 * count([side; 2]) },
    }
}

/// An element-wise operation that does as little as there is to do: every number read, and one written for it.
pub(super) fn copies(device: &Device) -> Vec<Kernel> {
    let count = 1 << 24;
    let source = numbers::<1>([count], device);
    vec![Kernel {
        shape: count.to_string(),
        fused: None,
        reference: forward(&source, |source| source.add_scalar(1.0)),
        cost: Cost { flops: count as f64, bytes: 2.0 * 4.0 * count as f64 },
    }]
}
