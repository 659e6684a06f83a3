//! What an optimizer is: a rule for parameters.

use burn::tensor::Tensor;

use kiln_parameters::Role;

use super::{Rate, SlotNames, Slots};

/// What a rule may know of the parameter that it updates.
#[derive(Debug, Clone, Copy)]
pub struct Parameter<'a> {
    /// Path in the module, for example `blocks.0.attention.query_key_value.weight`.
    pub path: &'a str,
    /// The shape before flattening.
    pub shape: &'a [usize],
    /// What it is for; a rule decays matrices only.
    pub role: Role,
    /// Which update this is, counted from 1.
    pub step: u64,
}

impl<'a> Parameter<'a> {
    /// A parameter of a module in the update `step`.
    pub fn new(parameter: &'a kiln_parameters::Parameter, step: u64) -> Self {
        Self { path: &parameter.path, shape: &parameter.shape, role: parameter.role, step }
    }
}

/// A parameter that is about to move.
pub struct Moving<'a> {
    /// Which one it is.
    pub parameter: Parameter<'a>,
    /// Its values, flattened.
    pub value: Tensor<1>,
    /// Its gradient, flattened.
    pub gradient: Tensor<1>,
    /// Its state, read and written.
    pub slots: &'a mut Slots,
}

/// How a parameter moves.
///
/// A rule works in whatever type of numbers and on whatever device its tensors are, and draws nothing at random.
pub trait UpdateRule: Send + Sync {
    /// The new value from the old one, its gradient and the learning rate; `slots` is read and written.
    ///
    /// # Shapes
    /// Value, gradient and result are the flattened parameter, so are the vectors in `slots` and the rates, where there is
    /// one for each element.
    fn update(
        &self,
        parameter: Parameter<'_>,
        value: Tensor<1>,
        gradient: Tensor<1>,
        slots: &mut Slots,
        rate: &Rate,
    ) -> Tensor<1>;

    /// The new values of many parameters, as many as there are and in their order, in the same step, with one rate, and gradients that
    /// are multiplied by `scale` first (clipping). The same as one [`update`](Self::update) after the other, for some rules in one pass over all of them.
    fn update_all(&self, moving: Vec<Moving<'_>>, scale: f64, rate: f64) -> Vec<Tensor<1>> {
        let rate = Rate::Same(rate);
        let updated = moving.into_iter().map(|Moving { parameter, value, gradient, slots }| {
            let gradient = if scale == 1.0 { gradient } else { gradient.mul_scalar(scale) };
            self.update(parameter, value, gradient, slots, &rate)
        });
        updated.collect()
    }

    /// The names of the slots that the parameter has after its first update, with one rate for all elements.
    fn slot_names(&self, parameter: Parameter<'_>) -> SlotNames;

    /// Whether a model is to be evaluated, and used after training, with other weights than those that move.
    fn has_evaluation_weights(&self) -> bool {
        false
    }

    /// The weights to evaluate with, from those that move and the state that goes with them.
    fn evaluation_weights(&self, value: Tensor<1>, _slots: &Slots) -> Tensor<1> {
        value
    }
}
