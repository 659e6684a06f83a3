//! What stands between attention or recurrence and the loss.

use burn::tensor::{Device, Tensor};
use kiln_kernels::{Activation, Draws, reference};

use super::Kernel;
use super::inputs::{count, forward, integers, numbers, tracked, with_backward};

/// Tokens and width of a transformer of 10 million parameters at a batch of 8 windows of 256.
const ROWS: usize = 2048;
const WIDTH: usize = 384;

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
    sides: [super::Work<'static>; 2],
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

/// An activation with so many operations for value and derivative.
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

fn norm(sides: [super::Work<'static>; 2], flops: f64) -> Vec<Kernel> {
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
        let side = |form: fn(Tensor<2>, Tensor<2, burn::tensor::Int>) -> Tensor<3>| {
            with_backward(&inputs, move |(weight, indices)| form(weight, indices))
        };
        let sides = [side(kiln_kernels::embedding), side(reference::embedding)];
        // Rows read and written, their gradients read; a gradient of the table written.
        let (rows, table) = (count([ROWS, WIDTH]), count([vocabulary, WIDTH]));
        Kernel::new(format!("{ROWS} of {vocabulary} x {WIDTH}"), sides, rows, 3.0 * rows + table)
    };
    [65, 8192].map(kernel).into()
}
