//! Walks through the parameters of a module, flattened and by path.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;

/// The module, which is without autodiff, with every parameter of floats replaced by what `change` makes of its path and
/// its values.
///
/// # Panics
/// When `change` gives another number of elements than it was given.
pub(crate) fn map_parameters<M: Module>(model: M, change: impl FnMut(&str, Tensor<1>) -> Tensor<1>) -> M {
    model.map(&mut Mapper { path: Vec::new(), change })
}

/// Shows `look` the path and the values of every parameter of floats, without autodiff.
pub(crate) fn visit_parameters<M: Module>(model: &M, look: impl FnMut(&str, Tensor<1>)) {
    model.visit(&mut Visitor { path: Vec::new(), look });
}

struct Mapper<F> {
    path: Vec<String>,
    change: F,
}

impl<F: FnMut(&str, Tensor<1>) -> Tensor<1>> ModuleMapper for Mapper<F> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let shape = tensor.dims();
        let changed = (self.change)(&self.path.join("."), flat(tensor)).reshape(shape);
        Param::from_mapped_value(id, changed, mapper)
    }
}

struct Visitor<F> {
    path: Vec<String>,
    look: F,
}

impl<F: FnMut(&str, Tensor<1>)> ModuleVisitor for Visitor<F> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        (self.look)(&self.path.join("."), flat(param.val().inner()));
    }
}

/// All numbers of a tensor in one row.
pub(super) fn flat<const D: usize>(tensor: Tensor<D>) -> Tensor<1> {
    let length = tensor.shape().num_elements();
    tensor.reshape([length])
}
