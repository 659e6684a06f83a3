//! A pass through a model in which every state can be asked for its gradient.

use burn::tensor::{Gradients, Int, Tensor};

use crate::LanguageModel;
use crate::recurrent::{LayerState, RecurrentModel};
use crate::transformer::Transformer;

/// What a pass through whole windows that are read cold leaves: the logits after the last token, and a place in the
/// graph for each state that they came from.
///
/// A state s is read as s + e with a tensor e of zeros, so that the gradient with respect to e is that with respect to
/// s, all paths from it to the loss taken together. Of an LSTM, h is one state and c another: the path from c through
/// the h of the same step belongs to c too.
#[derive(Debug)]
pub struct Traced {
    /// Logits for the token after the window, `[B, V]`.
    pub logits: Tensor<2>,
    inputs: Tensor<3>,
    layers: Vec<TracedLayer>,
}

#[derive(Debug)]
struct TracedLayer {
    /// `[B, width]` for each token.
    hidden: Vec<Tensor<2>>,
    memory: Vec<Tensor<2>>,
    /// The slope of h by c, which the memory's place in the graph stands behind.
    slopes: Vec<Tensor<2>>,
}

/// The gradients of a loss with respect to states, `[B, T, width]` each: row b is that of the loss of row b, if the
/// loss is the sum over the rows of a batch.
#[derive(Debug)]
pub struct StateGradients {
    /// With respect to what the first layer reads.
    pub inputs: Tensor<3>,
    /// With respect to what each layer makes, the lowest first.
    pub layers: Vec<LayerGradients>,
}

/// Those of a layer.
#[derive(Debug)]
pub struct LayerGradients {
    /// With respect to h_t of a recurrent layer, or to the residual stream above a block.
    pub hidden: Tensor<3>,
    /// With respect to c_t of an LSTM.
    pub memory: Option<Tensor<3>>,
}

impl LanguageModel {
    /// Reads windows `[B, T]` token by token where the model is recurrent; the model must be with autodiff.
    ///
    /// # Panics
    /// If the model reads pairs.
    pub fn traced(&self, tokens: Tensor<2, Int>) -> Traced {
        match self {
            Self::Recurrent(model) => recurrent(model, tokens),
            Self::Transformer(model) => transformer(model, tokens),
            Self::EncoderDecoder(_) => panic!("a model that reads pairs has no state after a token of one text"),
        }
    }
}

impl Traced {
    /// The gradients with respect to every state, out of those of a loss that is a function of the logits.
    pub fn gradients(&self, gradients: &Gradients) -> StateGradients {
        let side_by_side = |states: &[Tensor<2>]| {
            let found =
                states.iter().map(|state| state.grad(gradients).unwrap_or_else(|| state.clone().inner().zeros_like()));
            Tensor::stack::<3>(found.collect(), 1)
        };
        let inputs = self.inputs.grad(gradients).unwrap_or_else(|| self.inputs.clone().inner().zeros_like());
        let layer = |layer: &TracedLayer| {
            let hidden = side_by_side(&layer.hidden);
            let memory = (!layer.memory.is_empty())
                .then(|| side_by_side(&layer.memory) + hidden.clone() * Tensor::stack::<3>(layer.slopes.clone(), 1));
            LayerGradients { hidden, memory }
        };
        StateGradients { inputs, layers: self.layers.iter().map(layer).collect() }
    }
}

/// Zeros whose gradient is wanted.
fn marker(like: &Tensor<2>) -> Tensor<2> {
    like.zeros_like().detach().require_grad()
}

fn recurrent(model: &RecurrentModel, tokens: Tensor<2, Int>) -> Traced {
    let [rows, steps] = tokens.dims();
    let inputs = model.before_layers(tokens).swap_dims(0, 1).detach().require_grad();
    let mut below: Vec<Tensor<2>> = (0..steps).map(|step| inputs.clone().narrow(1, step, 1).squeeze_dim(1)).collect();
    let mut layers = Vec::new();
    for (layer, mut state) in model.layers.iter().zip(model.initial_state(rows).layers) {
        let mut traced = TracedLayer { hidden: Vec::new(), memory: Vec::new(), slopes: Vec::new() };
        for input in &mut below {
            let (after, slope) = layer.step(input.clone(), state);
            traced.slopes.extend(slope);
            let hidden = marker(&after.hidden);
            let cell = after.cell.map(|cell| {
                let memory = marker(&cell);
                traced.memory.push(memory.clone());
                cell + memory
            });
            state = LayerState { hidden: after.hidden + hidden.clone(), cell };
            traced.hidden.push(hidden);
            *input = state.hidden.clone();
        }
        layers.push(traced);
    }
    let Some(last) = below.pop() else { panic!("a window has a token at least") };
    Traced { logits: model.logits_of(last), inputs, layers }
}

fn transformer(model: &Transformer, tokens: Tensor<2, Int>) -> Traced {
    let [rows, steps] = tokens.dims();
    let inputs = model.before_blocks(tokens);
    let [_, width] = inputs.dims();
    let inputs = inputs.reshape([rows, steps, width]).detach().require_grad();
    let mut stream: Tensor<2> = inputs.clone().reshape([rows * steps, width]);
    let mut layers = Vec::new();
    for block in 0..model.blocks.len() {
        let above = model.through_block(block, stream, [rows, steps]).reshape([rows, steps, width]);
        let states: Vec<Tensor<2>> =
            (0..steps).map(|step| marker(&above.clone().narrow(1, step, 1).squeeze_dim(1))).collect();
        stream = (above + Tensor::stack(states.clone(), 1)).reshape([rows * steps, width]);
        layers.push(TracedLayer { hidden: states, memory: Vec::new(), slopes: Vec::new() });
    }
    let last = stream.reshape([rows, steps, width]).narrow(1, steps - 1, 1).squeeze_dim::<2>(1);
    Traced { logits: model.after_blocks(last), inputs, layers }
}

#[cfg(test)]
mod tests;
