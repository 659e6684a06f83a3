//! The mean over the pieces of an update, and what has to be known of it on the host.

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{ExecutionError, Tensor};
use kiln_models::{LanguageModel, State};
use kiln_optimization::optimizers::{Guard, global_norm};
use kiln_parameters::{Reading, without_zeros};

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
    /// Targets that count in the whole update.
    pub(super) counted: u64,
    /// The mean loss, \[1\]; `None` before the first piece.
    pub(super) loss: Option<Tensor<1>>,
    /// Its parts, where there is a teacher.
    parts: Option<[Tensor<1>; 2]>,
    /// Whether zeros of matrices have no gradient.
    keep_zeros: bool,
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
    /// Nothing yet; with `keep_zeros` numbers of matrices that are exactly zero have no gradient.
    pub(super) fn new(keep_zeros: bool) -> Self {
        Self { keep_zeros, ..Self::default() }
    }

    /// Takes in a piece and gives the states after it, that of the model and that of the teacher.
    pub(super) fn add(&mut self, model: &LanguageModel, input: TrainingInput, measure: Measure) -> [Option<State>; 2] {
        let (windows, share) = (input.batch.rows(), input.share);
        if measure.sharpness {
            self.inputs.push(input.clone());
        }
        let (output, mut gradients) = training_step(model, input);
        if self.keep_zeros {
            gradients = without_zeros(model, gradients);
        }
        let loss = output.loss.mul_scalar(share);
        if measure.noise
            && let Some(norm) = global_norm(model, &gradients)
        {
            self.norms.push(PieceNorm { windows, share, norm: norm.0 });
        }
        self.loss = Some(added(self.loss.take(), loss));
        if let Some([hard, soft]) = output.parts {
            let [mean_hard, mean_soft] = self.parts.take().map_or([None, None], |parts| parts.map(Some));
            let [hard, soft] = [hard, soft].map(|part| part.mul_scalar(share));
            self.parts = Some([added(mean_hard, hard), added(mean_soft, soft)]);
        }
        self.accumulator.accumulate(model, gradients);
        [output.state, output.teacher_state]
    }

    /// The mean gradients; they are taken out.
    pub(super) fn gradients(&mut self) -> GradientsParams {
        self.accumulator.grads()
    }
}

fn added(mean: Option<Tensor<1>>, more: Tensor<1>) -> Tensor<1> {
    match mean {
        Some(mean) => mean.add(more),
        None => more,
    }
}

/// [`Numbers`] that are still on the device, all in one tensor, so that they are read in one go.
pub(super) struct QueuedNumbers {
    /// The mean loss, the gradient norm, the parts of the loss, and the norm of each piece times its share.
    tensor: Tensor<1>,
    has_parts: bool,
    /// Windows of each piece, and its share.
    pieces: Vec<(usize, f64)>,
}

/// [`Numbers`] on their way to the host.
pub(super) struct ComingNumbers {
    reading: Reading,
    has_parts: bool,
    pieces: Vec<(usize, f64)>,
}

/// What the host needs to know of an update.
pub(super) struct Numbers {
    /// The mean loss, nats per token.
    pub(super) loss: f64,
    /// The global norm of the mean gradient, before clipping.
    pub(super) gradient_norm: f64,
    /// Where there is a teacher: the parts of the loss.
    pub(super) losses: Option<[f64; 2]>,
    parts: Vec<PartNorm>,
}

impl QueuedNumbers {
    /// Asks the device for those of a mean with this loss and these gradients.
    pub(super) fn new(model: &LanguageModel, loss: Tensor<1>, gradients: &GradientsParams, mean: &mut Mean) -> Self {
        let (pieces, parts) = (std::mem::take(&mut mean.norms), mean.parts.take());
        let norm = global_norm(model, gradients).map_or_else(|| loss.zeros_like(), |norm| norm.0);
        let shares = pieces.iter().map(|piece| (piece.windows, piece.share)).collect();
        let norms = pieces.into_iter().map(|piece| piece.norm);
        let has_parts = parts.is_some();
        let tensors = [loss, norm].into_iter().chain(parts.into_iter().flatten()).chain(norms);
        Self { tensor: Tensor::cat(tensors.collect(), 0), has_parts, pieces: shares }
    }

    /// See [`Guard::new`].
    pub(super) fn guard(&self, limit: Option<f64>, before: Option<&Guard>) -> Guard {
        Guard::new(self.tensor.clone(), limit, before)
    }

    /// Begins to copy them to the host, and waits for nothing.
    pub(super) fn read(self) -> ComingNumbers {
        ComingNumbers { reading: Reading::begin(self.tensor), has_parts: self.has_parts, pieces: self.pieces }
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
        let losses = self.has_parts.then(|| [values[2], values[3]]);
        let norms = &values[if self.has_parts { 4 } else { 2 }..];
        let parts = self.pieces.iter().zip(norms).map(part).collect();
        Ok(Numbers { loss: values[0], gradient_norm: values[1], losses, parts })
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
