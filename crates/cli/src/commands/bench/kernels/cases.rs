//! What `kiln bench kernels --check` compares: every operation with a gradient, except dropout, which draws other
//! numbers on every device; at sizes on and beside the edges of the tiles of CPUs and GPUs.

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use kiln_kernels::{Activation, AttentionHeads, AttentionScores, RnnActivation, reference};

use super::inputs::integers;

/// A function of some flattened tensors.
pub(super) type Form = Box<dyn Fn(&[Tensor<1>]) -> Tensor<1>>;

/// An operation of one size, from tensors of these lengths. Both sides compute in the precision of their tensors, on
/// their device.
pub(super) struct Case {
    /// The sizes of its tensors, for a person.
    pub(super) shape: String,
    pub(super) lengths: Vec<usize>,
    pub(super) fused: Form,
    pub(super) reference: Form,
}

/// Makes the sizes of an operation.
type Cases = fn() -> Vec<Case>;

pub(super) const ALL: [(&str, Cases); 15] = [
    ("affine", affine),
    ("GELU", || activation(Activation::Gelu)),
    ("GELU by tanh", || activation(Activation::GeluTanh)),
    ("ReLU squared", || activation(Activation::ReluSquared)),
    ("SwiGLU", swiglu),
    ("layer norm", layer_norm),
    ("RMS norm", rms_norm),
    ("embedding", embedding),
    ("attention", attention),
    ("rotary positions", rotary),
    ("RNN sequence", rnn),
    ("LSTM sequence", lstm),
    ("GRU sequence", gru),
    ("cross-entropy", cross_entropy),
    ("projected cross-entropy", projected_cross_entropy),
];

/// Rows and columns; a row of two numbers has a gradient of next to zero, with which nothing can be compared.
const MATRICES: [[usize; 2]; 6] = [[1, 3], [3, 65], [130, 33], [65, 384], [7, 1025], [300, 128]];

/// Numbers in (-1, 1) that single precision has exactly, the same ones in every run.
pub(super) fn numbers(length: usize, seed: u64, device: &Device, dtype: DType) -> Tensor<1> {
    let hash = |index: u64| {
        let mixed = (index + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed.wrapping_mul(0xD1B5_4A32_D192_ED03);
        let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed >> 40) as f32 / (1u32 << 23) as f32 - 1.0
    };
    let values: Vec<f32> = (0..length as u64).map(hash).collect();
    Tensor::from_data(TensorData::new(values, [length]), (device, dtype))
}

/// Numbers without a gradient, on the device and in the precision of `beside`.
pub(super) fn constants(length: usize, seed: u64, beside: &Tensor<1>) -> Tensor<1> {
    Tensor::from_inner(numbers(length, seed, &beside.device().inner(), beside.dtype()))
}

/// Integers below `limit`, on the device of a case's numbers.
fn integers_beside<const D: usize>(shape: [usize; D], limit: usize, beside: &Tensor<1>) -> Tensor<D, Int> {
    integers(shape, limit, &beside.device())
}

fn affine() -> Vec<Case> {
    type Affine = fn(Tensor<2>, Tensor<2>, Option<Tensor<1>>, Option<Tensor<2>>) -> Tensor<2>;
    let case = |([rows, inner, width], folds_in): ([usize; 3], bool)| {
        let form = |form: Affine| -> Form {
            Box::new(move |inputs| {
                let (input, weight) = (inputs[0].clone().reshape([rows, inner]), inputs[1].clone());
                let bias = folds_in.then(|| inputs[2].clone());
                let residual = folds_in.then(|| inputs[3].clone().reshape([rows, width]));
                form(input, weight.reshape([inner, width]), bias, residual).reshape([rows * width])
            })
        };
        let folded = if folds_in { vec![width, rows * width] } else { vec![] };
        let lengths = [vec![rows * inner, inner * width], folded].concat();
        let shape = format!("{rows} x {inner} x {width}{}", if folds_in { ", bias and residual" } else { "" });
        Case { shape, lengths, fused: form(kiln_kernels::affine), reference: form(reference::affine) }
    };
    let sizes = [[1, 1, 1], [5, 65, 33], [130, 128, 384]];
    sizes.into_iter().flat_map(|sizes| [(sizes, false), (sizes, true)]).map(case).collect()
}

fn activation(activation: Activation) -> Vec<Case> {
    let case = |[rows, width]: [usize; 2]| {
        let form = |form: fn(Tensor<2>, Activation) -> Tensor<2>| -> Form {
            Box::new(move |inputs| {
                let input = (inputs[0].clone() * 4.0).reshape([rows, width]);
                form(input, activation).reshape([rows * width])
            })
        };
        let (fused, reference) = (form(kiln_kernels::activate), form(reference::activate));
        Case { shape: format!("{rows} x {width}"), lengths: vec![rows * width], fused, reference }
    };
    MATRICES.map(case).into()
}

fn swiglu() -> Vec<Case> {
    let case = |[rows, width]: [usize; 2]| {
        let form = |form: fn(Tensor<2>) -> Tensor<2>| -> Form {
            Box::new(move |inputs| form((inputs[0].clone() * 4.0).reshape([rows, 2 * width])).reshape([rows * width]))
        };
        let (fused, reference) = (form(kiln_kernels::swiglu), form(reference::swiglu));
        Case { shape: format!("{rows} x 2 · {width}"), lengths: vec![2 * rows * width], fused, reference }
    };
    MATRICES.map(case).into()
}

fn layer_norm() -> Vec<Case> {
    let case = |([rows, width], is_biased): ([usize; 2], bool)| {
        let form = |form: fn(Tensor<2>, Tensor<1>, Option<Tensor<1>>, f64) -> Tensor<2>| -> Form {
            Box::new(move |inputs| {
                let input = inputs[0].clone().reshape([rows, width]);
                let bias = is_biased.then(|| inputs[2].clone());
                form(input, inputs[1].clone(), bias, 1e-5).reshape([rows * width])
            })
        };
        let biases = if is_biased { vec![width] } else { vec![] };
        let shape = format!("{rows} x {width}{}", if is_biased { ", biased" } else { "" });
        let lengths = [vec![rows * width, width], biases].concat();
        Case { shape, lengths, fused: form(kiln_kernels::layer_norm), reference: form(reference::layer_norm) }
    };
    MATRICES.into_iter().flat_map(|shape| [(shape, false), (shape, true)]).map(case).collect()
}

fn rms_norm() -> Vec<Case> {
    let case = |[rows, width]: [usize; 2]| {
        let form = |form: fn(Tensor<2>, Tensor<1>, f64) -> Tensor<2>| -> Form {
            Box::new(move |inputs| {
                let input = inputs[0].clone().reshape([rows, width]);
                form(input, inputs[1].clone(), 1e-6).reshape([rows * width])
            })
        };
        let (shape, lengths) = (format!("{rows} x {width}"), vec![rows * width, width]);
        Case { shape, lengths, fused: form(kiln_kernels::rms_norm), reference: form(reference::rms_norm) }
    };
    MATRICES.map(case).into()
}

fn embedding() -> Vec<Case> {
    let case = |[height, width, outer, inner]: [usize; 4]| {
        let form = |form: fn(Tensor<2>, Tensor<2, Int>) -> Tensor<3>| -> Form {
            Box::new(move |inputs| {
                let indices = integers_beside([outer, inner], height, &inputs[0]);
                form(inputs[0].clone().reshape([height, width]), indices).reshape([outer * inner * width])
            })
        };
        let (fused, reference) = (form(kiln_kernels::embedding), form(reference::embedding));
        let shape = format!("{outer} x {inner} of {height} x {width}");
        Case { shape, lengths: vec![height * width], fused, reference }
    };
    [[1, 1, 1, 1], [7, 3, 2, 5], [65, 128, 12, 64], [500, 33, 3, 41], [9, 300, 5, 67]].map(case).into()
}

fn attention() -> Vec<Case> {
    let case = |([rows, steps, queries, key_values, width], soft_cap): ([usize; 5], Option<f64>)| {
        let heads = AttentionHeads { queries, key_values, width };
        // Not the usual scale.
        let scores = AttentionScores { scale: 1.7 * (width as f64).powf(-0.5), soft_cap, window: None };
        let columns = (queries + 2 * key_values) * width;
        let count = rows * steps * queries * width;
        let packed = move |inputs: &[Tensor<1>]| (inputs[0].clone() * 2.0).reshape([rows, steps, columns]);
        let fused: Form = Box::new(move |inputs| {
            kiln_kernels::causal_attention(packed(inputs), heads, scores, 0.0, None).reshape([count])
        });
        let reference: Form =
            Box::new(move |inputs| reference::causal_attention(packed(inputs), heads, scores, None).reshape([count]));
        let cap = soft_cap.map_or(String::new(), |cap| format!(", capped at {cap}"));
        let shape = format!("{rows} x {steps}, {queries} heads of {width}, {key_values} of keys{cap}");
        Case { shape, lengths: vec![rows * steps * columns], fused, reference }
    };
    let plain = [
        [1, 1, 1, 1, 1],
        [2, 2, 1, 1, 3],
        [1, 63, 2, 1, 8],
        [3, 65, 4, 2, 5],
        [2, 130, 3, 3, 16],
        [1, 200, 4, 1, 32],
        [2, 33, 2, 2, 64],
        [1, 47, 2, 1, 128],
    ];
    let capped = [[2, 40, 4, 2, 24], [1, 33, 2, 2, 64]];
    let all = plain.into_iter().map(|sizes| (sizes, None)).chain(capped.into_iter().map(|sizes| (sizes, Some(1.5))));
    all.map(case).collect()
}

fn rotary() -> Vec<Case> {
    type Rotate = fn(Tensor<3>, AttentionHeads, [Tensor<2>; 2], &[usize]) -> Tensor<3>;
    let case = |(starts, [steps, queries, key_values, width]): (&'static [usize], [usize; 4])| {
        let heads = AttentionHeads { queries, key_values, width };
        let (rows, last) = (starts.len(), starts.iter().max().map_or(0, |start| start + steps));
        let (columns, context) = ((queries + 2 * key_values) * width, last + 1);
        let count = rows * steps * columns;
        let form = |form: Rotate| -> Form {
            Box::new(move |inputs| {
                let half = width / 2;
                let tables = [1, 2].map(|seed| constants(context * half, seed, &inputs[0]).reshape([context, half]));
                form(inputs[0].clone().reshape([rows, steps, columns]), heads, tables, starts).reshape([count])
            })
        };
        let shape = format!("{rows} x {steps} from {starts:?}, {queries} heads of {width}, {key_values} of keys");
        Case { shape, lengths: vec![count], fused: form(kiln_kernels::rotate), reference: form(reference::rotate) }
    };
    let cases: [(&[usize], _); 4] =
        [(&[0], [1, 1, 1, 2]), (&[5, 0, 3], [17, 4, 2, 10]), (&[5, 5, 5], [17, 4, 2, 10]), (&[0, 0], [64, 2, 2, 64])];
    cases.map(case).into()
}

/// Steps, rows, width; a gradient of a single number can be next to zero, with which nothing can be compared.
const SEQUENCES: [[usize; 3]; 4] = [[1, 1, 7], [9, 3, 5], [17, 33, 20], [12, 8, 64]];

/// A recurrent weight of usual size: larger ones saturate every gate.
fn recurrent_weight(weight: &Tensor<1>, width: usize, gates: usize) -> Tensor<2> {
    (weight.clone() * (width as f64).powf(-0.5)).reshape([width, gates * width])
}

fn sequence_shape([steps, rows, width]: [usize; 3]) -> String {
    format!("{steps} x {rows} x {width}")
}

fn rnn() -> Vec<Case> {
    type Rnn = fn(Tensor<3>, Tensor<2>, Tensor<2>, RnnActivation) -> Tensor<3>;
    let case = |(sizes @ [steps, rows, width], activation): ([usize; 3], RnnActivation)| {
        let form = |form: Rnn| -> Form {
            Box::new(move |inputs| {
                let projected = inputs[0].clone().reshape([steps, rows, width]);
                let hidden = inputs[2].clone().reshape([rows, width]);
                form(projected, recurrent_weight(&inputs[1], width, 1), hidden, activation)
                    .reshape([steps * rows * width])
            })
        };
        let (fused, reference) = (form(kiln_kernels::rnn_sequence), form(reference::rnn_sequence));
        let lengths = vec![steps * rows * width, width * width, rows * width];
        Case { shape: format!("{}, {activation:?}", sequence_shape(sizes)), lengths, fused, reference }
    };
    let all = SEQUENCES.into_iter().flat_map(|sizes| [(sizes, RnnActivation::Tanh), (sizes, RnnActivation::Relu)]);
    all.map(case).collect()
}

fn lstm() -> Vec<Case> {
    type Lstm = fn(Tensor<3>, Tensor<2>, Tensor<2>, Tensor<2>) -> (Tensor<3>, Tensor<2>);
    let case = |sizes @ [steps, rows, width]: [usize; 3]| {
        let form = |form: Lstm| -> Form {
            Box::new(move |inputs| {
                let projected = inputs[0].clone().reshape([steps, rows, 4 * width]);
                let [hidden, cell] = [2, 3].map(|state: usize| inputs[state].clone().reshape([rows, width]));
                let (outputs, cell) = form(projected, recurrent_weight(&inputs[1], width, 4), hidden, cell);
                Tensor::cat(vec![outputs.reshape([steps * rows * width]), cell.reshape([rows * width])], 0)
            })
        };
        let (fused, reference) = (form(kiln_kernels::lstm_sequence), form(reference::lstm_sequence));
        let lengths = vec![4 * steps * rows * width, 4 * width * width, rows * width, rows * width];
        Case { shape: sequence_shape(sizes), lengths, fused, reference }
    };
    SEQUENCES.map(case).into()
}

fn gru() -> Vec<Case> {
    type Gru = fn(Tensor<3>, Tensor<2>, Tensor<1>, Tensor<2>) -> Tensor<3>;
    let case = |sizes @ [steps, rows, width]: [usize; 3]| {
        let form = |form: Gru| -> Form {
            Box::new(move |inputs| {
                let projected = inputs[0].clone().reshape([steps, rows, 3 * width]);
                let (bias, hidden) = (inputs[2].clone(), inputs[3].clone().reshape([rows, width]));
                form(projected, recurrent_weight(&inputs[1], width, 3), bias, hidden).reshape([steps * rows * width])
            })
        };
        let (fused, reference) = (form(kiln_kernels::gru_sequence), form(reference::gru_sequence));
        let lengths = vec![3 * steps * rows * width, 3 * width * width, width, rows * width];
        Case { shape: sequence_shape(sizes), lengths, fused, reference }
    };
    SEQUENCES.map(case).into()
}

fn cross_entropy() -> Vec<Case> {
    let case = |[rows, vocabulary]: [usize; 2]| {
        let form = |form: fn(Tensor<2>, Tensor<1, Int>) -> Tensor<1>| -> Form {
            Box::new(move |inputs| {
                let targets = integers_beside([rows], vocabulary, &inputs[0]);
                form((inputs[0].clone() * 8.0).reshape([rows, vocabulary]), targets)
            })
        };
        let (fused, reference) = (form(kiln_kernels::cross_entropy), form(reference::cross_entropy));
        Case { shape: format!("{rows} x {vocabulary}"), lengths: vec![rows * vocabulary], fused, reference }
    };
    [[1, 2], [3, 65], [130, 33], [300, 257], [5, 5000]].map(case).into()
}

fn projected_cross_entropy() -> Vec<Case> {
    let case = |([rows, inner, vocabulary], is_biased): ([usize; 3], bool)| {
        type Projected = fn(Tensor<2>, Tensor<2>, Option<Tensor<1>>, Tensor<1, Int>) -> Tensor<1>;
        let form = |form: Projected| -> Form {
            Box::new(move |inputs| {
                let targets = integers_beside([rows], vocabulary, &inputs[0]);
                let (hidden, weight) = (inputs[0].clone().reshape([rows, inner]), inputs[1].clone());
                let bias = is_biased.then(|| inputs[2].clone());
                form(hidden, weight.reshape([inner, vocabulary]), bias, targets)
            })
        };
        let (fused, reference) =
            (form(kiln_kernels::projected_cross_entropy), form(reference::projected_cross_entropy));
        let biases = if is_biased { vec![vocabulary] } else { vec![] };
        let lengths = [vec![rows * inner, inner * vocabulary], biases].concat();
        let shape = format!("{rows} x {inner} x {vocabulary}{}", if is_biased { ", biased" } else { "" });
        Case { shape, lengths, fused, reference }
    };
    [([3, 5, 65], false), ([67, 16, 1000], true)].map(case).into()
}
