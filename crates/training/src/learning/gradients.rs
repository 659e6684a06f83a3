//! The mean over the pieces of an update, and what has to be known of it on the host.

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{ExecutionError, Tensor};
use kiln_models::{LanguageModel, State};
use kiln_optimization::optimizers::{Guard, global_norm};
use kiln_parameters::Reading;

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

/// [`Numbers`] that are still on the device, all in one tensor, so that they are read in one go.
pub(super) struct QueuedNumbers {
    /// The mean loss, the gradient norm, and the norm of each piece times its share.
    tensor: Tensor<1>,
    /// Windows of each piece, and its share.
    pieces: Vec<(usize, f64)>,
}

/// [`Numbers`] on their way to the host.
pub(super) struct ComingNumbers {
    reading: Reading,
    pieces: Vec<(usize, f64)>,
}

/// What the host needs to know of an update.
pub(super) struct Numbers {
    /// The mean loss, nats per token.
    pub(super) loss: f64,
    /// The global norm of the mean gradient, before clipping.
    pub(super) gradient_norm: f64,
    parts: Vec<PartNorm>,
}

impl QueuedNumbers {
    /// Asks the device for them.
    pub(super) fn new(
        model: &LanguageModel,
        loss: Tensor<1>,
        gradients: &GradientsParams,
        pieces: Vec<PieceNorm>,
    ) -> Self {
        let norm = global_norm(model, gradients).map_or_else(|| loss.zeros_like(), |norm| norm.0);
        let shares = pieces.iter().map(|piece| (piece.windows, piece.share)).collect();
        let norms = pieces.into_iter().map(|piece| piece.norm);
        let tensors: Vec<Tensor<1>> = [loss, norm].into_iter().chain(norms).collect();
        Self { tensor: Tensor::cat(tensors, 0), pieces: shares }
    }

    /// See [`Guard::new`].
    pub(super) fn guard(&self, limit: Option<f64>, before: Option<&Guard>) -> Guard {
        Guard::new(self.tensor.clone(), limit, before)
    }

    /// Begins to copy them to the host, and waits for nothing.
    pub(super) fn read(self) -> ComingNumbers {
        ComingNumbers { reading: Reading::begin(self.tensor), pieces: self.pieces }
    }
}

impl ComingNumbers {
    /// Waits until the device has computed them.
    ///
    /// # Errors
    /// When the device fails.
    pub(super) fn wait(&mut self) -> Result<Numbers, ExecutionError> {
        let values = self.reading.wait()?;
        // The gradient of a piece came in multiplied by its share of the update.
        let part =
            |(&(windows, share), value): (&(usize, f64), &f64)| PartNorm { windows, squared: (value / share).powi(2) };
        let parts = self.pieces.iter().zip(&values[2..]).map(part).collect();
        Ok(Numbers { loss: values[0], gradient_norm: values[1], parts })
    }
}

impl Numbers {
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
