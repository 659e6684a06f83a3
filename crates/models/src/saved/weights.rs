//! The parameters of a module by name, out of it and into it. A parameter's name is its path in the catalogue of the
//! module.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use burn::module::Module;
use burn::tensor::{DType, Device, Tensor, TensorData};
use kiln_parameters::{HostCopy, Parameter, Role, catalogue, fill};
use kiln_storage::formats::{TensorFile, TensorInfo, TensorSource};

use super::error::SavedModelError;
use super::problem::{LoadError, WeightProblem};

/// Every parameter's values by path, copied from the device in one transaction.
///
/// # Errors
/// The device fails, or two parameters share a path.
pub fn collect_tensors<M: Module>(module: &M) -> Result<BTreeMap<String, TensorData>, SavedModelError> {
    let mut paths = BTreeSet::new();
    let mut all = catalogue(module).into_iter().map(|parameter| parameter.path);
    if let Some(name) = all.find(|path| !paths.insert(path.clone())) {
        let problems = vec![WeightProblem::Ambiguous { name }];
        return Err(SavedModelError::Weights { path: "model".into(), problems });
    }
    let mut copy = HostCopy::default();
    copy.add_parameters((), module);
    let mut groups = copy.read().map_err(|error| SavedModelError::Device { problem: error.to_string() })?;
    Ok(groups.remove(&()).unwrap_or_default())
}

/// The module with every parameter replaced by the tensor of its name; ids and gradient settings stay. Tensors are
/// pulled in the order of the source, and each is on its device before the next is read.
///
/// # Errors
/// Every tensor that is missing, left over, of another shape or type, or not finite: nothing is loaded in part. Or the
/// source cannot be read.
pub fn load<M: Module>(module: M, source: &mut dyn TensorSource) -> Result<M, LoadError> {
    let parameters = catalogue(&module);
    load_these(module, parameters, source)
}

/// The same of its adapters alone, for which the source has all values; the other parameters stay.
///
/// # Errors
/// As [`load`].
pub(super) fn load_adapters<M: Module>(module: M, source: &mut dyn TensorSource) -> Result<M, LoadError> {
    let mut parameters = catalogue(&module);
    parameters.retain(|parameter| parameter.role == Role::Adapter);
    load_these(module, parameters, source)
}

fn load_these<M: Module>(module: M, parameters: Vec<Parameter>, source: &mut dyn TensorSource) -> Result<M, LoadError> {
    let device = module.devices().into_iter().next().unwrap_or_default().inner();
    let mut problems = misfits(&parameters, source);
    let (mut values, mut unexpected) = (HashMap::new(), Vec::new());
    let known: BTreeSet<&str> = parameters.iter().map(|parameter| parameter.path.as_str()).collect();
    for name in source.names() {
        if !known.contains(name.as_str()) {
            unexpected.push(WeightProblem::Unexpected { name });
        } else if !problems.contains_key(&name) {
            let data = source.read(&name)?;
            match first_not_finite(&data) {
                Some(index) => _ = problems.insert(name.clone(), WeightProblem::NotFinite { name, index }),
                // Of what is not going to be loaded the numbers alone are looked at.
                None if problems.is_empty() => _ = values.insert(name, flat(data, &device)),
                None => {}
            }
        }
    }
    unexpected.sort_by(|left, right| left.name().cmp(right.name()));
    // In the order of the module, and then what belongs to no parameter.
    let mut found: Vec<WeightProblem> = parameters.iter().filter_map(|known| problems.remove(&known.path)).collect();
    found.extend(unexpected);
    if found.is_empty() {
        Ok(fill(module, |parameter| values.remove(&parameter.path)))
    } else {
        Err(LoadError::Problems(found))
    }
}

/// As [`load`], of tensors that are in memory and were read from the file at `path`.
///
/// # Errors
/// [`SavedModelError::Weights`] with every tensor that does not fit.
pub fn apply_tensors<M: Module>(
    module: M,
    tensors: BTreeMap<String, TensorData>,
    path: &Path,
) -> Result<M, SavedModelError> {
    let mut source = TensorFile { tensors, ..TensorFile::default() };
    load(module, &mut source).map_err(|error| SavedModelError::load(error, path))
}

/// As [`apply_tensors`], of the adapters of a module alone.
///
/// # Errors
/// As [`apply_tensors`].
pub fn apply_adapters<M: Module>(
    module: M,
    tensors: BTreeMap<String, TensorData>,
    path: &Path,
) -> Result<M, SavedModelError> {
    let mut source = TensorFile { tensors, ..TensorFile::default() };
    load_adapters(module, &mut source).map_err(|error| SavedModelError::load(error, path))
}

fn flat(data: TensorData, device: &Device) -> Tensor<1> {
    let (bytes, shape, dtype) = data.into_parts();
    // The shape is that of the header, with which the bytes were compared.
    let data = TensorData::from_bytes(bytes, [shape.num_elements()], dtype);
    Tensor::from_data(data, (device, dtype))
}

/// What the header alone says against each parameter, by its name.
fn misfits(parameters: &[Parameter], source: &dyn TensorSource) -> HashMap<String, WeightProblem> {
    let (mut problems, mut seen) = (HashMap::new(), BTreeSet::new());
    for parameter in parameters {
        let name = parameter.path.clone();
        let problem = if seen.insert(&parameter.path) {
            misfit(parameter, source.info(&name))
        } else {
            Some(WeightProblem::Ambiguous { name: name.clone() })
        };
        if let Some(problem) = problem {
            problems.insert(name, problem);
        }
    }
    problems
}

/// Whether the header alone says something against the module, or has tensors that belong to no parameter.
pub(super) fn misfits_of<M: Module>(module: &M, source: &dyn TensorSource) -> bool {
    let parameters = catalogue(module);
    !misfits(&parameters, source).is_empty() || source.names().len() != parameters.len()
}

fn misfit(parameter: &Parameter, info: Option<TensorInfo>) -> Option<WeightProblem> {
    let (name, expected) = (parameter.path.clone(), parameter.shape.clone());
    match info {
        None => Some(WeightProblem::Missing { name }),
        Some(info) if info.shape != expected => Some(WeightProblem::Shape { name, expected, found: info.shape }),
        Some(info) if info.dtype != parameter.dtype => {
            Some(WeightProblem::Type { name, expected: parameter.dtype, found: info.dtype })
        }
        Some(_) => None,
    }
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
