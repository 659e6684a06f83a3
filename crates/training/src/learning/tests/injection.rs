//! Faults for tests: what goes wrong, and in which step.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, s};
use kiln_models::{LanguageModel, State};
use kiln_parameters::map;

use crate::learning::faults::Faults;

/// Where a number is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Site {
    /// The mean loss.
    Loss,
    /// One number of one parameter's gradient.
    Gradient,
    /// One weight, before the step.
    Weight,
    /// The recurrent state before the batch.
    State,
}

/// What goes wrong in a step.
type Planned = Option<(Site, f64)>;

/// Asked at every step, by its number.
type Plan = dyn FnMut(u64) -> Planned + Send;

/// A plan of what goes wrong. Clones share it, so that it outlives a session.
#[derive(Clone)]
pub(super) struct Injection {
    plan: Arc<Mutex<Plan>>,
    /// The step after which the next validation loss is to be no number.
    validation: Arc<Mutex<Option<u64>>>,
    /// What goes wrong in this step.
    current: Planned,
    /// What was planned for a step that is to begin again.
    taken_back: Arc<Mutex<BTreeMap<u64, Planned>>>,
}

impl Injection {
    /// What goes wrong in each step.
    pub(super) fn plan(plan: impl FnMut(u64) -> Planned + Send + 'static) -> Self {
        Self { plan: Arc::new(Mutex::new(plan)), validation: Arc::default(), current: None, taken_back: Arc::default() }
    }

    /// The next validation loss after a step is NaN.
    pub(super) fn of_validation(step: u64) -> Self {
        Self { validation: Arc::new(Mutex::new(Some(step))), ..Self::plan(|_| None) }
    }
}

impl Faults for Injection {
    fn before_update(&mut self, step: u64, model: &mut LanguageModel, carried: &mut Option<State>) {
        let planned = self.taken_back.lock().unwrap_or_else(PoisonError::into_inner).remove(&step);
        self.current = planned.unwrap_or_else(|| (self.plan.lock().unwrap_or_else(PoisonError::into_inner))(step));
        match self.current {
            Some((Site::Weight, value)) => *model = map(model.valid(), |_, weights| spoiled(weights, value)).train(),
            Some((Site::State, value)) => {
                if let Some(state) = carried {
                    spoil(state, value);
                }
            }
            _ => {}
        }
    }

    fn after_backward(
        &mut self,
        model: &LanguageModel,
        loss: Tensor<1>,
        mut gradients: GradientsParams,
    ) -> (Tensor<1>, GradientsParams) {
        match self.current {
            Some((Site::Loss, value)) => (loss.mul_scalar(value), gradients),
            Some((Site::Gradient, value)) => {
                model.visit(&mut Spoiler { value: Some(value), gradients: &mut gradients });
                (loss, gradients)
            }
            _ => (loss, gradients),
        }
    }

    fn taken_back(&mut self, step: u64) {
        self.taken_back.lock().unwrap_or_else(PoisonError::into_inner).insert(step, self.current);
    }

    fn validation_loss(&mut self, step: u64, loss: f64) -> f64 {
        let mut planned = self.validation.lock().unwrap_or_else(PoisonError::into_inner);
        if planned.take_if(|planned| *planned == step).is_some() { f64::NAN } else { loss }
    }
}

fn spoil(state: &mut State, value: f64) {
    let State::Recurrent(state) = state else { panic!("a transformer carries no state") };
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
