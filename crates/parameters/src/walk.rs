//! Walks over the values of parameters, flattened.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

use crate::catalogue::Parameter;
use crate::path::ModulePath;
use crate::values::{flat, with_autodiff_of};

/// Shows `look` every parameter with its values, flattened and without autodiff.
pub fn visit<M: Module>(module: &M, look: impl FnMut(&Parameter, Tensor<1>)) {
    module.visit(&mut Visitor { path: ModulePath::default(), look });
}

/// The module with every parameter replaced by what `change` makes of its values, which it gets and gives flattened and
/// without autodiff; whether it is trained stays as it was.
///
/// # Panics
/// When `change` gives another number of elements than it was given.
pub fn map<M: Module>(module: M, change: impl FnMut(&Parameter, Tensor<1>) -> Tensor<1>) -> M {
    module.map(&mut Mapper { path: ModulePath::default(), change })
}

/// The module with every parameter replaced by the flattened values, without autodiff, that `give` has for it; one for
/// which it has none stays as it is. Ids stay, and whether a parameter is trained; a value that a parameter doesn't
/// have yet is never made.
///
/// # Panics
/// When `give` gives another number of elements than the parameter has.
pub fn fill<M: Module>(module: M, give: impl FnMut(&Parameter) -> Option<Tensor<1>>) -> M {
    module.map(&mut Filler { path: ModulePath::default(), give })
}

/// The module, on an autodiff device, with only those parameters trained that `is_trained` says: the others need no
/// gradient, so that the backward pass ends above the lowest that does.
pub fn freeze<M: Module>(module: M, is_trained: impl FnMut(&Parameter) -> bool) -> M {
    module.map(&mut Freezer { path: ModulePath::default(), is_trained })
}

struct Visitor<F> {
    path: ModulePath,
    look: F,
}

impl<F: FnMut(&Parameter, Tensor<1>)> ModuleVisitor for Visitor<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let parameter = Parameter::new(&self.path, param);
        (self.look)(&parameter, flat(param.val().inner()));
    }
}

struct Mapper<F> {
    path: ModulePath,
    change: F,
}

impl<F: FnMut(&Parameter, Tensor<1>) -> Tensor<1>> ModuleMapper for Mapper<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let parameter = Parameter::new(&self.path, &param);
        let (id, tensor, mapper) = param.consume();
        let shape = tensor.dims();
        let autodiff = with_autodiff_of(&tensor);
        let changed = (self.change)(&parameter, flat(tensor.inner())).reshape(shape);
        Param::from_mapped_value(id, autodiff.apply(changed), mapper)
    }
}

struct Filler<F> {
    path: ModulePath,
    give: F,
}

impl<F: FnMut(&Parameter) -> Option<Tensor<1>>> ModuleMapper for Filler<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(values) = (self.give)(&Parameter::new(&self.path, &param)) else { return param };
        let (id, values) = (param.id, values.reshape::<D, _>(param.lazy_shape()));
        let values = match param.lazy_device().gradient_checkpointing_strategy() {
            Some(strategy) => Tensor::from_inner(values).with_gradient_checkpointing_strategy(strategy),
            None => values,
        };
        param.transform_for_load(values, id)
    }
}

struct Freezer<F> {
    path: ModulePath,
    is_trained: F,
}

impl<F: FnMut(&Parameter) -> bool> ModuleMapper for Freezer<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let is_trained = (self.is_trained)(&Parameter::new(&self.path, &param));
        param.set_require_grad(is_trained)
    }
}
