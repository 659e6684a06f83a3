//! State in 8 bits a number.

use burn::tensor::Tensor;
use kiln_kernels::GradientScale;
use kiln_parameters::Role;

use super::{Moving, ParameterView, Rate, SlotNames, Slots, UpdateRule};

/// Another rule, whose vectors of state are rounded to 8 bits a number after each update (Dettmers et al., "8-bit
/// Optimizers via Block-wise Quantization", 2022, <https://arxiv.org/abs/2110.02861>): those of hidden matrices, heads
/// and adapters. Tables stay in single precision, as section 2.3 says of embeddings, and so do vectors, which are
/// small.
///
/// The state lies on the host, so that the rule is for processors. An update needs one parameter's state in single
/// precision at a time.
pub struct EightBitState {
    rule: Box<dyn UpdateRule>,
}

impl EightBitState {
    /// `rule` with such a state.
    pub fn new(rule: Box<dyn UpdateRule>) -> Self {
        Self { rule }
    }

    fn packed(&self, moving: Moving<'_>, update: impl FnOnce(Moving<'_>) -> Tensor<1>) -> Tensor<1> {
        let Moving { parameter, value, gradient, slots } = moving;
        let names = self.rule.slot_names(parameter);
        slots.unpack(names, &value.device());
        let value = update(Moving { parameter, value, gradient, slots: &mut *slots });
        slots.pack(names);
        value
    }
}

/// Whether the state of parameters of a role is packed.
pub(super) fn packs(role: Role) -> bool {
    matches!(role, Role::HiddenMatrix | Role::Head | Role::Adapter)
}

impl UpdateRule for EightBitState {
    fn update(&self, moving: Moving<'_>, rate: &Rate) -> Tensor<1> {
        match packs(moving.parameter.role) {
            true => self.packed(moving, |moving| self.rule.update(moving, rate)),
            false => self.rule.update(moving, rate),
        }
    }

    fn update_all(&self, moving: Vec<Moving<'_>>, scale: &GradientScale, rate: f64) -> Vec<Tensor<1>> {
        let is_packed: Vec<bool> = moving.iter().map(|moving| packs(moving.parameter.role)).collect();
        let (large, small): (Vec<_>, Vec<_>) = moving.into_iter().partition(|moving| packs(moving.parameter.role));
        let small = if small.is_empty() { Vec::new() } else { self.rule.update_all(small, scale, rate) };
        let mut small = small.into_iter();
        let alone = |moving: Moving<'_>| self.rule.update_all(vec![moving], scale, rate).remove(0);
        let mut large = large.into_iter().map(|moving| self.packed(moving, alone));
        is_packed.into_iter().filter_map(|is_packed| if is_packed { large.next() } else { small.next() }).collect()
    }

    fn slot_names(&self, parameter: ParameterView<'_>) -> SlotNames {
        self.rule.slot_names(parameter)
    }

    fn is_packed(&self, parameter: ParameterView<'_>) -> bool {
        packs(parameter.role)
    }

    fn has_evaluation_weights(&self) -> bool {
        self.rule.has_evaluation_weights()
    }

    fn evaluation_weights(&self, value: Tensor<1>, slots: &Slots) -> Tensor<1> {
        self.rule.evaluation_weights(value, slots)
    }
}
