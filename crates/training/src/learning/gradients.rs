//! The mean over the pieces of an update, and what has to be known of it on the host.

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{ExecutionError, Tensor};
use kiln_models::{LanguageModel, State};
use kiln_optimization::optimizers::global_norm;

use super::error::Fault;
use super::loss::{TrainingInput, training_step};
use crate::gradient_measurements::{NoiseMeasurement, PartNorm};

/// What is measured in an update, beside what it needs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Measure {
    /// The noise of the gradient. A single batch is then worked through in two halves, which may change the last bits
    /// of its gradient, and its dropout; several batches are worked through as usual.
    pub(super) noise: bool,
    /// The sharpness along the gradient; it changes nothing.
    pub(super) sharpness: bool,
}

/// Sums over the pieces of an update; each comes in with its share, so that the sums are means.
#[derive(Default)]
pub(super) struct Mean {
    /// The mean loss, \[1\]; `None` before the first piece.
    pub(super) loss: Option<Tensor<1>>,
    accumulator: GradientsAccumulator<LanguageModel>,
    /// For the noise.
    pub(super) norms: Vec<PieceNorm>,
    /// For the sharpness: the pieces again.
    pub(super) inputs: Vec<TrainingInput>,
}

/// Windows of a piece, its share of the update, and the norm of its gradient times that share, \[1\].
pub(super) struct PieceNorm {
    windows: usize,
    share: f64,
    norm: Tensor<1>,
}

impl Mean {
    /// Takes in a piece and gives the state after it.
    pub(super) fn add(&mut self, model: &LanguageModel, input: TrainingInput, measure: Measure) -> Option<State> {
        let (windows, share) = (input.batch.rows, input.share);
        if measure.sharpness {
            self.inputs.push(input.clone());
        }
        let (output, gradients) = training_step(model, input);
        let loss = output.loss.mul_scalar(share);
        if measure.noise
            && let Some(norm) = global_norm(model, &gradients)
        {
            self.norms.push(PieceNorm { windows, share, norm: norm.0 });
        }
        self.loss = Some(self.loss.take().map_or_else(|| loss.clone(), |mean| mean.add(loss.clone())));
        self.accumulator.accumulate(model, gradients);
        output.state
    }

    /// The mean gradients; they are taken out.
    pub(super) fn gradients(&mut self) -> GradientsParams {
        self.accumulator.grads()
    }
}

/// What an update needs to know on the host.
pub(super) struct Numbers {
    /// The mean loss, nats per token.
    pub(super) loss: f64,
    /// The global norm of the mean gradient, before clipping.
    pub(super) gradient_norm: f64,
    parts: Vec<PartNorm>,
}

impl Numbers {
    /// Reads all numbers from the device in one go, which waits for it only once.
    ///
    /// # Errors
    /// When the device fails.
    pub(super) fn read(
        model: &LanguageModel,
        loss: Tensor<1>,
        gradients: &GradientsParams,
        pieces: &[PieceNorm],
    ) -> Result<Self, ExecutionError> {
        let norm = global_norm(model, gradients).map_or_else(|| loss.zeros_like(), |norm| norm.0);
        let norms = pieces.iter().map(|piece| piece.norm.clone());
        let tensors: Vec<Tensor<1>> = [loss, norm].into_iter().chain(norms).collect();
        let values: Vec<f64> = Tensor::cat(tensors, 0).try_into_data()?.iter::<f64>().collect();
        // The gradient of a piece came in multiplied by its share of the update.
        let part = |(piece, value): (&PieceNorm, &f64)| PartNorm {
            windows: piece.windows,
            squared: (value / piece.share).powi(2),
        };
        let parts = pieces.iter().zip(&values[2..]).map(part).collect();
        Ok(Self { loss: values[0], gradient_norm: values[1], parts })
    }

    /// The first of the numbers that weights depend on and that isn't finite.
    pub(super) fn fault(&self) -> Option<Fault> {
        let numbers = [("loss", self.loss), ("gradient norm", self.gradient_norm)];
        let fault = numbers.into_iter().find(|(_, value)| !value.is_finite());
        fault.map(|(what, value)| Fault { what, value })
    }

    /// The noise of the gradient, if it was measured.
    pub(super) fn noise(&self) -> Option<NoiseMeasurement> {
        NoiseMeasurement::new(&self.parts, self.gradient_norm.powi(2))
    }
}
