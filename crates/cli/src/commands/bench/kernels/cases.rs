//! What `kiln bench kernels --check` compares: every operation with a body for GPUs, at sizes beside and on the edges of cubes
//! and tiles.

use burn::tensor::{Device, Tensor};
use kiln_kernels::{AttentionHeads, AttentionScores, reference};

use super::check::{Case, Form};
use super::inputs::integers;

/// Makes the sizes of an operation.
type Cases = fn(&Device) -> Vec<Case>;

pub(super) const ALL: [(&str, Cases); 6] = [
    ("layer norm", layer_norm),
    ("RMS norm", rms_norm),
    ("embedding", embedding),
    ("attention", attention),
    ("cross-entropy", cross_entropy),
    ("projected cross-entropy", projected_cross_entropy),
];

/// Rows and columns; a row of two numbers has a gradient of next to zero, with which nothing can be compared.
const MATRICES: [[usize; 2]; 6] = [[1, 3], [3, 65], [130, 33], [65, 384], [7, 1025], [300, 128]];

fn layer_norm(_device: &Device) -> Vec<Case> {
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

fn rms_norm(_device: &Device) -> Vec<Case> {
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

fn embedding(device: &Device) -> Vec<Case> {
    let case = |[height, width, outer, inner]: [usize; 4]| {
        let indices = integers::<2>([outer, inner], height, device);
        let form = |form: fn(Tensor<2>, Tensor<2, burn::tensor::Int>) -> Tensor<3>| -> Form {
            let indices = indices.clone();
            Box::new(move |inputs| {
                form(inputs[0].clone().reshape([height, width]), indices.clone()).reshape([outer * inner * width])
            })
        };
        let (fused, reference) = (form(kiln_kernels::embedding), form(reference::embedding));
        let shape = format!("{outer} x {inner} of {height} x {width}");
        Case { shape, lengths: vec![height * width], fused, reference }
    };
    [[1, 1, 1, 1], [7, 3, 2, 5], [65, 128, 12, 64], [500, 33, 3, 41], [9, 300, 5, 67]].map(case).into()
}

fn attention(_device: &Device) -> Vec<Case> {
    let case = |([rows, steps, queries, key_values, width], soft_cap): ([usize; 5], Option<f64>)| {
        let heads = AttentionHeads { queries, key_values, width };
        // Not the usual scale.
        let scores = AttentionScores { scale: 1.7 * (width as f64).powf(-0.5), soft_cap };
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

fn cross_entropy(device: &Device) -> Vec<Case> {
    let case = |[rows, vocabulary]: [usize; 2]| {
        let targets = integers::<1>([rows], vocabulary, device);
        let form = |form: fn(Tensor<2>, Tensor<1, burn::tensor::Int>) -> Tensor<1>| -> Form {
            let targets = targets.clone();
            Box::new(move |inputs| form((inputs[0].clone() * 8.0).reshape([rows, vocabulary]), targets.clone()))
        };
        let (fused, reference) = (form(kiln_kernels::cross_entropy), form(reference::cross_entropy));
        Case { shape: format!("{rows} x {vocabulary}"), lengths: vec![rows * vocabulary], fused, reference }
    };
    [[1, 2], [3, 65], [130, 33], [300, 257], [5, 5000]].map(case).into()
}

fn projected_cross_entropy(device: &Device) -> Vec<Case> {
    let case = |([rows, inner, vocabulary], is_biased): ([usize; 3], bool)| {
        let targets = integers::<1>([rows], vocabulary, device);
        type Projected = fn(Tensor<2>, Tensor<2>, Option<Tensor<1>>, Tensor<1, burn::tensor::Int>) -> Tensor<1>;
        let form = |form: Projected| -> Form {
            let targets = targets.clone();
            Box::new(move |inputs| {
                let (hidden, weight) = (inputs[0].clone().reshape([rows, inner]), inputs[1].clone());
                let bias = is_biased.then(|| inputs[2].clone());
                form(hidden, weight.reshape([inner, vocabulary]), bias, targets.clone())
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
