//! The weights of attention, which the fused operation never holds.

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, Int, Tensor};
use kiln_kernels::{AttentionHeads, AttentionScores, Draws};

use super::attention::Attention;
use super::model::Transformer;
use super::window::Window;

impl Attention {
    /// What each query gives to each key of whole windows, `[B, heads, T, T]`, and what comes out of it, as of
    /// [`forward`](Self::forward).
    fn captured(&self, input: Tensor<2>, window: &Window<'_>) -> (Tensor<4>, Tensor<2>) {
        let (rows, steps) = (window.rows, window.steps);
        let AttentionHeads { queries, key_values, width } = self.heads();
        let AttentionScores { scale, soft_cap, window: seen } = self.scores();
        let packed = self.packed(input, window, &mut Draws::none());
        let query = packed.clone().narrow(2, 0, queries * width).reshape([rows, steps, queries, width]);
        let (keys, values) = self.keys_and_values(&packed);
        let of_each_query = |shared: Tensor<4>| {
            let shared = shared.unsqueeze_dim::<5>(2).repeat_dim(2, queries / key_values);
            shared.reshape([rows, queries, steps, width])
        };
        let mut scores = query.swap_dims(1, 2).matmul(of_each_query(keys).transpose()) * scale;
        if let Some(cap) = soft_cap {
            scores = (scores / cap).tanh() * cap;
        }
        let hidden = hidden(steps, seen, &scores);
        let weights =
            softmax(scores.mask_fill(hidden.unsqueeze::<4>().expand([rows, queries, steps, steps]), -1e30), 3);
        let output = weights.clone().matmul(of_each_query(values)).swap_dims(1, 2);
        (weights, output.reshape([rows * steps, queries * width]))
    }
}

/// Which keys a query doesn't see, `[T, T]`.
fn hidden(steps: usize, seen: Option<usize>, like: &Tensor<4>) -> Tensor<2, Bool> {
    let places = Tensor::<1, Int>::arange(0..steps as i64, &like.device());
    let queries = places.clone().reshape([steps, 1]).expand([steps, steps]);
    let keys = places.reshape([1, steps]).expand([steps, steps]);
    let later = keys.clone().greater(queries.clone());
    match seen {
        Some(seen) => later.bool_or((keys + seen as i64).lower_equal(queries)),
        None => later,
    }
}

impl Transformer {
    /// What each head of each block gives to each token of whole windows `[B, T]`, `[B, heads, T, T]` for a block.
    pub(crate) fn attention_weights(&self, tokens: Tensor<2, Int>) -> Vec<Tensor<4>> {
        let [rows, steps] = tokens.dims();
        let (starts, lengths) = (vec![0; rows], vec![steps; rows]);
        let mut stream = self.before_blocks(tokens);
        let mut weights = Vec::with_capacity(self.blocks.len());
        for block in &self.blocks {
            let window = self.window(steps, &starts, &lengths);
            weights.push(block.attention.captured(block.attention_input(stream.clone()), &window).0);
            stream = block.forward(stream, &window, None, &mut Draws::none()).0;
        }
        weights
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, Tolerance};

    use super::*;
    use crate::initializer::Initializer;
    use crate::{PositionKind, TransformerConfig};

    #[test]
    fn the_captured_weights_make_what_the_fused_operation_makes() {
        let device = Device::flex();
        let plain = TransformerConfig { layers: 1, heads: 4, width: 16, ..TransformerConfig::default() };
        let grouped = TransformerConfig {
            key_value_heads: Some(2),
            position: PositionKind::Rotary,
            query_key_norm: true,
            attention_soft_cap: Some(1.5),
            attention_scale: Some(0.9),
            ..plain.clone()
        };
        let local = TransformerConfig { attention_window: Some(3), ..grouped.clone() };
        for config in [plain, grouped, local] {
            let model = config.init(11, 16, &mut Initializer::random(3, &device));
            let input = Tensor::random([2 * 9, 16], Distribution::Normal(0.0, 2.0), &device);
            let (starts, lengths) = (vec![0; 2], vec![9; 2]);
            let window = model.window(9, &starts, &lengths);
            let attention = &model.blocks[0].attention;
            let (weights, captured) = attention.captured(input.clone(), &window);
            let fused = attention.forward(input, &window, None, &mut Draws::none()).0;
            captured.into_data().assert_approx_eq::<f32>(&fused.into_data(), Tolerance::absolute(1e-5));
            let sums = weights.sum_dim(3).into_data();
            sums.assert_approx_eq::<f32>(
                &Tensor::<4>::ones([2, 4, 9, 1], &device).into_data(),
                Tolerance::absolute(1e-5),
            );
        }
    }

    /// One head of width 1 whose queries and keys are x, W being 1: weights by hand.
    #[test]
    fn the_weights_of_a_head_are_those_by_hand() {
        let device = Device::flex();
        let config = TransformerConfig { layers: 1, heads: 1, width: 1, ..TransformerConfig::default() };
        let model = config.init(3, 4, &mut Initializer::random(3, &device));
        let attention = model.blocks[0].attention.clone();
        let attention = kiln_parameters::map(attention, |_, values| values.ones_like());
        let window = model.window(3, &[0], &[3]);
        let input = Tensor::<2>::from_data([[1.0], [2.0], [0.0]], &device);
        let found: Vec<f32> = attention.captured(input, &window).0.into_data().iter::<f32>().collect();
        let (two, four) = (2.0_f32.exp(), 4.0_f32.exp());
        let third = 1.0 / 3.0;
        let expected = [1.0, 0.0, 0.0, two / (two + four), four / (two + four), 0.0, third, third, third];
        assert!(found.iter().zip(expected).all(|(found, expected)| (found - expected).abs() < 1e-6), "{found:?}");
    }
}
