//! The list of a module's parameters.

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::tensor::{DType, FloatDType, Tensor};

use crate::path::ModulePath;
use crate::role::Role;

/// One parameter of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// Path in the module, for example `blocks.0.attention.query_key_value.weight`.
    pub path: String,
    /// What gradients are keyed by in this process.
    pub id: ParamId,
    /// What it is for.
    pub role: Role,
    /// Type of its numbers.
    pub dtype: DType,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Whether training moves it; a frozen parameter has no gradient and no state in an optimizer.
    pub is_trained: bool,
}

impl Parameter {
    /// How many numbers it has.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    pub(crate) fn new<const D: usize>(path: &ModulePath, param: &Param<Tensor<D>>) -> Self {
        let shape = param.lazy_shape().to_vec();
        let (name, container) = path.innermost();
        let role = Role::of(container, name, shape.len());
        let (dtype, is_trained) = if param.is_initialized() {
            let value = param.val();
            // Without autodiff a tensor needs no gradient, but the parameter remembers whether it will.
            let will_train = if value.device().is_autodiff() { value } else { param.clone().train().val() };
            (will_train.dtype(), will_train.is_require_grad())
        } else {
            (default_type(param), true)
        };
        Self { path: path.joined(), id: param.id, role, dtype, shape, is_trained }
    }
}

/// The type that a parameter without a value will have.
fn default_type<const D: usize>(param: &Param<Tensor<D>>) -> DType {
    let float: FloatDType = param.lazy_device().settings().float_dtype;
    float.into()
}

/// All parameters of a module, in its own order, without reading a value from a device.
///
/// # Panics
/// When the module has parameters that are not floats: no model of Kiln has any.
pub fn catalogue<M: Module>(module: &M) -> Vec<Parameter> {
    let mut lister = Lister::default();
    module.visit(&mut lister);
    lister.parameters
}

#[derive(Default)]
struct Lister {
    path: ModulePath,
    parameters: Vec<Parameter>,
}

impl ModuleVisitor for Lister {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.parameters.push(Parameter::new(&self.path, param));
    }
}
