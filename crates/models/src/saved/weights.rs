//! The parameters of a module by name, out of it and into it.
//!
//! A parameter's name is its path in the module, joined by dots: `layers.0.input.weight`. Which variant of an enum holds
//! it is left out, since the description of the model says that already and Python's users expect plain paths.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use burn::Tensor;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId, Parameter};
use burn::tensor::kind::Basic;
use burn::tensor::{Bool, DType, Int, TensorData};

use super::error::SavedModelError;

/// One parameter of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedParameter {
    /// The path in the module, joined by dots.
    pub name: String,
    /// What gradients and optimizer state are keyed by in this process.
    pub id: ParamId,
    /// The shape.
    pub shape: Vec<usize>,
}

/// One tensor that does not fit its parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeightProblem {
    /// The model has the parameter and the file has not.
    #[error("the tensor `{name}` is missing")]
    Missing {
        /// The name.
        name: String,
    },
    /// The file has the tensor and the model has no such parameter.
    #[error("the tensor `{name}` belongs to no parameter of the model")]
    Unexpected {
        /// The name.
        name: String,
    },
    /// Two parameters of the model have this name.
    #[error("two parameters of the model are named `{name}`")]
    Ambiguous {
        /// The name.
        name: String,
    },
    /// The shapes differ.
    #[error("the tensor `{name}` has the shape {found:?} instead of {expected:?}")]
    Shape {
        /// The name.
        name: String,
        /// The parameter's shape.
        expected: Vec<usize>,
        /// The tensor's shape.
        found: Vec<usize>,
    },
    /// The types of the numbers differ.
    #[error("the tensor `{name}` holds {found:?} instead of {expected:?}")]
    Type {
        /// The name.
        name: String,
        /// The parameter's type.
        expected: DType,
        /// The tensor's type.
        found: DType,
    },
    /// A value is infinite or not a number.
    #[error("the tensor `{name}` holds a value that is not finite, at index {index}")]
    NotFinite {
        /// The name.
        name: String,
        /// The first such element, counted through the tensor in rows.
        index: usize,
    },
}

impl WeightProblem {
    pub(super) fn is_not_finite(&self) -> bool {
        matches!(self, Self::NotFinite { .. })
    }
}

/// Names, ids and shapes of all parameters, in the module's own order.
pub fn named_parameters<M: Module>(module: &M) -> Vec<NamedParameter> {
    let mut lister = Lister::default();
    module.visit(&mut lister);
    lister.parameters
}

/// Every parameter's values by name, read from the device.
///
/// # Errors
/// The device fails to hand a tensor over, or two parameters share a name.
pub fn collect_tensors<M: Module>(module: &M) -> Result<BTreeMap<String, TensorData>, SavedModelError> {
    let mut collector = Collector::default();
    module.visit(&mut collector);
    match collector.failure {
        Some(failure) => Err(failure),
        None => Ok(collector.tensors),
    }
}

/// The module with every parameter replaced by the tensor of its name; ids and gradient settings stay.
///
/// # Errors
/// Every tensor that is missing, left over, of another shape or type, or not finite. There is no partial loading.
pub fn apply_tensors<M: Module>(module: M, tensors: BTreeMap<String, TensorData>) -> Result<M, Vec<WeightProblem>> {
    let mut applier = Applier { tensors, ..Applier::default() };
    let module = module.map(&mut applier);
    let left_over = applier.tensors.into_keys().filter(|name| !applier.seen.contains(name));
    applier.problems.extend(left_over.map(|name| WeightProblem::Unexpected { name }));
    if applier.problems.is_empty() { Ok(module) } else { Err(applier.problems) }
}

/// Makes sure that every value is a finite number; `file` is what the tensors are about to be written into.
///
/// # Errors
/// [`SavedModelError::Weights`] with every tensor that holds another value.
pub fn check_finite(tensors: &BTreeMap<String, TensorData>, file: &Path) -> Result<(), SavedModelError> {
    let problems = not_finite(tensors);
    if problems.is_empty() { Ok(()) } else { Err(SavedModelError::Weights { path: file.to_path_buf(), problems }) }
}

/// The first problem of each tensor that holds a value which is infinite or not a number.
pub(super) fn not_finite(tensors: &BTreeMap<String, TensorData>) -> Vec<WeightProblem> {
    let problem = |(name, data): (&String, &TensorData)| {
        first_not_finite(data).map(|index| WeightProblem::NotFinite { name: name.clone(), index })
    };
    tensors.iter().filter_map(problem).collect()
}

/// The first element whose exponent bits are all set, which is how infinities and not-a-numbers are written.
fn first_not_finite(data: &TensorData) -> Option<usize> {
    let bytes = data.as_bytes();
    match data.dtype() {
        DType::F64 => bytes.as_chunks().0.iter().position(|&element| !f64::from_le_bytes(element).is_finite()),
        DType::F32 | DType::Flex32 => {
            bytes.as_chunks().0.iter().position(|&element| !f32::from_le_bytes(element).is_finite())
        }
        DType::F16 => bytes.as_chunks().0.iter().position(|&element| exponent_is_full(element, 0x7C00)),
        DType::BF16 => bytes.as_chunks().0.iter().position(|&element| exponent_is_full(element, 0x7F80)),
        _ => None,
    }
}

fn exponent_is_full(element: [u8; 2], exponent: u16) -> bool {
    u16::from_le_bytes(element) & exponent == exponent
}

/// Where a walk through a module is.
#[derive(Default)]
struct ModulePath(Vec<String>);

impl ModulePath {
    fn enter(&mut self, name: &str, container: &str) {
        if !is_enum(container) {
            self.0.push(name.to_owned());
        }
    }

    fn exit(&mut self, container: &str) {
        if !is_enum(container) {
            self.0.pop();
        }
    }

    fn name(&self) -> String {
        self.0.join(".")
    }
}

fn is_enum(container: &str) -> bool {
    container.starts_with("Enum:")
}

#[derive(Default)]
struct Lister {
    path: ModulePath,
    parameters: Vec<NamedParameter>,
}

impl Lister {
    fn add<const D: usize, K: Basic>(&mut self, param: &Param<Tensor<D, K>>)
    where
        Tensor<D, K>: Parameter,
    {
        let shape = param.lazy_shape().to_vec();
        self.parameters.push(NamedParameter { name: self.path.name(), id: param.id, shape });
    }
}

impl ModuleVisitor for Lister {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.add(param);
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.add(param);
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.add(param);
    }
}

#[derive(Default)]
struct Collector {
    path: ModulePath,
    tensors: BTreeMap<String, TensorData>,
    failure: Option<SavedModelError>,
}

impl Collector {
    fn add<const D: usize, K: Basic>(&mut self, param: &Param<Tensor<D, K>>)
    where
        Tensor<D, K>: Parameter,
    {
        if self.failure.is_some() {
            return;
        }
        let parameter = self.path.name();
        match param.transform_for_save().val().try_to_data() {
            Ok(data) => {
                if self.tensors.insert(parameter.clone(), data).is_some() {
                    let problems = vec![WeightProblem::Ambiguous { name: parameter }];
                    self.failure = Some(SavedModelError::Weights { path: "model".into(), problems });
                }
            }
            Err(error) => self.failure = Some(SavedModelError::Device { parameter, problem: error.to_string() }),
        }
    }
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.add(param);
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.add(param);
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.add(param);
    }
}

#[derive(Default)]
struct Applier {
    path: ModulePath,
    tensors: BTreeMap<String, TensorData>,
    seen: BTreeSet<String>,
    problems: Vec<WeightProblem>,
}

impl Applier {
    fn replace<const D: usize, K: Basic>(&mut self, param: Param<Tensor<D, K>>) -> Param<Tensor<D, K>>
    where
        Tensor<D, K>: Parameter,
    {
        let present = param.transform_for_save().val();
        match self.take(present.shape().to_vec(), present.dtype()) {
            Ok(data) => {
                let (id, device, dtype) = (param.id, param.lazy_device(), data.dtype());
                param.transform_for_load(Tensor::from_data(data, (&device, dtype)), id)
            }
            Err(problem) => {
                self.problems.push(problem);
                param
            }
        }
    }

    /// The tensor for the parameter at the present path, checked against its shape and type.
    fn take(&mut self, expected: Vec<usize>, expected_type: DType) -> Result<TensorData, WeightProblem> {
        let name = self.path.name();
        if !self.seen.insert(name.clone()) {
            return Err(WeightProblem::Ambiguous { name });
        }
        let Some(data) = self.tensors.remove(&name) else {
            return Err(WeightProblem::Missing { name });
        };
        let (found, found_type) = (data.shape().to_vec(), data.dtype());
        if found != expected {
            return Err(WeightProblem::Shape { name, expected, found });
        }
        if found_type != expected_type {
            return Err(WeightProblem::Type { name, expected: expected_type, found: found_type });
        }
        match first_not_finite(&data) {
            Some(index) => Err(WeightProblem::NotFinite { name, index }),
            None => Ok(data),
        }
    }
}

impl ModuleMapper for Applier {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        self.path.exit(container);
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.replace(param)
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        self.replace(param)
    }

    fn map_bool<const D: usize>(&mut self, param: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        self.replace(param)
    }
}
