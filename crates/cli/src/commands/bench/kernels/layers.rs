//! Burn's own operations that everything else is measured by, and what stands before and after attention and
//! recurrence, up to the losses.

use burn::tensor::{Device, Int, Tensor};
use kiln_kernels::{Activation, Draws, reference};

use super::super::meters::Work;
use super::super::speed::Cost;
use super::inputs::{Kernel, count, forward, integers, numbers, tracked, with_backward};

/// Tokens and width of a transformer of 10 million parameters at a batch of 8 windows of 256.
const ROWS: usize = 2048;
const WIDTH: usize = 384;

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

type Affine = fn(Tensor<2>, Tensor<2>, Option<Tensor<1>>, Option<Tensor<2>>) -> Tensor<2>;

/// Rows, columns in, columns out: the widest product of the transformer above, and one of a small transformer.
const PRODUCTS: [[usize; 3]; 2] = [[ROWS, WIDTH, 4 * WIDTH], [768, 128, 384]];

pub(super) fn affine_forward(device: &Device) -> Vec<Kernel> {
    let kernel = |shape @ [rows, inner, width]: [usize; 3]| {
        let inputs = (numbers([rows, inner], device), numbers([inner, width], device), numbers([width], device));
        let side = |form: Affine| forward(&inputs, move |(input, weight, bias)| form(input, weight, Some(bias), None));
        let numbers = count([rows, inner]) + count([inner, width]) + count([rows, width]);
        affine_kernel(shape, [side(kiln_kernels::affine), side(reference::affine)], 2.0, numbers)
    };
    PRODUCTS.map(kernel).into()
}

pub(super) fn affine(device: &Device) -> Vec<Kernel> {
    let kernel = |shape @ [rows, inner, width]: [usize; 3]| {
        let inputs = (tracked([rows, inner], device), tracked([inner, width], device), tracked([width], device));
        let side =
            |form: Affine| with_backward(&inputs, move |(input, weight, bias)| form(input, weight, Some(bias), None));
        // Input and weight are read twice and get a gradient; the output is written, its gradient read.
        let numbers = 3.0 * (count([rows, inner]) + count([inner, width])) + 2.0 * count([rows, width]);
        affine_kernel(shape, [side(kiln_kernels::affine), side(reference::affine)], 6.0, numbers)
    };
    PRODUCTS.map(kernel).into()
}

fn affine_kernel(
    shape @ [rows, inner, width]: [usize; 3],
    sides: [Work<'static>; 2],
    flops: f64,
    numbers: f64,
) -> Kernel {
    Kernel::new(format!("{rows} x {inner} x {width}"), sides, flops * count(shape), numbers)
}

pub(super) fn gelu(device: &Device) -> Vec<Kernel> {
    activation(device, Activation::Gelu, 14.0)
}

pub(super) fn gelu_tanh(device: &Device) -> Vec<Kernel> {
    activation(device, Activation::GeluTanh, 18.0)
}

pub(super) fn relu_squared(device: &Device) -> Vec<Kernel> {
    activation(device, Activation::ReluSquared, 4.0)
}

/// An activation that takes `flops` operations for value and derivative.
fn activation(device: &Device, activation: Activation, flops: f64) -> Vec<Kernel> {
    let (rows, width) = (ROWS, 4 * WIDTH);
    let input = tracked::<2>([rows, width], device);
    let side =
        |form: fn(Tensor<2>, Activation) -> Tensor<2>| with_backward(&input, move |input| form(input, activation));
    let sides = [side(kiln_kernels::activate), side(reference::activate)];
    let numbers = count([rows, width]);
    // The input is read in both passes, the output written, its gradient read, that of the input written.
    vec![Kernel::new(format!("{rows} x {width}"), sides, flops * numbers, 5.0 * numbers)]
}

pub(super) fn swiglu(device: &Device) -> Vec<Kernel> {
    let (rows, width) = (ROWS, 1024);
    let input = tracked::<2>([rows, 2 * width], device);
    let side = |form: fn(Tensor<2>) -> Tensor<2>| with_backward(&input, form);
    let sides = [side(kiln_kernels::swiglu), side(reference::swiglu)];
    let numbers = count([rows, width]);
    vec![Kernel::new(format!("{rows} x 2 · {width}"), sides, 14.0 * numbers, 8.0 * numbers)]
}

pub(super) fn layer_norm(device: &Device) -> Vec<Kernel> {
    let inputs = (tracked([ROWS, WIDTH], device), tracked([WIDTH], device), tracked([WIDTH], device));
    let side = |form: fn(Tensor<2>, Tensor<1>, Option<Tensor<1>>, f64) -> Tensor<2>| {
        with_backward(&inputs, move |(input, weight, bias)| form(input, weight, Some(bias), 1e-5))
    };
    let sides = [side(kiln_kernels::layer_norm), side(reference::layer_norm)];
    norm(sides, 19.0)
}

pub(super) fn rms_norm(device: &Device) -> Vec<Kernel> {
    let inputs = (tracked([ROWS, WIDTH], device), tracked([WIDTH], device));
    let side = |form: fn(Tensor<2>, Tensor<1>, f64) -> Tensor<2>| {
        with_backward(&inputs, move |(input, weight)| form(input, weight, 1e-5))
    };
    let sides = [side(kiln_kernels::rms_norm), side(reference::rms_norm)];
    norm(sides, 13.0)
}

fn norm(sides: [Work<'static>; 2], flops: f64) -> Vec<Kernel> {
    let numbers = count([ROWS, WIDTH]);
    vec![Kernel::new(format!("{ROWS} x {WIDTH}"), sides, flops * numbers, 5.0 * numbers)]
}

pub(super) fn dropout(device: &Device) -> Vec<Kernel> {
    let input = tracked::<2>([ROWS, WIDTH], device);
    let draw = Draws::from_seed(1).take();
    let fused = with_backward(&input, move |input| kiln_kernels::dropout(input, 0.2, draw));
    let reference = with_backward(&input, move |input| match draw {
        Some(draw) => reference::dropout(input, 0.2, draw),
        None => input,
    });
    let numbers = count([ROWS, WIDTH]);
    vec![Kernel::new(format!("{ROWS} x {WIDTH}"), [fused, reference], 2.0 * numbers, 4.0 * numbers)]
}

pub(super) fn embedding(device: &Device) -> Vec<Kernel> {
    let kernel = |vocabulary: usize| {
        let inputs = (tracked([vocabulary, WIDTH], device), integers::<2>([8, ROWS / 8], vocabulary, device));
        let side = |form: fn(Tensor<2>, Tensor<2, Int>) -> Tensor<3>| {
            with_backward(&inputs, move |(weight, indices)| form(weight, indices))
        };
        let sides = [side(kiln_kernels::embedding), side(reference::embedding)];
        // Rows read and written, their gradients read; a gradient of the table written.
        let (rows, table) = (count([ROWS, WIDTH]), count([vocabulary, WIDTH]));
        Kernel::new(format!("{ROWS} of {vocabulary} x {WIDTH}"), sides, rows, 3.0 * rows + table)
    };
    [65, 8192].map(kernel).into()
}

/// Rows and vocabulary: characters, byte pairs.
const LOGITS: [[usize; 2]; 2] = [[2048, 65], [1024, 8192]];

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
    LOGITS.map(kernel).into()
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
    LOGITS.map(kernel).into()
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
    LOGITS.map(kernel).into()
}
