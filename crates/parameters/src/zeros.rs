//! Zeros of matrices that stay zeros.

use std::collections::HashMap;

use burn::module::{Module, ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::tensor::{Bool, Tensor};

use crate::catalogue::Parameter;
use crate::path::ModulePath;
use crate::values::flat;
use crate::walk::{map, visit};

/// Which numbers of a module's matrices are exactly zero.
///
/// A number that was zero before an update and is made zero after it is zero for good, so that the zeros of any weights
/// in between say which: nothing beside the weights needs to be saved.
pub struct Zeros(HashMap<ParamId, Tensor<1, Bool>>);

impl Zeros {
    /// Those of a module.
    pub fn of<M: Module>(module: &M) -> Self {
        let mut zeros = HashMap::new();
        visit(module, |parameter, values| {
            if parameter.role.is_matrix() && parameter.is_trained {
                zeros.insert(parameter.id, values.equal_elem(0.0));
            }
        });
        Self(zeros)
    }

    /// The module, after it was moved, with zeros where it had them.
    pub fn kept<M: Module>(&self, module: M) -> M {
        map(module, |parameter, values| match self.0.get(&parameter.id) {
            Some(zeros) => values.mask_fill(zeros.clone(), 0.0),
            None => values,
        })
    }
}

/// The gradients without those of numbers in matrices that are exactly zero.
pub fn without_zeros<M: Module>(module: &M, gradients: GradientsParams) -> GradientsParams {
    let mut masking = Masking { path: ModulePath::default(), gradients };
    module.visit(&mut masking);
    masking.gradients
}

struct Masking {
    path: ModulePath,
    gradients: GradientsParams,
}

impl ModuleVisitor for Masking {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let parameter = Parameter::new(&self.path, param);
        if !parameter.role.is_matrix() {
            return;
        }
        if let Some(gradient) = self.gradients.remove::<D>(parameter.id) {
            let (shape, zeros) = (gradient.dims(), flat(param.val().inner()).equal_elem(0.0));
            self.gradients.register(parameter.id, flat(gradient).mask_fill(zeros, 0.0).reshape::<D, _>(shape));
        }
    }
}
