//! Parameters taken out of a module for an update, and put back.
//!
//! They are taken out of all the module at once, so that a rule can go over them in one pass, and leave nothing behind that
//! holds them, so that it can write them in place.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{GradientCheckpointingStrategy, Shape, Tensor};

use super::walk::flat;

/// All parameters of a module that have a gradient, in the module's order.
pub(super) struct Taken {
    pub(super) places: Vec<Place>,
    /// Value and gradient of each, flattened and without autodiff.
    pub(super) tensors: Vec<[Tensor<1>; 2]>,
}

/// Where a parameter belongs, and what it is beside its numbers.
pub(super) struct Place {
    /// Path in the module.
    pub(super) path: String,
    pub(super) shape: Vec<usize>,
    id: ParamId,
    requires_gradient: bool,
    checkpointing: Option<GradientCheckpointingStrategy>,
}

/// The module with one number in place of each of its parameters that have a gradient, and these.
pub(super) fn take_parameters<M: Module>(model: M, gradients: GradientsParams) -> (M, Taken) {
    let taken = Taken { places: Vec::new(), tensors: Vec::new() };
    let mut mapper = TakingMapper { taken, gradients, path: Vec::new() };
    let model = model.map(&mut mapper);
    (model, mapper.taken)
}

/// The module with these flattened values in place of what was taken out of it.
///
/// # Panics
/// When there is not a value for each, of the same length.
pub(super) fn put_parameters_back<M: Module>(model: M, places: &[Place], values: Vec<Tensor<1>>) -> M {
    assert_eq!(values.len(), places.len(), "a rule gives a value for each parameter");
    let values = places.iter().zip(values).map(|(place, value)| (place.id, (place, value)));
    model.map(&mut PuttingMapper { values: values.collect() })
}

struct TakingMapper {
    taken: Taken,
    gradients: GradientsParams,
    path: Vec<String>,
}

impl ModuleMapper for TakingMapper {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let Some(gradient) = self.gradients.remove::<D>(id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        self.taken.places.push(Place {
            path: self.path.join("."),
            shape: tensor.dims().into(),
            id,
            requires_gradient: tensor.is_require_grad(),
            checkpointing: tensor.gradient_checkpointing_strategy(),
        });
        let nothing = Tensor::empty([1; D], &tensor.device());
        self.taken.tensors.push([flat(tensor.inner()), flat(gradient)]);
        Param::from_mapped_value(id, nothing, mapper)
    }
}

struct PuttingMapper<'a> {
    values: HashMap<ParamId, (&'a Place, Tensor<1>)>,
}

impl ModuleMapper for PuttingMapper<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let Some((place, value)) = self.values.remove(&id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let mut value: Tensor<D> = Tensor::from_inner(value.reshape::<D, _>(Shape::from(place.shape.clone())));
        if let Some(strategy) = place.checkpointing {
            value = value.with_gradient_checkpointing_strategy(strategy);
        }
        if place.requires_gradient {
            value = value.require_grad();
        }
        Param::from_mapped_value(id, value, mapper)
    }
}
