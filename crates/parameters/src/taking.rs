//! Parameters taken out of a module for an update, and put back.
//!
//! They are taken out of all the module at once, so that a rule can go over them in one pass, and leave nothing behind
//! that holds them, so that it can write them in place.

use std::collections::HashMap;

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Shape, Tensor};

use crate::catalogue::Parameter;
use crate::path::ModulePath;
use crate::values::{Autodiff, flat, with_autodiff_of};

/// All parameters of a module that have a gradient, in the module's order.
pub struct Taken {
    /// What each is.
    pub parameters: Vec<Parameter>,
    /// Value and gradient of each, flattened and without autodiff.
    pub tensors: Vec<[Tensor<1>; 2]>,
    autodiff: Vec<Autodiff>,
}

/// The module with one number in place of each of its parameters that have a gradient, and these.
pub fn take<M: Module>(module: M, gradients: GradientsParams) -> (M, Taken) {
    let taken = Taken { parameters: Vec::new(), tensors: Vec::new(), autodiff: Vec::new() };
    let mut mapper = TakingMapper { taken, gradients, path: ModulePath::default() };
    let module = module.map(&mut mapper);
    (module, mapper.taken)
}

/// The module with these flattened values in place of what was [taken](take) out of it. `taken` has lost its tensors by
/// then.
///
/// # Panics
/// When there is not a value for each, of the same length.
pub fn put_back<M: Module>(module: M, taken: &Taken, values: Vec<Tensor<1>>) -> M {
    assert_eq!(values.len(), taken.parameters.len(), "a rule gives a value for each parameter");
    let places = taken.parameters.iter().zip(&taken.autodiff).zip(values);
    let places = places.map(|((parameter, autodiff), value)| (parameter.id, (parameter, *autodiff, value)));
    module.map(&mut PuttingMapper { places: places.collect() })
}

struct TakingMapper {
    taken: Taken,
    gradients: GradientsParams,
    path: ModulePath,
}

impl ModuleMapper for TakingMapper {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let parameter = Parameter::new(&self.path, &param);
        let (id, tensor, mapper) = param.consume();
        let Some(gradient) = self.gradients.remove::<D>(id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        self.taken.parameters.push(parameter);
        self.taken.autodiff.push(with_autodiff_of(&tensor));
        let nothing = Tensor::empty([1; D], &tensor.device());
        self.taken.tensors.push([flat(tensor.inner()), flat(gradient)]);
        Param::from_mapped_value(id, nothing, mapper)
    }
}

struct PuttingMapper<'a> {
    places: HashMap<ParamId, (&'a Parameter, Autodiff, Tensor<1>)>,
}

impl ModuleMapper for PuttingMapper<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let Some((parameter, autodiff, value)) = self.places.remove(&id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        let value: Tensor<D> = value.reshape::<D, _>(Shape::from(parameter.shape.clone()));
        Param::from_mapped_value(id, autodiff.apply(value), mapper)
    }
}
