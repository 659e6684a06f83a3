//! Fused operations at the sizes of small models, forward and backward, on Burn's CPU backend. `kiln bench kernels` has
//! all of them beside their references; these are for comparing a change with the code before it:
//!
//! ```text
//! cargo bench --workspace --bench kernels -- --save-baseline before
//! cargo bench --workspace --bench kernels -- --baseline before attention
//! ```

use std::hint::black_box;
use std::time::Duration;

use burn::tensor::{Device, Distribution, Tensor, TensorData};
use criterion::{Criterion, Throughput};
use kiln_kernels::{
    AttentionHeads, AttentionScores, affine, causal_attention, cross_entropy, layer_norm, lstm_sequence,
    projected_cross_entropy,
};

/// Numbers in (-1, 1) that want a gradient.
fn numbers<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &Device::flex().autodiff()).require_grad()
}

/// Times forward and backward of `operation` at `tokens` tokens a call.
fn measure<const D: usize>(
    criterion: &mut Criterion,
    [group, size]: [&str; 2],
    tokens: usize,
    operation: impl Fn() -> Tensor<D>,
) {
    let mut group = criterion.benchmark_group(group);
    group.sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    group.throughput(Throughput::Elements(tokens as u64));
    group.bench_function(size, |bencher| bencher.iter(|| black_box(operation().backward())));
    group.finish();
}

fn attention(criterion: &mut Criterion) {
    for [rows, steps, heads, width] in [[12, 64, 4, 32], [8, 256, 6, 64], [1, 1024, 8, 64]] {
        let packed = numbers([rows, steps, 3 * heads * width]);
        let size = format!("{rows} x {steps}, {heads} heads of {width}");
        let heads = AttentionHeads { queries: heads, key_values: heads, width };
        let scores = AttentionScores { scale: (width as f64).powf(-0.5), soft_cap: None, window: None };
        measure(criterion, ["attention", &size], rows * steps, || {
            causal_attention(packed.clone(), heads, scores, 0.0, None)
        });
    }
}

fn lstm(criterion: &mut Criterion) {
    for [steps, rows, width] in [[50, 50, 128], [64, 32, 256]] {
        let (projected, state) = (numbers([steps, rows, 4 * width]), numbers([rows, width]));
        let weight = (numbers([width, 4 * width]) * (width as f64).powf(-0.5)).detach().require_grad();
        measure(criterion, ["LSTM sequence", &format!("{steps} x {rows} x {width}")], steps * rows, || {
            lstm_sequence(projected.clone(), weight.clone(), state.clone(), state.clone()).0
        });
    }
}

fn losses(criterion: &mut Criterion) {
    for [rows, width, vocabulary] in [[2048, 384, 65], [1024, 384, 8192]] {
        let targets: Vec<i32> = (0..rows).map(|row| (row * 7919 % vocabulary) as i32).collect();
        let targets = Tensor::<1, _>::from_data(TensorData::new(targets, [rows]), &Device::flex().autodiff());
        let logits = numbers([rows, vocabulary]);
        measure(criterion, ["cross-entropy", &format!("{rows} x {vocabulary}")], rows, || {
            cross_entropy(logits.clone(), targets.clone())
        });
        let (hidden, weight) = (numbers([rows, width]), numbers([width, vocabulary]));
        let size = format!("{rows} x {width} x {vocabulary}");
        measure(criterion, ["projected cross-entropy", &size], rows, || {
            projected_cross_entropy(hidden.clone(), weight.clone(), None, targets.clone())
        });
    }
}

fn layers(criterion: &mut Criterion) {
    for [rows, width] in [[768, 128], [2048, 384]] {
        let (input, weight, bias) = (numbers([rows, width]), numbers([width]), numbers([width]));
        measure(criterion, ["layer norm", &format!("{rows} x {width}")], rows, || {
            layer_norm(input.clone(), weight.clone(), Some(bias.clone()), 1e-5)
        });
        let (weight, bias) = (numbers([width, 4 * width]), numbers([4 * width]));
        measure(criterion, ["affine", &format!("{rows} x {width} x {}", 4 * width)], rows, || {
            affine(input.clone(), weight.clone(), Some(bias.clone()), None)
        });
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for group in [attention, lstm, losses, layers] {
        group(&mut criterion);
    }
    criterion.final_summary();
}
