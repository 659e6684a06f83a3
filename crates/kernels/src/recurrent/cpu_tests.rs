use super::gru::cpu as gru_cpu;
use super::lstm::cpu as lstm_cpu;
use super::rnn::cpu::{self as rnn_cpu, Activation};
use super::steps::{Sizes, transposed};
use crate::cpu::Real;
use crate::cpu::tests::numbers;

/// T, B and H.
const SHAPES: [[usize; 3]; 7] = [[1, 1, 1], [3, 2, 5], [4, 3, 1], [1, 4, 7], [5, 1, 3], [2, 19, 2], [3, 3, 17]];

/// A shape whose rows are split, four and more to a thread.
const LARGE: [usize; 3] = [9, 23, 65];

fn sizes([steps, rows, width]: [usize; 3]) -> Sizes {
    Sizes { steps, rows, width }
}

/// Random arrays of the given lengths.
fn arrays<T: Real>(lengths: &[usize], seed: u64) -> Vec<Vec<T>> {
    lengths.iter().zip(seed..).map(|(length, seed)| numbers(*length, seed)).collect()
}

type Forward<T> = fn(Sizes, &[Vec<T>]) -> Vec<Vec<T>>;
type Backward<T> = fn(Sizes, &[Vec<T>], &[Vec<T>]) -> Vec<Vec<T>>;

/// A layer as a function of all its inputs, and its gradients, on lists of arrays.
struct Case {
    /// The lengths of the inputs.
    lengths: fn(Sizes) -> Vec<usize>,
    /// How many of the outputs, the first ones, have gradients.
    differentiable: usize,
    /// Outputs of the layer, in double precision by loops over numbers.
    naive: Forward<f64>,
    double: Passes<f64>,
    single: Passes<f32>,
}

struct Passes<T> {
    forward: Forward<T>,
    /// The gradients of the inputs, given those of the outputs.
    backward: Backward<T>,
}

impl Case {
    /// Random inputs, the weight as small as usual: larger ones make a chaotic network, or one whose outputs grow.
    fn inputs<T: Real>(&self, sizes: Sizes, seed: u64) -> Vec<Vec<T>> {
        let mut inputs = arrays(&(self.lengths)(sizes), seed);
        let scale = T::ONE / T::from_f64(sizes.width as f64).sqrt();
        inputs[1].iter_mut().for_each(|x| *x *= scale);
        inputs
    }
}

fn cases() -> [Case; 4] {
    [
        Case {
            lengths: lstm_lengths,
            differentiable: 2,
            naive: naive_lstm,
            double: Passes { forward: lstm_forward, backward: lstm_backward },
            single: Passes { forward: lstm_forward, backward: lstm_backward },
        },
        Case {
            lengths: gru_lengths,
            differentiable: 1,
            naive: naive_gru,
            double: Passes { forward: gru_forward, backward: gru_backward },
            single: Passes { forward: gru_forward, backward: gru_backward },
        },
        Case {
            lengths: rnn_lengths,
            differentiable: 1,
            naive: naive_rnn::<false>,
            double: Passes { forward: rnn_forward::<_, false>, backward: rnn_backward::<_, false> },
            single: Passes { forward: rnn_forward::<_, false>, backward: rnn_backward::<_, false> },
        },
        Case {
            lengths: rnn_lengths,
            differentiable: 1,
            naive: naive_rnn::<true>,
            double: Passes { forward: rnn_forward::<_, true>, backward: rnn_backward::<_, true> },
            single: Passes { forward: rnn_forward::<_, true>, backward: rnn_backward::<_, true> },
        },
    ]
}

// Inputs: projected, weight, h_0, c_0. Outputs: h, last c, gates, all c.

fn lstm_lengths(sizes: Sizes) -> Vec<usize> {
    vec![4 * sizes.sequence(), 4 * sizes.width * sizes.width, sizes.state(), sizes.state()]
}

fn lstm_layer<T: Real>(sizes: Sizes, inputs: &[Vec<T>]) -> lstm_cpu::Layer<'_, T> {
    lstm_cpu::Layer { sizes, weight: &inputs[1], hidden: &inputs[2], cell: &inputs[3] }
}

fn lstm_forward<T: Real>(sizes: Sizes, inputs: &[Vec<T>]) -> Vec<Vec<T>> {
    let mut gates = inputs[0].clone();
    let mut outputs = vec![T::from_f64(f64::NAN); sizes.sequence()];
    let mut cells = outputs.clone();
    lstm_cpu::forward(lstm_layer(sizes, inputs), &mut gates, &mut outputs, &mut cells);
    vec![outputs, cells[sizes.sequence() - sizes.state()..].to_vec(), gates, cells]
}

fn lstm_backward<T: Real>(sizes: Sizes, inputs: &[Vec<T>], gradients: &[Vec<T>]) -> Vec<Vec<T>> {
    let [outputs, _, mut gates, cells] = lstm_forward(sizes, inputs).try_into().unwrap();
    let states = lstm_cpu::States { outputs: &outputs, cells: &cells };
    let gradients = lstm_cpu::StateGradients { outputs: &gradients[0], last_cell: &gradients[1] };
    let result = lstm_cpu::backward(lstm_layer(sizes, inputs), states, gradients, &mut gates);
    vec![gates, result.weight, result.hidden, result.cell]
}

fn naive_lstm(sizes: Sizes, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let Sizes { rows, width, .. } = sizes;
    let (mut gates, mut hidden, mut cell) = (inputs[0].clone(), inputs[2].clone(), inputs[3].clone());
    let (mut outputs, mut cells) = (Vec::new(), Vec::new());
    for gates in gates.chunks_mut(4 * rows * width) {
        let before = hidden.clone();
        for (row, unit) in pairs(rows, width) {
            let values: [f64; 4] = std::array::from_fn(|gate| {
                let column = gate * width + unit;
                gates[row * 4 * width + column] + product(&before, &inputs[1], [width, 4 * width], row, column)
            });
            let [i, f, o] = [values[0], values[1], values[2]].map(sigmoid);
            let g = values[3].tanh();
            [i, f, o, g].iter().enumerate().for_each(|(gate, x)| gates[(row * 4 + gate) * width + unit] = *x);
            let at = row * width + unit;
            cell[at] = f * cell[at] + i * g;
            hidden[at] = o * cell[at].tanh();
        }
        outputs.extend(&hidden);
        cells.extend(&cell);
    }
    vec![outputs, cell, gates, cells]
}

// Inputs: projected, weight, d, h_0. Outputs: h, gates, inner products.

fn gru_lengths(sizes: Sizes) -> Vec<usize> {
    vec![3 * sizes.sequence(), 3 * sizes.width * sizes.width, sizes.width, sizes.state()]
}

fn gru_layer<T: Real>(sizes: Sizes, inputs: &[Vec<T>]) -> gru_cpu::Layer<'_, T> {
    gru_cpu::Layer { sizes, weight: &inputs[1], hidden_bias: &inputs[2], hidden: &inputs[3] }
}

fn gru_forward<T: Real>(sizes: Sizes, inputs: &[Vec<T>]) -> Vec<Vec<T>> {
    let mut gates = inputs[0].clone();
    let mut outputs = vec![T::from_f64(f64::NAN); sizes.sequence()];
    let mut inner = outputs.clone();
    gru_cpu::forward(gru_layer(sizes, inputs), &mut gates, &mut inner, &mut outputs);
    vec![outputs, gates, inner]
}

fn gru_backward<T: Real>(sizes: Sizes, inputs: &[Vec<T>], gradients: &[Vec<T>]) -> Vec<Vec<T>> {
    let [outputs, mut gates, mut inner] = gru_forward(sizes, inputs).try_into().unwrap();
    let layer = gru_layer(sizes, inputs);
    let result = gru_cpu::backward(layer, [&outputs, &gradients[0]], &mut gates, &mut inner);
    vec![gates, result.weight, result.hidden_bias, result.hidden]
}

fn naive_gru(sizes: Sizes, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let Sizes { rows, width, .. } = sizes;
    let (mut gates, mut hidden) = (inputs[0].clone(), inputs[3].clone());
    let (mut outputs, mut inner) = (Vec::new(), Vec::new());
    for gates in gates.chunks_mut(3 * rows * width) {
        let before = hidden.clone();
        for (row, unit) in pairs(rows, width) {
            let recurrent = |gate: usize| product(&before, &inputs[1], [width, 3 * width], row, gate * width + unit);
            let at = |gate: usize| (row * 3 + gate) * width + unit;
            let [r, z] = [0, 1].map(|gate| sigmoid(gates[at(gate)] + recurrent(gate)));
            let q = recurrent(2) + inputs[2][unit];
            let n = (gates[at(2)] + r * q).tanh();
            [r, z, n].into_iter().enumerate().for_each(|(gate, x)| gates[at(gate)] = x);
            inner.push(q);
            hidden[row * width + unit] = (1.0 - z) * n + z * before[row * width + unit];
        }
        outputs.extend(&hidden);
    }
    vec![outputs, gates, inner]
}

// Inputs: projected, weight, h_0. Outputs: h.

fn rnn_lengths(sizes: Sizes) -> Vec<usize> {
    vec![sizes.sequence(), sizes.width * sizes.width, sizes.state()]
}

fn rnn_layer<T: Real, const RELU: bool>(sizes: Sizes, inputs: &[Vec<T>]) -> rnn_cpu::Layer<'_, T> {
    let activation = if RELU { Activation::Relu } else { Activation::Tanh };
    rnn_cpu::Layer { sizes, activation, weight: &inputs[1], hidden: &inputs[2] }
}

fn rnn_forward<T: Real, const RELU: bool>(sizes: Sizes, inputs: &[Vec<T>]) -> Vec<Vec<T>> {
    let mut outputs = inputs[0].clone();
    rnn_cpu::forward(rnn_layer::<_, RELU>(sizes, inputs), &mut outputs);
    vec![outputs]
}

fn rnn_backward<T: Real, const RELU: bool>(sizes: Sizes, inputs: &[Vec<T>], gradients: &[Vec<T>]) -> Vec<Vec<T>> {
    let outputs = rnn_forward::<_, RELU>(sizes, inputs);
    let mut gradient = gradients[0].clone();
    let result = rnn_cpu::backward(rnn_layer::<_, RELU>(sizes, inputs), &outputs[0], &mut gradient);
    vec![gradient, result.weight, result.hidden]
}

fn naive_rnn<const RELU: bool>(sizes: Sizes, inputs: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let Sizes { rows, width, .. } = sizes;
    let (mut outputs, mut hidden) = (Vec::new(), inputs[2].clone());
    for projected in inputs[0].chunks(rows * width) {
        let before = hidden.clone();
        for (row, unit) in pairs(rows, width) {
            let sum = projected[row * width + unit] + product(&before, &inputs[1], [width, width], row, unit);
            hidden[row * width + unit] = if RELU { sum.max(0.0) } else { sum.tanh() };
        }
        outputs.extend(&hidden);
    }
    vec![outputs]
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn pairs(rows: usize, width: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..rows).flat_map(move |row| (0..width).map(move |unit| (row, unit)))
}

/// Element (row, column) of the product of matrices `[_, inner]` and `[inner, columns]`.
fn product(lhs: &[f64], rhs: &[f64], [inner, columns]: [usize; 2], row: usize, column: usize) -> f64 {
    (0..inner).map(|index| lhs[row * inner + index] * rhs[index * columns + column]).sum()
}

/// Asserts that two arrays differ by at most `tolerance` times the largest magnitude in the second.
fn assert_close(actual: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(actual.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let close = (actual - expected).abs() <= tolerance * largest;
        assert!(close, "{what}, number {index}: {actual} instead of {expected}, the largest being {largest}");
    }
}

#[test]
fn forward_passes_agree_with_loops_over_numbers() {
    for (number, case) in cases().iter().enumerate() {
        for shape in SHAPES.into_iter().chain([LARGE]) {
            let sizes = sizes(shape);
            let inputs = case.inputs(sizes, 1);
            let (actual, expected) = ((case.double.forward)(sizes, &inputs), (case.naive)(sizes, &inputs));
            for (index, (actual, expected)) in actual.iter().zip(&expected).enumerate() {
                assert_close(actual, expected, 1e-13, &format!("layer {number}, {shape:?}, output {index}"));
            }
        }
    }
}

#[test]
fn gradients_agree_with_finite_differences() {
    for (number, case) in cases().iter().enumerate() {
        for shape in SHAPES {
            let sizes = sizes(shape);
            let mut inputs = case.inputs(sizes, 11);
            let weights = arrays(&[sizes.sequence(), sizes.state()], 21);
            let actual = (case.double.backward)(sizes, &inputs, &weights);
            assert_eq!(actual.len(), inputs.len());
            for (index, actual) in actual.iter().enumerate() {
                let expected = finite_differences(case, sizes, &mut inputs, &weights, index);
                assert_close(actual, &expected, 1e-6, &format!("layer {number}, {shape:?}, input {index}"));
            }
        }
    }
}

/// The gradient of the weighted sum of a layer's outputs by input `index`, by central differences.
fn finite_differences(
    case: &Case,
    sizes: Sizes,
    inputs: &mut [Vec<f64>],
    weights: &[Vec<f64>],
    index: usize,
) -> Vec<f64> {
    const STEP: f64 = 1e-5;
    let loss = |inputs: &[Vec<f64>]| -> f64 {
        let outputs = (case.double.forward)(sizes, inputs);
        let dot = |(x, y): (&Vec<f64>, &Vec<f64>)| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        outputs.iter().zip(weights).take(case.differentiable).map(dot).sum()
    };
    let mut differences = Vec::new();
    for element in 0..inputs[index].len() {
        let value = inputs[index][element];
        let [above, below] = [value + STEP, value - STEP].map(|moved| {
            inputs[index][element] = moved;
            loss(inputs)
        });
        inputs[index][element] = value;
        differences.push((above - below) / (2.0 * STEP));
    }
    differences
}

fn widened(arrays: &[Vec<f32>]) -> Vec<Vec<f64>> {
    arrays.iter().map(|array| array.iter().map(|x| f64::from(*x)).collect()).collect()
}

#[test]
fn single_precision_agrees_with_double() {
    for (number, case) in cases().iter().enumerate() {
        for shape in [[1, 1, 1], [3, 2, 5], [7, 5, 33], LARGE] {
            let sizes = sizes(shape);
            let inputs = case.inputs(sizes, 31);
            let gradients = arrays(&[sizes.sequence(), sizes.state()], 41);
            let (wide, wide_gradients) = (widened(&inputs), widened(&gradients));
            let mut actual = (case.single.forward)(sizes, &inputs);
            actual.extend((case.single.backward)(sizes, &inputs, &gradients));
            let mut expected = (case.double.forward)(sizes, &wide);
            expected.extend((case.double.backward)(sizes, &wide, &wide_gradients));
            for (index, (actual, expected)) in widened(&actual).iter().zip(&expected).enumerate() {
                assert_close(actual, expected, 1e-5, &format!("layer {number}, {shape:?}, array {index}"));
            }
        }
    }
}

/// Holds if every thread has several rows; a single row's product is another function of `gemm`, with another order
/// of sums.
#[test]
fn the_number_of_threads_changes_no_bit() {
    for case in cases() {
        let sizes = sizes(LARGE);
        let inputs = case.inputs(sizes, 51);
        let gradients = arrays(&[sizes.sequence(), sizes.state()], 61);
        let [one, others @ ..] = [1, 2, 3, 5].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| [(case.single.forward)(sizes, &inputs), (case.single.backward)(sizes, &inputs, &gradients)])
        });
        assert!(others.iter().all(|other| *other == one));
    }
}

#[test]
fn a_transpose_is_exact_at_the_edges_of_its_blocks() {
    for [rows, columns] in [[1, 1], [3, 40], [16, 16], [33, 7], [200, 450]] {
        let matrix = numbers::<f32>(rows * columns, 1);
        let result = transposed(&matrix, rows, columns);
        assert!(
            pairs(rows, columns).all(|(row, column)| result[column * rows + row] == matrix[row * columns + column])
        );
    }
}

#[test]
#[should_panic(expected = "lengths [9] must be 10")]
fn an_array_of_another_shape_is_refused() {
    let layer = rnn_cpu::Layer::<f32> {
        sizes: sizes([1, 2, 5]),
        activation: Activation::Tanh,
        weight: &[0.0; 25],
        hidden: &[0.0; 10],
    };
    rnn_cpu::forward(layer, &mut [0.0; 9]);
}
