//! From logits, or what they are projected from, to losses.

use burn::tensor::{Device, Int, Tensor};
use kiln_kernels::reference;

use super::Kernel;
use super::inputs::{count, forward, integers, numbers, tracked, with_backward};

/// Rows and vocabulary: characters, byte pairs.
const SIZES: [[usize; 2]; 2] = [[2048, 65], [1024, 8192]];

/// Columns of what is projected.
const WIDTH: usize = 384;

type CrossEntropy = fn(Tensor<2>, Tensor<1, Int>) -> Tensor<1>;

pub(super) fn cross_entropy_forward(device: &Device) -> Vec<Kernel> {
    let kernel = |[rows, vocabulary]: [usize; 2]| {
        let inputs = (numbers::<2>([rows, vocabulary], device), integers::<1>([rows], vocabulary, device));
        let side = |form: CrossEntropy| forward(&inputs, move |(logits, targets)| form(logits, targets));
        let sides = [side(kiln_kernels::cross_entropy), side(reference::cross_entropy)];
        let logits = count([rows, vocabulary]);
        // The largest, its difference, the exponential, the sum.
        Kernel::new(format!("{rows} x {vocabulary}"), sides, 4.0 * logits, logits)
    };
    SIZES.map(kernel).into()
}

pub(super) fn cross_entropy(device: &Device) -> Vec<Kernel> {
    let kernel = |[rows, vocabulary]: [usize; 2]| {
        let inputs = (tracked::<2>([rows, vocabulary], device), integers::<1>([rows], vocabulary, device));
        let side = |form: CrossEntropy| with_backward(&inputs, move |(logits, targets)| form(logits, targets));
        let sides = [side(kiln_kernels::cross_entropy), side(reference::cross_entropy)];
        let logits = count([rows, vocabulary]);
        // Read in both passes, and their gradients written.
        Kernel::new(format!("{rows} x {vocabulary}"), sides, 7.0 * logits, 3.0 * logits)
    };
    SIZES.map(kernel).into()
}

pub(super) fn projected_cross_entropy(device: &Device) -> Vec<Kernel> {
    let kernel = |[rows, vocabulary]: [usize; 2]| {
        let (hidden, weight) = (tracked::<2>([rows, WIDTH], device), tracked::<2>([WIDTH, vocabulary], device));
        let inputs = (hidden, weight, integers::<1>([rows], vocabulary, device));
        let side = |form: fn(Tensor<2>, Tensor<2>, Option<Tensor<1>>, Tensor<1, Int>) -> Tensor<1>| {
            with_backward(&inputs, move |(hidden, weight, targets)| form(hidden, weight, None, targets))
        };
        let sides = [side(kiln_kernels::projected_cross_entropy), side(reference::projected_cross_entropy)];
        // Three products at least; a body that keeps no logits has a fourth to do.
        let flops = 3.0 * 2.0 * count([rows, WIDTH, vocabulary]) + 7.0 * count([rows, vocabulary]);
        let numbers = 3.0 * (count([rows, WIDTH]) + count([WIDTH, vocabulary]));
        Kernel::new(format!("{rows} x {WIDTH} x {vocabulary}"), sides, flops, numbers)
    };
    SIZES.map(kernel).into()
}
