//! Faults for tests: what goes wrong, and in which step.

use std::sync::{Mutex, PoisonError};

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, s};
use kiln_models::RecurrentState;

use super::model::TrainingModel;
use super::update::Updater;
use kiln_parameters::map;

/// Where a number is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Site {
    /// The mean loss.
    Loss,
    /// One number of one parameter's gradient.
    Gradient,
    /// One weight, before the step.
    Weight,
    /// The recurrent state that the batch goes on from.
    State,
}

/// Asked at every step, by its number.
type Plan = Box<dyn FnMut(u64) -> Option<(Site, f64)> + Send>;

static PLAN: Mutex<Option<Plan>> = Mutex::new(None);
static VALIDATION: Mutex<Option<u64>> = Mutex::new(None);

/// Makes `plan` decide what goes wrong, until the guard is dropped. Tests that train run one at a time.
pub(super) fn plan(plan: impl FnMut(u64) -> Option<(Site, f64)> + Send + 'static) -> Guard {
    *PLAN.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(plan));
    Guard
}

/// Ends a plan.
pub(super) struct Guard;

impl Drop for Guard {
    fn drop(&mut self) {
        *PLAN.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *VALIDATION.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What goes wrong in this step; what is wrong before it, is so now.
pub(super) fn before(step: u64, updater: &mut Updater) -> Option<(Site, f64)> {
    let injected = PLAN.lock().unwrap_or_else(PoisonError::into_inner).as_mut().and_then(|plan| plan(step))?;
    match injected {
        (Site::Weight, value) => {
            let model = updater.model().language_model.valid();
            updater.replace_model(map(model, |_, weights| spoiled(weights, value)));
        }
        (Site::State, value) => {
            if let Some(state) = &mut updater.parts.carried {
                spoil(state, value);
            }
        }
        _ => {}
    }
    Some(injected)
}

/// Spoils what the batches gave.
pub(super) fn after(
    injected: Option<(Site, f64)>,
    model: &TrainingModel,
    loss: Option<Tensor<1>>,
    mut gradients: GradientsParams,
) -> (Option<Tensor<1>>, GradientsParams) {
    match injected {
        Some((Site::Loss, value)) => (loss.map(|loss| loss.mul_scalar(value)), gradients),
        Some((Site::Gradient, value)) => {
            model.visit(&mut Spoiler { value: Some(value), gradients: &mut gradients });
            (loss, gradients)
        }
        _ => (loss, gradients),
    }
}

/// Makes the next validation loss after this step no number, until the guard is dropped.
pub(super) fn spoil_validation(step: u64) -> Guard {
    *VALIDATION.lock().unwrap_or_else(PoisonError::into_inner) = Some(step);
    Guard
}

/// The validation loss after a step, spoiled where that was planned.
pub(super) fn validation(step: u64, loss: f64) -> f64 {
    let mut planned = VALIDATION.lock().unwrap_or_else(PoisonError::into_inner);
    if planned.take_if(|planned| *planned == step).is_some() { f64::NAN } else { loss }
}

fn spoil(state: &mut RecurrentState, value: f64) {
    for layer in &mut state.layers {
        layer.hidden = layer.hidden.clone().mul_scalar(value);
    }
}

/// The first number replaced.
fn spoiled(vector: Tensor<1>, value: f64) -> Tensor<1> {
    let first = Tensor::full([1], value, &vector.device());
    vector.slice_assign(s![0..1], first)
}

/// Spoils the gradient of the first parameter that has one.
struct Spoiler<'a> {
    value: Option<f64>,
    gradients: &'a mut GradientsParams,
}

impl ModuleVisitor for Spoiler<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.get::<D>(param.id) else { return };
        if let Some(value) = self.value.take() {
            let (shape, length) = (gradient.dims(), gradient.shape().num_elements());
            self.gradients.register(param.id, spoiled(gradient.reshape([length]), value).reshape(shape));
        }
    }
}
