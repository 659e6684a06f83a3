//! Between Burn's GPU tensors and the kernels.

use burn::backend::tensor::FloatTensor;
use burn_cubecl::CubeBackend;
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::server::CubeDim;
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::tensor::CubeTensor;

use super::cube_backward::{key_value_gradients, query_gradients, sums_of_products};
use super::cube_forward::attend;
use super::cube_room::tile;
use super::cube_tile::{Form, UNITS};
use super::geometry::{AttentionHeads, AttentionScores};
use super::mixed::Mixed;
use super::reference::WeightDropout;
use super::{AttentionGradients, AttentionOps};
use crate::choice::matrix_precision;
use crate::cube::{cubes, empty, one_by_one, sizes, vector_size};
use crate::product::MatrixPrecision;

impl AttentionOps for CubeBackend {
    fn causal_attention(
        packed: FloatTensor<Self>,
        heads: AttentionHeads,
        scores: AttentionScores,
        dropout: WeightDropout,
    ) -> FloatTensor<Self> {
        Self::causal_attention_keeping(packed, heads, scores, dropout).0
    }
}

impl AttentionGradients for CubeBackend {
    fn causal_attention_keeping(
        packed: FloatTensor<Self>,
        heads: AttentionHeads,
        scores: AttentionScores,
        _dropout: WeightDropout,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let packed = into_contiguous(packed);
        if let Some(mixed) = mixed(&packed, heads, scores) {
            return mixed.attend(packed);
        }
        let work = Work::new(&packed, heads, scores);
        let output = empty(&packed, [work.rows, work.steps, heads.output_columns()]);
        let logarithms = empty(&packed, [work.rows, heads.queries, work.steps]);
        attend::launch(
            &work.client,
            cubes(&work.client, work.tiles(heads.queries)),
            CubeDim::new_1d(UNITS),
            work.vector_size,
            work.vector_size,
            packed.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            logarithms.clone().into_buffer_arg(),
            work.rows,
            work.steps,
            work.scale,
            work.cap,
            work.form,
        );
        (output, logarithms)
    }

    fn causal_attention_backward(
        packed: FloatTensor<Self>,
        output: FloatTensor<Self>,
        logarithms: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        heads: AttentionHeads,
        scores: AttentionScores,
        _dropout: WeightDropout,
    ) -> FloatTensor<Self> {
        let (packed, gradient) = (into_contiguous(packed), into_contiguous(gradient));
        let sums = sums_over_heads(output, &gradient, heads);
        if let Some(mixed) = mixed(&packed, heads, scores) {
            return mixed.gradient(&packed, &gradient, &logarithms, &sums);
        }
        let work = Work::new(&packed, heads, scores);
        let client = &work.client;
        let found = empty(&packed, [work.rows, work.steps, heads.packed_columns()]);
        query_gradients::launch(
            client,
            cubes(client, work.tiles(heads.queries)),
            CubeDim::new_1d(UNITS),
            work.vector_size,
            work.vector_size,
            work.vector_size,
            packed.clone().into_buffer_arg(),
            gradient.clone().into_buffer_arg(),
            logarithms.clone().into_buffer_arg(),
            sums.clone().into_buffer_arg(),
            found.clone().into_buffer_arg(),
            work.rows,
            work.steps,
            work.scale,
            work.cap,
            work.form,
        );
        key_value_gradients::launch(
            client,
            cubes(client, work.tiles(heads.key_values)),
            CubeDim::new_1d(UNITS),
            work.vector_size,
            work.vector_size,
            work.vector_size,
            packed.into_buffer_arg(),
            gradient.into_buffer_arg(),
            logarithms.into_buffer_arg(),
            sums.into_buffer_arg(),
            found.clone().into_buffer_arg(),
            work.rows,
            work.steps,
            work.scale,
            work.cap,
            work.form,
        );
        found
    }
}

/// Attention in mixed precision, if this process computes in it and the device can.
fn mixed(packed: &CubeTensor, heads: AttentionHeads, scores: AttentionScores) -> Option<Mixed> {
    let is_wanted = matrix_precision() == MatrixPrecision::Mixed;
    is_wanted.then(|| Mixed::new(&packed.client, heads, scores)).flatten()
}

/// The sums of output times gradient over each head of each position, `[B, T, queries]`.
pub(super) fn sums_over_heads(output: CubeTensor, gradient: &CubeTensor, heads: AttentionHeads) -> CubeTensor {
    let [rows, steps, _] = sizes(&output);
    let client = output.client.clone();
    let sums = empty(&output, [rows, steps, heads.queries]);
    let (count, units) = one_by_one(&client, rows * steps * heads.queries);
    sums_of_products::launch(
        &client,
        count,
        units,
        output.into_buffer_arg(),
        gradient.clone().into_buffer_arg(),
        sums.clone().into_buffer_arg(),
        heads.width,
    );
    sums
}

/// What all kernels are launched with.
struct Work {
    client: Client,
    rows: usize,
    steps: usize,
    scale: f32,
    /// Not read if there is none.
    cap: f32,
    form: Form,
    vector_size: usize,
}

impl Work {
    fn new(packed: &CubeTensor, heads: AttentionHeads, scores: AttentionScores) -> Self {
        let [rows, steps, _] = sizes(packed);
        let client = packed.client.clone();
        let Some(tile) = tile(&client, heads.width) else {
            panic!("heads of {} do not fit into the shared memory of this device", heads.width)
        };
        let form = Form { tile, heads, is_capped: scores.soft_cap.is_some() };
        let (scale, cap) = (scores.scale as f32, scores.soft_cap.unwrap_or(1.0) as f32);
        Self { client, rows, steps, scale, cap, form, vector_size: vector_size(form.by_fours()) }
    }

    /// The tiles of that many heads of every row.
    fn tiles(&self, heads: usize) -> usize {
        self.rows * heads * self.steps.div_ceil(self.form.tile)
    }
}
