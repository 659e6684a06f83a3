//! Operations with a backward of their own in Burn's graph.

use std::fmt::Debug;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, NodeGuard, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend};

/// Gradients of the inputs from the kept state and the gradient of the output; the flags say which are wanted.
pub type BackwardFunction<B, S, const N: usize> = fn(S, FloatTensor<B>, [bool; N]) -> [Option<FloatTensor<B>>; N];

/// Puts an operation into the graph: its `output`, computed on the inner backend, the nodes of its inputs, and how the
/// gradients come back. `state` holds what the backward needs; tensors in it are handles, not copies.
///
/// `examples/add_operation.rs` of this crate adds an operation with it.
pub fn record<B: Backend, C: CheckpointStrategy, S, const N: usize>(
    inputs: [NodeGuard; N],
    output: FloatTensor<B>,
    state: S,
    backward: BackwardFunction<B, S, N>,
) -> FloatTensor<Autodiff<B, C>>
where
    S: Clone + Debug + Send + 'static,
{
    match (Recorded { backward }).prepare::<C>(inputs).compute_bound().stateful() {
        OpsKind::Tracked(preparation) => preparation.finish(state, output),
        OpsKind::UnTracked(preparation) => preparation.finish(output),
    }
}

struct Recorded<B: Backend, S, const N: usize> {
    backward: BackwardFunction<B, S, N>,
}

impl<B: Backend, S, const N: usize> Debug for Recorded<B, S, N> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("fused operation")
    }
}

impl<B: Backend, S: Clone + Debug + Send + 'static, const N: usize> Backward<B, N> for Recorded<B, S, N> {
    type State = S;

    fn backward(self, ops: Ops<S, N>, gradients: &mut Gradients, _checkpointer: &mut Checkpointer) {
        let gradient = gradients.consume::<B>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = (self.backward)(ops.state, gradient, wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(found) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                gradients.register::<B>(parent.id, gradient);
            }
        }
    }
}
