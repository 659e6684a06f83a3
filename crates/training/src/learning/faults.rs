//! Where tests make training go wrong.

use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use kiln_models::{LanguageModel, State};

/// Changes what an update or an evaluation computes, to see what training does about it. A method that isn't overridden
/// changes nothing.
pub(super) trait Faults: Send {
    /// Comes before the batches of step number `step` are read.
    fn before_update(&mut self, _step: u64, _model: &mut LanguageModel, _carried: &mut Option<State>) {}

    /// Gives the loss and the gradients that the batches of this step are to have.
    fn after_backward(
        &mut self,
        _model: &LanguageModel,
        loss: Tensor<1>,
        gradients: GradientsParams,
    ) -> (Tensor<1>, GradientsParams) {
        (loss, gradients)
    }

    /// Step number `step`, which was begun, is to begin again.
    fn taken_back(&mut self, _step: u64) {}

    /// Gives the validation loss that the evaluation after step number `step` is to have.
    fn validation_loss(&mut self, _step: u64, loss: f64) -> f64 {
        loss
    }
}

/// Production: nothing is changed.
pub(super) struct NoFaults;

impl Faults for NoFaults {}
