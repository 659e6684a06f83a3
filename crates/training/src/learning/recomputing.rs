//! The way from what the head reads back to the tables, with the graph of a forward pass or by computing each layer
//! again.

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Int, Tensor};
use kiln_kernels::Draws;
use kiln_models::{DocumentStarts, LanguageModel, Recomputation, State};

/// What the head reads after each token of a batch, and the way back from it.
pub(super) struct Features {
    /// `[N, C]`, without autodiff.
    pub(super) values: Tensor<2>,
    way_back: WayBack,
}

enum WayBack {
    /// The features with their graph.
    Graph(Tensor<2>),
    Layers(Recomputation),
}

impl Features {
    /// Those of a window, and the state after it; with `recompute` the layers of a transformer are computed again on
    /// the way back.
    pub(super) fn new(
        model: &LanguageModel,
        tokens: Tensor<2, Int>,
        state: Option<State>,
        starts: &DocumentStarts,
        mut draws: Draws,
        recompute: bool,
    ) -> (Self, Option<State>) {
        let recomputed = recompute.then(|| model.features_to_recompute(tokens.clone(), draws.clone())).flatten();
        if let Some((features, kept)) = recomputed {
            return (Self { values: flat(features), way_back: WayBack::Layers(kept) }, None);
        }
        let (features, state) = model.features(tokens, state, starts, &mut draws);
        let features = flat(features);
        (Self { values: features.clone().inner(), way_back: WayBack::Graph(features) }, state)
    }

    /// The features as the beginning of a graph, so that their gradient can be asked for.
    pub(super) fn read(&self) -> Tensor<2> {
        Tensor::<2>::from_inner(self.values.clone()).require_grad()
    }

    /// Adds the gradients of the sum of the features times `gradient`, `[N, C]`, which is without autodiff: the same as
    /// those of the loss, if it is the loss's.
    pub(super) fn backward(
        self,
        model: &LanguageModel,
        gradient: Tensor<2>,
        accumulator: &mut GradientsAccumulator<LanguageModel>,
    ) {
        drop(self.values);
        let mut take = |found| accumulator.accumulate(model, GradientsParams::from_grads(found, model));
        match self.way_back {
            WayBack::Graph(features) => take(features.mul(Tensor::from_inner(gradient)).sum().backward()),
            WayBack::Layers(kept) => model.backward(kept, gradient, take),
        }
    }
}

fn flat(features: Tensor<3>) -> Tensor<2> {
    let [rows, steps, width] = features.dims();
    features.reshape([rows * steps, width])
}
