//! Adapters in the form of Hugging Face's `peft`: `adapter_config.json` and `adapter_model.safetensors`.

mod config;
mod modules;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{DType, Tensor, TensorData};
use kiln_settings::files::Links;
use kiln_storage::formats::{TensorSource, tensors_to_safetensors};
use kiln_storage::{DiskFiles, StorageError, open_tensors, write_file_atomically};

use self::config::{CONFIG, PeftConfig};
use self::modules::{Target, by_path, targets};
use super::description::ModelDescription;
use super::error::SavedModelError;
use super::export::{Unexported, Written};
use super::hugging_face::config::{Foreign, Names};
use super::lineage::hash_of;
use super::open::SavedModel;
use crate::adapter::Adapter;
use crate::{AdapterConfig, LoraConfig, ModelConfig};

/// The tensors.
const WEIGHTS: &str = "adapter_model.safetensors";
/// What stands before the paths of modules in the names of tensors.
const PREFIX: &str = "base_model.model.";
/// In the header of those that Kiln wrote: the SHA-256 of what they are for.
const BASE_HASH: &str = "kiln-base-sha256";

/// What is wrong with adapters in `peft`'s form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeftProblem {
    /// The file can't be read.
    #[error("its `adapter_config.json` {0}")]
    Config(String),
    /// A key that has to be there.
    #[error("its `adapter_config.json` lacks `{0}`")]
    Missing(&'static str),
    /// Adapters of another kind.
    #[error("its `peft_type` is {0}; only \"LORA\" is known here")]
    Kind(String),
    /// A key whose effect isn't known.
    #[error("its `adapter_config.json` has `{key}` = {value}, which is not known here")]
    Key {
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
    /// A value that makes no sense.
    #[error("its `adapter_config.json` has `{key}` = {value}, which must be above 0")]
    Value {
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
    /// A tensor that doesn't belong to the model.
    #[error("its tensor `{0}` belongs to no matrix of the model that could have an adapter")]
    Tensor(String),
    /// A tensor that isn't there.
    #[error("it lacks the tensor `{0}`")]
    MissingTensor(String),
    /// A tensor of another shape.
    #[error("its tensor `{name}` has the shape {found:?}, where the model needs {expected}")]
    Shape {
        /// The name.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The right one, in words.
        expected: String,
    },
    /// A number that isn't one.
    #[error("its tensor `{0}` holds a value that is not finite, or no floats")]
    NotFinite(String),
    /// There is nothing in it.
    #[error("it has no adapters")]
    Empty,
    /// They were trained beside another model.
    #[error("its adapters are for a model with the SHA-256 {expected}, and this one has {found}")]
    OtherBase {
        /// What they are for.
        expected: String,
        /// What was given.
        found: String,
    },
    /// Lengths of columns need one matrix.
    #[error("it has a length for each column of `{0}`, which is a product of two matrices here")]
    Factored(String),
}

/// Whether a folder has adapters in this form.
pub fn is_peft(folder: &Path) -> bool {
    folder.join(CONFIG).exists()
}

/// The base that a folder of adapters names: a path, or a name on a hub.
///
/// # Errors
/// [`SavedModelError::Peft`].
pub fn base_of_peft(folder: &Path) -> Result<Option<String>, SavedModelError> {
    Ok(PeftConfig::read(folder).map_err(|problem| wrong(folder, problem))?.base)
}

fn wrong(folder: &Path, problem: PeftProblem) -> SavedModelError {
    SavedModelError::Peft { folder: folder.to_path_buf(), problem }
}

/// The adapters of one module.
struct Part {
    /// A, `[r, in]`.
    down: Vec<f32>,
    rank: usize,
    /// B, `[out, r]`.
    up: Vec<f32>,
    scale: f64,
    /// `[out]`.
    magnitude: Option<Vec<f32>>,
}

/// The model, which has no adapters, with those in a folder.
///
/// # Errors
/// [`SavedModelError::Peft`], and where the model is of no family of `transformers`.
pub(super) fn with_peft(saved: &SavedModel, folder: &Path) -> Result<SavedModel, SavedModelError> {
    let config = PeftConfig::read(folder).map_err(|problem| wrong(folder, problem))?;
    let path = folder.join(WEIGHTS);
    let mut source = open_tensors(&path, Links::Followed)?;
    if let Some(expected) = source.metadata().get(BASE_HASH) {
        let found = hash_of(&saved.folder)?;
        if *expected != found {
            return Err(wrong(folder, PeftProblem::OtherBase { expected: expected.clone(), found }));
        }
    }
    let foreign = foreign_of(saved)?;
    let mut model = saved.model.clone();
    let rank = attach(&mut model, &foreign, &config, &mut source).map_err(|problem| match problem {
        AttachError::Problem(problem) => wrong(folder, problem),
        AttachError::Source(error) => StorageError::tensors(error, &path, "read").into(),
    })?;
    let lora = LoraConfig { dora: config.is_dora, ..LoraConfig::of_rank(rank) };
    let description = ModelDescription { adapter: Some(AdapterConfig::Lora(lora)), ..saved.description.clone() };
    Ok(saved.with(model, description))
}

fn foreign_of(saved: &SavedModel) -> Result<Foreign, SavedModelError> {
    let model = Unexported { saved };
    match &saved.description.model {
        ModelConfig::Transformer(_) => Ok(model.family()?.1),
        _ => Err(model.unwritable(&"`peft` has no recurrent models")),
    }
}

/// Why adapters can't be added.
enum AttachError {
    Problem(PeftProblem),
    Source(kiln_storage::TensorFileError),
}

impl From<PeftProblem> for AttachError {
    fn from(problem: PeftProblem) -> Self {
        Self::Problem(problem)
    }
}

/// Adds the adapters of a file to a model; gives the largest rank.
fn attach(
    model: &mut crate::LanguageModel,
    foreign: &Foreign,
    config: &PeftConfig,
    source: &mut dyn TensorSource,
) -> Result<usize, AttachError> {
    let targets = targets(foreign);
    let mut parts = read_parts(foreign, &targets, config, source)?;
    if parts.is_empty() {
        return Err(PeftProblem::Empty.into());
    }
    let mut largest = 0;
    for product in model.products() {
        let Some(index) = targets.iter().position(|target| target.own == product.name) else { continue };
        let target = &targets[index];
        let own: Vec<Option<Part>> = (0..target.modules.len()).map(|module| parts.remove(&(index, module))).collect();
        if own.iter().all(Option::is_none) {
            continue;
        }
        let [inputs, outputs] = product.inputs_and_outputs();
        if let Some(part) = own.iter().flatten().find(|part| part.down.len() != part.rank * inputs) {
            let module = own.iter().position(|other| other.as_ref().is_some_and(|other| std::ptr::eq(other, part)));
            let name = format!("{PREFIX}{}.lora_A.weight", target.modules[module.unwrap_or(0)].path);
            let found = vec![part.rank, part.down.len() / part.rank.max(1)];
            return Err(PeftProblem::Shape { name, found, expected: format!("[r, {inputs}]") }.into());
        }
        if config.is_dora && product.is_factored() {
            return Err(PeftProblem::Factored(product.name).into());
        }
        let lengths = || -> Vec<f32> {
            let squares = product.weight.squares(&burn::tensor::Device::flex()).into_data();
            squares.iter::<f32>().map(f32::sqrt).collect()
        };
        let joined = Joined::new(target, own, [inputs, outputs], config.is_dora.then(lengths));
        largest = largest.max(joined.rank);
        let device = product.weight.device();
        *product.adapter = Some(joined.adapter([inputs, outputs], &device));
    }
    Ok(largest)
}

/// All adapters of a file, by target and module.
fn read_parts(
    foreign: &Foreign,
    targets: &[Target],
    config: &PeftConfig,
    source: &mut dyn TensorSource,
) -> Result<BTreeMap<(usize, usize), Part>, AttachError> {
    const DOWN: &str = ".lora_A.weight";
    const UP: &str = ".lora_B.weight";
    const MAGNITUDE: &str = ".lora_magnitude_vector";
    let place = by_path(foreign, targets);
    let names = source.names();
    let mut stems = BTreeMap::new();
    for name in &names {
        let stem = [DOWN, UP, MAGNITUDE].iter().find_map(|end| name.strip_suffix(end));
        let found = stem.and_then(|stem| Some((place(stem)?, stem.to_owned())));
        let Some((place, stem)) = found else { return Err(PeftProblem::Tensor(name.clone()).into()) };
        if name.ends_with(MAGNITUDE) && !config.is_dora {
            return Err(PeftProblem::Tensor(name.clone()).into());
        }
        stems.insert(place, stem);
    }
    let mut parts = BTreeMap::new();
    for ((target, module), stem) in stems {
        let outputs = targets[target].modules[module].outputs;
        let (down, shape) = floats(source, &format!("{stem}{DOWN}"), 2)?;
        let rank = shape[0];
        let name = format!("{stem}{UP}");
        let (up, found) = floats(source, &name, 2)?;
        if found != [outputs, rank] || rank == 0 {
            return Err(PeftProblem::Shape { name, found, expected: format!("[{outputs}, {}]", rank.max(1)) }.into());
        }
        let magnitude = match config.is_dora {
            true => {
                let name = format!("{stem}{MAGNITUDE}");
                let (numbers, found) = floats(source, &name, 1)?;
                if found != [outputs] {
                    return Err(PeftProblem::Shape { name, found, expected: format!("[{outputs}]") }.into());
                }
                Some(numbers)
            }
            false => None,
        };
        let scale = config.scale(&stem, rank);
        parts.insert((target, module), Part { down, rank, up, scale, magnitude });
    }
    Ok(parts)
}

/// A tensor of this many axes in single precision.
fn floats(source: &mut dyn TensorSource, name: &str, axes: usize) -> Result<(Vec<f32>, Vec<usize>), AttachError> {
    let info = source.info(name).ok_or_else(|| PeftProblem::MissingTensor(name.to_owned()))?;
    if info.shape.len() != axes {
        let expected = format!("{axes} axes");
        return Err(PeftProblem::Shape { name: name.to_owned(), found: info.shape, expected }.into());
    }
    if !matches!(info.dtype, DType::F32 | DType::F16 | DType::BF16) {
        return Err(PeftProblem::NotFinite(name.to_owned()).into());
    }
    let numbers: Vec<f32> = source.read(name).map_err(AttachError::Source)?.iter().collect();
    match numbers.iter().all(|number| number.is_finite()) {
        true => Ok((numbers, info.shape)),
        false => Err(PeftProblem::NotFinite(name.to_owned()).into()),
    }
}

/// The adapters of all modules of a matrix as one.
struct Joined {
    /// A, `[in, rank]`.
    down: Vec<f32>,
    /// B, `[rank, out]`.
    up: Vec<f32>,
    rank: usize,
    scale: f64,
    magnitude: Option<Vec<f32>>,
}

impl Joined {
    /// Modules that share A share it here; else the adapters stand side by side, each with zeros for the outputs of the
    /// other modules.
    fn new(
        target: &Target,
        parts: Vec<Option<Part>>,
        [inputs, outputs]: [usize; 2],
        lengths: Option<Vec<f32>>,
    ) -> Self {
        let first = parts.iter().flatten().next();
        let is_shared = first.is_some_and(|first| {
            let is_same = |part: &Part| part.down == first.down && part.scale.to_bits() == first.scale.to_bits();
            parts.iter().all(|part| part.as_ref().is_some_and(is_same))
        });
        let rank = match (is_shared, first) {
            (true, Some(first)) => first.rank,
            _ => parts.iter().flatten().map(|part| part.rank).sum(),
        };
        let scale = if is_shared { first.map_or(1.0, |first| first.scale) } else { 1.0 };
        let mut joined =
            Self { down: vec![0.0; inputs * rank], up: vec![0.0; rank * outputs], rank, scale, magnitude: lengths };
        let (mut first_row, mut first_output) = (0, 0);
        // Where each output there is here.
        let mut places = vec![0; outputs];
        (0..outputs).for_each(|own| places[target.place(own)] = own);
        for (part, module) in parts.iter().zip(&target.modules) {
            if let Some(part) = part {
                let factor = if is_shared { 1.0 } else { part.scale as f32 };
                joined.put(
                    part,
                    first_row,
                    [inputs, outputs],
                    &places[first_output..first_output + module.outputs],
                    factor,
                );
                first_row += if is_shared { 0 } else { part.rank };
            }
            first_output += module.outputs;
        }
        joined
    }

    fn put(&mut self, part: &Part, first: usize, [inputs, outputs]: [usize; 2], places: &[usize], factor: f32) {
        for row in 0..part.rank {
            for input in 0..inputs {
                self.down[input * self.rank + first + row] = part.down[row * inputs + input];
            }
            for (output, place) in places.iter().enumerate() {
                self.up[(first + row) * outputs + place] = part.up[output * part.rank + row] * factor;
            }
        }
        if let (Some(own), Some(theirs)) = (&mut self.magnitude, &part.magnitude) {
            places.iter().zip(theirs).for_each(|(place, length)| own[*place] = *length);
        }
    }

    fn adapter(self, [inputs, outputs]: [usize; 2], device: &burn::tensor::Device) -> Adapter {
        let matrix = |numbers: Vec<f32>, sizes: [usize; 2]| Tensor::from_data(TensorData::new(numbers, sizes), device);
        let magnitude = self.magnitude.map(|lengths| Tensor::from_data(lengths.as_slice(), device));
        Adapter::of(
            matrix(self.down, [inputs, self.rank]),
            matrix(self.up, [self.rank, outputs]),
            magnitude,
            self.scale,
        )
    }
}

/// Writes the adapters of a model into `folder`, which is there and empty.
///
/// # Errors
/// The model has none, or is of no family of `transformers`; or the system refuses.
pub fn export_peft(saved: &SavedModel, folder: &Path) -> Result<Written, SavedModelError> {
    let unwritable = |problem: &dyn std::fmt::Display| Unexported { saved }.unwritable(problem);
    let Some(AdapterConfig::Lora(config)) = &saved.description.adapter else {
        return Err(unwritable(&"it has no adapters, which is what this form is for"));
    };
    let foreign = foreign_of(saved)?;
    let targets = targets(&foreign);
    let (mut tensors, mut modules) = (BTreeMap::new(), Vec::new());
    let mut model = saved.model.clone();
    for product in model.products() {
        let Some(adapter) = &product.adapter else { continue };
        let Some(target) = targets.iter().find(|target| target.own == product.name) else { continue };
        let [inputs, outputs] = product.inputs_and_outputs();
        let rank = adapter.rank();
        let down: Vec<f32> = adapter.down.val().transpose().into_data().iter().collect();
        let up: Vec<f32> = adapter.up.val().into_data().iter().collect();
        let magnitude: Option<Vec<f32>> =
            adapter.magnitude.as_ref().map(|lengths| lengths.val().into_data().iter().collect());
        let mut places = vec![0; outputs];
        (0..outputs).for_each(|own| places[target.place(own)] = own);
        let mut first = 0;
        for module in &target.modules {
            let own = &places[first..first + module.outputs];
            let part = own.iter().flat_map(|output| {
                let up = &up;
                (0..rank).map(move |row| up[row * outputs + output])
            });
            let name = |end: &str| format!("{PREFIX}{}.{end}", module.path);
            let data = |numbers: Vec<f32>, sizes: Vec<usize>| TensorData::new(numbers, sizes);
            tensors.insert(name("lora_A.weight"), data(down.clone(), vec![rank, inputs]));
            tensors.insert(name("lora_B.weight"), data(part.collect(), vec![module.outputs, rank]));
            if let Some(lengths) = &magnitude {
                let lengths = own.iter().map(|output| lengths[*output]).collect();
                tensors.insert(name("lora_magnitude_vector"), data(lengths, vec![module.outputs]));
            }
            modules.push(config::Module { path: module.path.clone(), rank, scale: adapter.scale() });
            first += module.outputs;
        }
    }
    let mut metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    if let Some(base) = &saved.description.base {
        metadata.insert(BASE_HASH.to_owned(), base.sha256.clone());
    }
    let base = saved.description.base.as_ref().map(|base| base.path.as_str());
    let value = config::written(config, base, &modules, foreign.names == Names::Gpt2);
    let path = folder.join(WEIGHTS);
    let bytes = tensors_to_safetensors(&tensors, &metadata)
        .map_err(|problem| SavedModelError::from(StorageError::tensors(problem, &path, "write")))?;
    write_file_atomically(&DiskFiles, &path, &bytes)?;
    write_file_atomically(&DiskFiles, &folder.join(CONFIG), format!("{value:#}\n").as_bytes())?;
    Ok(Written { family: format!("{} adapter", foreign.family), notes: Vec::new() })
}
