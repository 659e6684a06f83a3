//! The loss of preferences, and its gradients.

use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;
use kiln_data::batches::{Batch, HostBatch};
use kiln_kernels::Draws;
use kiln_models::LanguageModel;

use super::loss::{TrainingInput, TrainingOutput, on_device, uploaded};
use crate::config::DpoConfig;

/// What is measured of a batch of preferences.
pub(crate) struct Preferred {
    /// The mean loss, \[1\].
    pub(crate) loss: Tensor<1>,
    /// The mean of β d, \[1\]: how much more the model prefers the chosen answers than the reference model does.
    pub(crate) margin: Tensor<1>,
    /// The share of pairs with d above 0, \[1\].
    pub(crate) accuracy: Tensor<1>,
    /// The log-probability of each answer, \[rows\].
    pub(crate) answers: Tensor<1>,
}

/// As [`training_step`](super::training_step), on a batch of preferences.
pub(super) fn preferring_step(
    model: &LanguageModel,
    input: TrainingInput,
    settings: DpoConfig,
) -> (TrainingOutput, GradientsParams) {
    let TrainingInput { batch, share, dropout_seed, .. } = input;
    let Batch::Windows(batch) = batch else { panic!("preferences are rows of conversations") };
    let mut draws = dropout_seed.map_or_else(Draws::none, Draws::from_seed);
    let found = preferred(model, batch, settings, &mut draws);
    let gradients = found.loss.clone().mul_scalar(share).backward();
    let parts = Some([found.margin.inner(), found.accuracy.inner()]);
    let output = TrainingOutput { loss: found.loss.inner(), parts, state: None, teacher_state: None };
    (output, GradientsParams::from_grads(gradients, model))
}

/// The loss of a batch whose rows are a chosen and a rejected answer in turns, each with its log-probability under the
/// reference model.
pub(crate) fn preferred(model: &LanguageModel, batch: HostBatch, settings: DpoConfig, draws: &mut Draws) -> Preferred {
    let (rows, device) = (batch.rows, model.device());
    let references = batch.references.clone().unwrap_or_else(|| vec![0.0; rows]);
    let answers = answer_log_probabilities(model, batch, draws);
    let others = on_device::<1>(references, [rows], &device);
    // [pairs, 2]: of the chosen, and of the rejected answer.
    let gain = answers.clone().sub(others).reshape([rows / 2, 2]);
    let [chosen, rejected] = [0, 1].map(|which| gain.clone().narrow(1, which, 1));
    let margin: Tensor<1> = chosen.sub(rejected).mul_scalar(settings.beta).reshape([rows / 2]);
    let smoothing = settings.label_smoothing;
    let right = log_sigmoid(margin.clone()).mul_scalar(smoothing - 1.0);
    let wrong = log_sigmoid(margin.clone().neg()).mul_scalar(-smoothing);
    Preferred {
        loss: right.add(wrong).mean(),
        accuracy: margin.clone().greater_elem(0.0).float().mean(),
        margin: margin.mean(),
        answers,
    }
}

/// The log-probability of what counts in each row, \[rows\].
pub(crate) fn answer_log_probabilities(model: &LanguageModel, batch: HostBatch, draws: &mut Draws) -> Tensor<1> {
    let (shape, device) = ([batch.rows, batch.columns], model.device());
    let [tokens, targets] = uploaded(batch.inputs, batch.targets, shape, &device);
    let (losses, _) = model.losses_of_documents(tokens, targets, None, &batch.document_starts, draws);
    let weights = batch.weights.unwrap_or_else(|| vec![1.0; shape[0] * shape[1]]);
    losses.mul(on_device(weights, shape, &device)).sum_dim(1).neg().reshape([shape[0]])
}
