//! Attention on the units for small matrices (tensor cores): queries, keys, values, weights and their gradients are
//! rounded to bfloat16 where they are multiplied, everything else is in single precision.

mod backward;
mod forward;
mod fragment;
#[cfg(test)]
mod tests;
mod tile;

use burn::tensor::bf16;
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

use super::geometry::{AttentionHeads, AttentionScores};
use crate::cube::{cubes, empty, sizes, vector_size};
use crate::product::mixed_lacks_on;
use backward::gradients;
use forward::attend;
use tile::Form;

/// Planes of a cube, the most first: more of them read the others less often, and need more shared memory.
const PLANES: [usize; 3] = [4, 2, 1];

/// Attention in mixed precision over packed tensors that lie contiguously.
pub(super) struct Mixed {
    client: Client,
    form: Form,
    scale: f32,
    /// Not read if there is none.
    cap: f32,
}

impl Mixed {
    /// `None` where the device lacks the units for it, or heads of this width do not fit.
    pub(super) fn new(client: &Client, heads: AttentionHeads, scores: AttentionScores) -> Option<Self> {
        if mixed_lacks_on(client).is_some() {
            return None;
        }
        Self::with(client, heads, scores, false)
    }

    /// By ordinary units, on any device.
    #[cfg(test)]
    pub(super) fn emulated(client: &Client, heads: AttentionHeads, scores: AttentionScores) -> Option<Self> {
        Self::with(client, heads, scores, true)
    }

    fn with(client: &Client, heads: AttentionHeads, scores: AttentionScores, is_emulated: bool) -> Option<Self> {
        let most = client.properties().hardware.max_shared_memory_size;
        let form = |planes| Form { planes, heads, is_capped: scores.soft_cap.is_some(), is_emulated };
        let form = PLANES.into_iter().map(form).find(|form| form.shared_bytes() <= most)?;
        let (scale, cap) = (scores.scale as f32, scores.soft_cap.unwrap_or(1.0) as f32);
        Some(Self { client: client.clone(), form, scale, cap })
    }

    /// The output, and the logarithm of the sum of exponentials of each query's scores.
    pub(super) fn attend(&self, packed: CubeTensor) -> (CubeTensor, CubeTensor) {
        let [rows, steps, _] = sizes(&packed);
        let heads = self.form.heads;
        let output = empty(&packed, [rows, steps, heads.output_columns()]);
        let logarithms = empty(&packed, [rows, heads.queries, steps]);
        let vectors = vector_size(self.form.by_fours());
        let launch = if self.form.is_emulated { attend::launch::<f32> } else { attend::launch::<bf16> };
        launch(
            &self.client,
            self.cubes(rows * heads.queries, steps),
            CubeDim::new_1d(self.form.units()),
            vectors,
            vectors,
            packed.into_buffer_arg(),
            output.clone().into_buffer_arg(),
            logarithms.clone().into_buffer_arg(),
            rows,
            steps,
            self.scale,
            self.cap,
            self.form,
        );
        (output, logarithms)
    }

    /// The gradient of the packed queries, keys and values; `sums` are those of output times gradient over each head.
    pub(super) fn gradient(
        &self,
        packed: &CubeTensor,
        gradient: &CubeTensor,
        logarithms: &CubeTensor,
        sums: &CubeTensor,
    ) -> CubeTensor {
        let [rows, steps, columns] = sizes(packed);
        let heads = self.form.heads;
        let found = empty(packed, [rows, steps, columns]);
        let vectors = vector_size(self.form.by_fours());
        for (of_keys, heads) in [(false, heads.queries), (true, heads.key_values)] {
            let launch = if self.form.is_emulated { gradients::launch::<f32> } else { gradients::launch::<bf16> };
            launch(
                &self.client,
                self.cubes(rows * heads, steps),
                CubeDim::new_1d(self.form.units()),
                vectors,
                vectors,
                vectors,
                packed.clone().into_buffer_arg(),
                gradient.clone().into_buffer_arg(),
                logarithms.clone().into_buffer_arg(),
                sums.clone().into_buffer_arg(),
                found.clone().into_buffer_arg(),
                rows,
                steps,
                self.scale,
                self.cap,
                self.form,
                of_keys,
            );
        }
        found
    }

    /// A cube for each tile of `heads` heads.
    fn cubes(&self, heads: usize, steps: usize) -> CubeCount {
        cubes(&self.client, heads * steps.div_ceil(self.form.own()))
    }
}
