//! Attention and positions.

use burn::tensor::{Device, Tensor};
use kiln_kernels::{AttentionHeads, AttentionScores, reference};

use super::super::meters::Work;
use super::inputs::{self, Kernel, count, numbers, tracked};

/// Rows, steps, heads and their width: those of a small transformer, and of one of 10 million parameters.
const SIZES: [[usize; 4]; 2] = [[12, 64, 4, 32], [8, 256, 6, 64]];

fn heads(heads: usize, width: usize) -> AttentionHeads {
    AttentionHeads { queries: heads, key_values: heads, width }
}

fn scores(width: usize) -> AttentionScores {
    AttentionScores { scale: (width as f64).powf(-0.5), soft_cap: None, window: None }
}

fn fused(heads: AttentionHeads) -> impl Fn(Tensor<3>) -> Tensor<3> {
    move |packed| kiln_kernels::causal_attention(packed, heads, scores(heads.width), 0.0, None)
}

fn composed(heads: AttentionHeads) -> impl Fn(Tensor<3>) -> Tensor<3> {
    move |packed| reference::causal_attention(packed, heads, scores(heads.width), None)
}

/// Each query and key that it sees take two products of D numbers forward, and four more backward from weights that are
/// kept; a body that keeps none has a fifth to do.
fn causal([rows, steps, heads, width]: [usize; 4], sides: [Work<'static>; 2], products: f64, columns: usize) -> Kernel {
    let pairs = count([rows, heads, steps, steps + 1]) / 2.0;
    let shape = format!("{rows} x {steps}, {heads} heads of {width}");
    let numbers = count([rows, steps, columns * heads * width]);
    Kernel::new(shape, sides, products * 2.0 * width as f64 * pairs, numbers)
}

pub(super) fn forward(device: &Device) -> Vec<Kernel> {
    let kernel = |sizes @ [rows, steps, count, width]: [usize; 4]| {
        let packed = numbers::<3>([rows, steps, 3 * count * width], device);
        let heads = heads(count, width);
        let sides = [inputs::forward(&packed, fused(heads)), inputs::forward(&packed, composed(heads))];
        // Queries, keys, values; output.
        causal(sizes, sides, 2.0, 4)
    };
    SIZES.map(kernel).into()
}

pub(super) fn with_backward(device: &Device) -> Vec<Kernel> {
    let kernel = |sizes @ [rows, steps, count, width]: [usize; 4]| {
        let sides = sides_with_backward(rows, steps, heads(count, width), device);
        // Queries, keys and values twice and their gradients; the output and its gradient.
        causal(sizes, sides, 6.0, 11)
    };
    SIZES.map(kernel).into()
}

fn sides_with_backward(rows: usize, steps: usize, heads: AttentionHeads, device: &Device) -> [Work<'static>; 2] {
    let packed = tracked::<3>([rows, steps, 3 * heads.queries * heads.width], device);
    [inputs::with_backward(&packed, fused(heads)), inputs::with_backward(&packed, composed(heads))]
}

/// The last of many positions, as text is written.
pub(super) fn cached(device: &Device) -> Vec<Kernel> {
    let kernel = |[capacity, heads, width]: [usize; 3]| {
        let cache = || numbers::<4>([1, heads, capacity, width], device);
        let inputs = (numbers::<3>([1, 1, heads * width], device), cache(), cache());
        type Form = fn(Tensor<3>, Tensor<4>, Tensor<4>, &[usize], AttentionScores) -> Tensor<3>;
        let side = |form: Form| {
            inputs::forward(&inputs, move |(query, keys, values)| {
                form(query, keys, values, &[capacity - 1], scores(width))
            })
        };
        let sides = [side(kiln_kernels::cached_attention), side(reference::cached_attention)];
        let numbers = 2.0 * count([heads, capacity, width]);
        Kernel::new(format!("1 to {capacity}, {heads} heads of {width}"), sides, 2.0 * numbers, numbers)
    };
    [[256, 6, 64], [4096, 8, 64]].map(kernel).into()
}

pub(super) fn rotary(device: &Device) -> Vec<Kernel> {
    let [rows, steps, count_of_heads, width] = SIZES[1];
    let heads = heads(count_of_heads, width);
    let packed = tracked::<3>([rows, steps, 3 * count_of_heads * width], device);
    let table = || numbers::<2>([steps, width / 2], device);
    let inputs = (packed, Tensor::from_inner(table()), Tensor::from_inner(table()));
    let side = |form: fn(Tensor<3>, AttentionHeads, [Tensor<2>; 2], &[usize]) -> Tensor<3>| {
        let starts = vec![0; rows];
        inputs::with_backward(&inputs, move |(packed, cosines, sines)| form(packed, heads, [cosines, sines], &starts))
    };
    let sides = [side(kiln_kernels::rotate), side(reference::rotate)];
    // A pair takes four multiplications and two additions, in both passes; values are copied.
    let numbers = count([rows, steps, count_of_heads * width]);
    let shape = format!("{rows} x {steps}, {count_of_heads} heads of {width}");
    vec![Kernel::new(shape, sides, 2.0 * 3.0 * 2.0 * numbers, 4.0 * 3.0 * numbers)]
}
