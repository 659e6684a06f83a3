//! A checkpoint as a model and a tokenizer that are ready for use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::{Device, TensorData};

use super::description::{ModelDescription, hexadecimal};
use super::error::SavedModelError;
use super::folder::{FoundCheckpoint, Which, find_checkpoint};
use super::staged::StagedFolder;
use super::tensors::read_safetensors;
use super::weights::{apply_tensors, check_finite, collect_tensors};
use crate::{LanguageModel, Tokenizer};

/// The weights in a checkpoint folder. Python's `safetensors` opens the file as it is.
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// The tokenizer in a run folder.
pub const TOKENIZER_FILE: &str = "tokenizer.json";

/// A trained model with its tokenizer.
pub struct SavedModel {
    /// The model, on the device that it was opened for.
    pub model: LanguageModel,
    /// The tokenizer that it was trained with.
    pub tokenizer: Tokenizer,
    /// What the model is.
    pub description: ModelDescription,
    /// The checkpoint folder.
    pub folder: PathBuf,
    /// Updates made before the checkpoint was written.
    pub step: u64,
    /// Why another checkpoint was taken than was asked for, to be shown to the user.
    pub warning: Option<String>,
}

impl SavedModel {
    /// Opens a checkpoint: `path` is a run folder, in which `which` chooses one, or the folder of one checkpoint.
    ///
    /// The manifest is verified first, then the tokenizer is compared with the description in the weights, then the
    /// weights with the model. No number of the files is believed before it was compared with their lengths.
    ///
    /// # Errors
    /// See [`SavedModelError`]; nothing is ever loaded in part.
    pub fn open(path: &Path, which: Which, device: &Device) -> Result<Self, SavedModelError> {
        let found = find_checkpoint(path, which)?;
        let weights = found.file(WEIGHTS_FILE)?;
        let file = read_safetensors(&weights)?;
        let description = describe(&weights, &file.metadata)?;
        let tokenizer = open_tokenizer(&found, &description)?;
        check_size(&weights, &file.tensors, &description)?;
        let model = description.model.blank(description.vocabulary_size, description.context, device);
        let model = apply(model, &weights, file.tensors)?;
        let FoundCheckpoint { folder, manifest, warning, .. } = found;
        Ok(Self { model, tokenizer, description, folder, step: manifest.step, warning })
    }
}

/// The numbers of a model on the host, with its description: what `model.safetensors` holds.
pub struct HostModel {
    tensors: BTreeMap<String, TensorData>,
    metadata: BTreeMap<String, String>,
}

impl HostModel {
    /// Copies the parameters from their device.
    ///
    /// # Errors
    /// A value that is not finite (a checkpoint never holds one), or the device fails.
    pub fn copy<M: Module>(model: &M, description: &ModelDescription) -> Result<Self, SavedModelError> {
        Self::new(collect_tensors(model)?, description)
    }

    /// Parameters that are on the host already, by path.
    ///
    /// # Errors
    /// A value that is not finite: a checkpoint never holds one.
    pub fn new(tensors: BTreeMap<String, TensorData>, description: &ModelDescription) -> Result<Self, SavedModelError> {
        let path = PathBuf::from(WEIGHTS_FILE);
        check_finite(&tensors, &path)?;
        let metadata = description.to_metadata().map_err(|problem| SavedModelError::Description { path, problem })?;
        Ok(Self { tensors, metadata })
    }

    /// Writes `model.safetensors` into a checkpoint: the parameters by their paths, and the description in the header.
    ///
    /// # Errors
    /// The system refuses.
    pub fn write(&self, folder: &mut StagedFolder<'_>) -> Result<(), SavedModelError> {
        folder.write_tensors(WEIGHTS_FILE, &self.tensors, &self.metadata)
    }
}

/// The model with its parameters replaced by those in the file; their ids and gradient settings stay.
///
/// # Errors
/// The file is no safetensors file, or one of its tensors is missing, left over, of another shape or type, or not finite.
pub fn load_weights<M: Module>(model: M, path: &Path) -> Result<M, SavedModelError> {
    let file = read_safetensors(path)?;
    apply(model, path, file.tensors)
}

/// The description in the header of a file of weights.
///
/// # Errors
/// As [`load_weights`], and the description is missing or makes no sense.
pub fn read_description(path: &Path) -> Result<ModelDescription, SavedModelError> {
    describe(path, &read_safetensors(path)?.metadata)
}

fn describe(path: &Path, metadata: &BTreeMap<String, String>) -> Result<ModelDescription, SavedModelError> {
    ModelDescription::from_metadata(metadata)
        .map_err(|problem| SavedModelError::Description { path: path.to_path_buf(), problem })
}

fn apply<M: Module>(model: M, path: &Path, tensors: BTreeMap<String, TensorData>) -> Result<M, SavedModelError> {
    apply_tensors(model, tensors).map_err(|problems| SavedModelError::Weights { path: path.to_path_buf(), problems })
}

/// The tokenizer of the run, compared with the one that the description names.
fn open_tokenizer(found: &FoundCheckpoint, description: &ModelDescription) -> Result<Tokenizer, SavedModelError> {
    let path = found.run.join(TOKENIZER_FILE);
    let tokenizer = Tokenizer::from_file(&path)
        .map_err(|error| SavedModelError::Tokenizer { path: path.clone(), problem: error.to_string() })?;
    let (found_size, found_hash) = (tokenizer.vocabulary_size(), hexadecimal(tokenizer.hash()));
    if found_size == description.vocabulary_size && found_hash == description.tokenizer_hash {
        return Ok(tokenizer);
    }
    Err(SavedModelError::VocabularyMismatch {
        tokenizer: path,
        model: found.folder.clone(),
        found_size,
        found_hash,
        expected_size: description.vocabulary_size,
        expected_hash: description.tokenizer_hash.clone(),
    })
}

/// Compares the number of parameters that the description implies with that in the file, before memory is taken for a
/// model: the sizes in the description are only numbers in a file.
fn check_size(
    path: &Path,
    tensors: &BTreeMap<String, TensorData>,
    description: &ModelDescription,
) -> Result<(), SavedModelError> {
    let found: u64 = tensors.values().map(|data| data.num_elements() as u64).sum();
    let expected = description.model.parameter_count(description.vocabulary_size, description.context);
    if found == expected {
        return Ok(());
    }
    let problem = format!("the model that it describes has {expected} parameters, and it holds {found}");
    Err(SavedModelError::Description { path: path.to_path_buf(), problem })
}
