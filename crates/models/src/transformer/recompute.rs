//! A forward pass that keeps only what lies between the blocks, and a backward pass that computes each block again.

use burn::module::Module;
use burn::tensor::{Gradients, Int, Tensor};
use kiln_kernels::Draws;
use kiln_parameters::catalogue;

use super::model::Transformer;

/// What the backward pass of a forward pass without a graph starts from: the input of each block, and what its dropout
/// draws (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", <https://arxiv.org/abs/1604.06174>, with
/// a segment for each block).
#[derive(Debug)]
pub struct Recomputation {
    tokens: Tensor<2, Int>,
    /// Before the tables are read.
    draws: Draws,
    /// What each block reads, `[N, C]`, and the draws before it; then what the last norm reads.
    streams: Vec<(Tensor<2>, Draws)>,
}

impl Transformer {
    /// As [`features`](Self::features), without a graph; this model is with autodiff, the features are not.
    pub(crate) fn features_to_recompute(&self, tokens: Tensor<2, Int>, mut draws: Draws) -> (Tensor<3>, Recomputation) {
        let [rows, steps] = tokens.dims();
        let model = self.valid();
        let mut kept = Recomputation { tokens: tokens.clone(), draws: draws.clone(), streams: Vec::new() };
        let (starts, lengths) = (vec![0; rows], vec![steps; rows]);
        let window = model.window(steps, &starts, &lengths);
        let mut stream = model.embed(tokens.inner(), &window, &mut draws);
        for block in &model.blocks {
            kept.streams.push((stream.clone(), draws.clone()));
            stream = block.forward(stream, &window, None, &mut draws).0;
        }
        kept.streams.push((stream.clone(), draws));
        let features = model.final_norm.forward(stream);
        (features.reshape([rows as i32, steps as i32, -1]), kept)
    }

    /// Gradients of the sum of the features times `gradient`, `[N, C]`, part by part from the highest down to the
    /// lowest that is trained, each of which `take` is given.
    pub(crate) fn backward(&self, kept: Recomputation, gradient: Tensor<2>, mut take: impl FnMut(Gradients)) {
        let Recomputation { tokens, draws, mut streams } = kept;
        let [rows, steps] = tokens.dims();
        let (starts, lengths) = (vec![0; rows], vec![steps; rows]);
        let window = self.window(steps, &starts, &lengths);
        let trains_tables =
            is_trained(&self.token_embedding) || self.position_embedding.as_ref().is_some_and(is_trained);
        let lowest = if trains_tables { 0 } else { self.blocks.iter().take_while(|block| !is_trained(*block)).count() };
        let Some((top, _)) = streams.pop() else { return };
        let (found, mut gradient) = through(top, gradient, |stream| self.final_norm.forward(stream));
        take(found);
        for (block, (stream, mut draws)) in self.blocks.iter().zip(streams).skip(lowest).rev() {
            let found;
            (found, gradient) = through(stream, gradient, |stream| block.forward(stream, &window, None, &mut draws).0);
            take(found);
        }
        if trains_tables {
            let stream = self.embed(tokens, &window, &mut draws.clone());
            take(stream.mul(Tensor::from_inner(gradient)).sum().backward());
        }
    }
}

/// Gradients of what `part` makes of `input`, times `gradient`; and that of the input. Neither tensor is with autodiff.
fn through(input: Tensor<2>, gradient: Tensor<2>, part: impl FnOnce(Tensor<2>) -> Tensor<2>) -> (Gradients, Tensor<2>) {
    let input = Tensor::<2>::from_inner(input).require_grad();
    // The gradient of a sum of products with constants is those constants, exactly.
    let found = part(input.clone()).mul(Tensor::from_inner(gradient)).sum().backward();
    let Some(below) = input.grad(&found) else { unreachable!("every part is a function of what it reads") };
    (found, below)
}

fn is_trained<M: Module>(part: &M) -> bool {
    catalogue(part).iter().any(|parameter| parameter.is_trained)
}
