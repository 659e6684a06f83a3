//! What an optimizer is: a rule for parameters.

use burn::tensor::Tensor;

use kiln_kernels::GradientScale;
use kiln_parameters::{Parameter, Role};

use super::{Rate, SlotNames, Slots};

/// What a rule sees of the parameter that it updates.
#[derive(Debug, Clone, Copy)]
pub struct ParameterView<'a> {
    /// Path in the module, for example `blocks.0.attention.query_key_value.weight`.
    pub path: &'a str,
    /// The shape before flattening.
    pub shape: &'a [usize],
    /// What it is for; a rule decays matrices only.
    pub role: Role,
    /// Which update this is, counted from 1.
    pub step: u64,
}

impl<'a> ParameterView<'a> {
    /// A parameter of a module in the update `step`.
    pub fn new(parameter: &'a Parameter, step: u64) -> Self {
        Self { path: &parameter.path, shape: &parameter.shape, role: parameter.role, step }
    }
}

/// A parameter that is about to move.
pub struct Moving<'a> {
    /// Which one it is.
    pub parameter: ParameterView<'a>,
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
///
/// # Examples
/// The sign of the gradient, a rule without any state, beside the shipped ones:
/// ```
/// use burn::tensor::{Device, Tensor};
/// use kiln_optimization::optimizers::{Moving, ParameterView, Rate, SlotNames, Slots, UpdateRule};
/// use kiln_parameters::Role;
///
/// struct SignDescent;
///
/// impl UpdateRule for SignDescent {
///     fn update(&self, moving: Moving<'_>, rate: &Rate) -> Tensor<1> {
///         moving.value.sub(rate.times(moving.gradient.sign()))
///     }
///
///     fn slot_names(&self, _parameter: ParameterView<'_>) -> SlotNames {
///         SlotNames::NONE
///     }
/// }
///
/// let device = Device::flex();
/// let parameter = ParameterView { path: "bias", shape: &[2], role: Role::Bias, step: 1 };
/// let moving = Moving {
///     parameter,
///     value: Tensor::from_data([1.0_f32, 1.0], &device),
///     gradient: Tensor::from_data([3.0_f32, -0.5], &device),
///     slots: &mut Slots::default(),
/// };
/// let moved = SignDescent.update(moving, &Rate::Same(0.25));
/// assert_eq!(moved.into_data().iter::<f32>().collect::<Vec<_>>(), [0.75, 1.25]);
/// ```
pub trait UpdateRule: Send + Sync {
    /// The new value of a parameter at the learning rate `rate`; its slots are read and written.
    ///
    /// # Shapes
    /// Value, gradient and result are the flattened parameter. So are the vectors in the slots, and the rates if there
    /// is one for each element.
    fn update(&self, moving: Moving<'_>, rate: &Rate) -> Tensor<1>;

    /// The new values of many parameters, in their order, in the same step, with one rate, and gradients that are
    /// multiplied by `scale` first (clipping). The same as one [`update`](Self::update) after the other; some rules do
    /// it in one pass over all of them. Where `scale` says so, on the device, values and vectors stay what they were.
    fn update_all(&self, moving: Vec<Moving<'_>>, scale: &GradientScale, rate: f64) -> Vec<Tensor<1>> {
        let rate = Rate::Same(rate);
        let scaled = |moving: Moving<'_>| {
            let Moving { parameter, value, gradient, slots } = moving;
            let before = match scale {
                GradientScale::Number(_) => None,
                GradientScale::Guarded(_) => Some((value.clone(), slots.clone())),
            };
            let gradient = scale.scaled(gradient);
            let new = self.update(Moving { parameter, value, gradient, slots: &mut *slots }, &rate);
            match before {
                None => new,
                Some((value, before)) => {
                    slots.choose(scale, &before);
                    scale.chosen(new, value)
                }
            }
        };
        moving.into_iter().map(scaled).collect()
    }

    /// The names of the slots that the parameter has after its first update, with one rate for all elements.
    fn slot_names(&self, parameter: ParameterView<'_>) -> SlotNames;

    /// Whether the vectors of a parameter's state are in 8 bits a number between two updates.
    fn is_packed(&self, _parameter: ParameterView<'_>) -> bool {
        false
    }

    /// Whether a model is to be evaluated, and used after training, with other weights than those that move.
    fn has_evaluation_weights(&self) -> bool {
        false
    }

    /// The weights to evaluate with, from those that move and the state that goes with them.
    fn evaluation_weights(&self, value: Tensor<1>, _slots: &Slots) -> Tensor<1> {
        value
    }
}
