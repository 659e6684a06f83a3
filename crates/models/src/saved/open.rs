//! A checkpoint as a model and a tokenizer that are ready for use.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use kiln_packed::{Format, PackedError};
use kiln_settings::files::Links;
use kiln_storage::layout::{CHECKPOINTS, MANIFEST_FILE, TOKENIZER_FILE, WEIGHTS_FILE, is_run};
use kiln_storage::{CheckpointReader, DiskFiles, TensorSource, Which, find_checkpoint, open_checkpoint, open_tensors};

use super::base::adapted;
use super::description::{ModelDescription, hexadecimal};
use super::error::SavedModelError;
use super::foreign::{ChatTemplate, Conversing, ForeignModel};
use super::gguf::{self, inspect_gguf, is_gguf};
use super::hugging_face::{self, inspect_hugging_face, is_hugging_face};
use super::packed::{Loader, loader_to_read};
use super::weights::{load, load_adapters};
use crate::{LanguageModel, ModelConfig, Tokenizer};

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
    /// The folder of the run that it belongs to, where the tokenizer was found.
    pub run: PathBuf,
    /// What stands before every prompt: the tokens that a published tokenizer puts there. Models that Kiln trains have
    /// read texts as they are.
    pub start: Vec<u32>,
    /// Tokens that end a text, beside that of the tokenizer.
    pub end: Vec<u32>,
    /// How it was taught to hold a conversation, if it was.
    pub chat_template: Option<ChatTemplate>,
    /// Updates made before the checkpoint was written; nothing where weights stand alone.
    pub step: Option<u64>,
    /// Why another checkpoint was taken than was asked for, to be shown to the user.
    pub warning: Option<String>,
}

/// How a model is opened.
#[derive(Debug, Clone, Copy)]
pub struct Opening<'a> {
    /// Where its numbers go.
    pub device: &'a Device,
    /// Whether it is only read with: on a CPU its matrices then stay packed as the file has them, where each token
    /// reads them once. They are no parameters then.
    pub to_read: bool,
    /// Where the base of a checkpoint of adapters is, if it isn't where it was.
    pub base: Option<&'a Path>,
}

impl<'a> Opening<'a> {
    /// Matrices are parameters, and the base is where it was.
    pub fn new(device: &'a Device) -> Self {
        Self { device, to_read: false, base: None }
    }

    fn loader(&self) -> Loader {
        if self.to_read { loader_to_read(self.device) } else { load }
    }
}

impl SavedModel {
    /// Opens a checkpoint: `path` is a run folder, in which `which` chooses one, or the folder of one checkpoint, or a
    /// folder that holds weights and their tokenizer alone, or one in the form of Hugging Face's `transformers`, or
    /// a GGUF file.
    ///
    /// # Errors
    /// See [`SavedModelError`]; nothing is ever loaded in part.
    pub fn open(path: &Path, which: Which, device: &Device) -> Result<Self, SavedModelError> {
        Self::open_as(path, which, Opening::new(device))
    }

    /// The same for a model that is only read with.
    ///
    /// # Errors
    /// As [`SavedModel::open`].
    pub fn open_to_read(path: &Path, which: Which, device: &Device) -> Result<Self, SavedModelError> {
        Self::open_as(path, which, Opening { to_read: true, ..Opening::new(device) })
    }

    /// The same with its matrices packed as `format`, where its blocks fit their rows; the others as they are, or in
    /// half precision. What is gained is speed and memory, what is lost precision.
    ///
    /// # Errors
    /// The format is only read.
    pub fn repacked(mut self, format: Format) -> Result<Self, PackedError> {
        for matrix in self.model.matrices() {
            *matrix.weight = matrix.weight.repacked(matrix.orientation, format)?;
        }
        Ok(self)
    }

    /// Puts the adapters, if there are any, into the matrices that they are added to, and says whether there were.
    pub fn merge(&mut self) -> bool {
        let Some(_) = self.description.adapter.take() else { return false };
        self.description.base = None;
        let merged: BTreeSet<String> = self.model.adapted_matrices();
        self.description.ranks.retain(|name, _| !merged.contains(name));
        self.model = self.model.clone().merged();
        true
    }

    /// As [`SavedModel::open`].
    ///
    /// # Errors
    /// As [`SavedModel::open`].
    pub fn open_as(path: &Path, which: Which, opening: Opening<'_>) -> Result<Self, SavedModelError> {
        if has_weights_alone(path) {
            return Self::open_weights(path, opening);
        }
        if is_hugging_face(path) {
            return hugging_face::open(path, opening.device, opening.loader());
        }
        if is_gguf(path) {
            return gguf::open(path, opening.device, opening.loader());
        }
        let read = |checkpoint: &mut CheckpointReader<'_>| Self::read(checkpoint, opening);
        let (found, saved) = open_checkpoint(&DiskFiles, path, which, read)?;
        Ok(Self { warning: found.warning, ..saved })
    }

    /// Opens weights that stand beside their tokenizer. There is no manifest that they could be verified with, nor the
    /// number of a step, and where there once was one the warning says the first.
    fn open_weights(folder: &Path, opening: Opening<'_>) -> Result<Self, SavedModelError> {
        let path = folder.join(WEIGHTS_FILE);
        let mut source = open_tensors(&path, Links::Refused)?;
        let (model, tokenizer, description) = build(folder, folder, &mut source, opening)?;
        let warning = || format!("`{}` has no `{MANIFEST_FILE}`, so it can't be checked for damage", folder.display());
        let (folder, warning) = (folder.to_path_buf(), (!description.imported).then(warning));
        let run = folder.clone();
        Ok(Self { step: None, warning, ..Self::own(model, tokenizer, description, folder, run) })
    }

    /// Reads the model of a checkpoint while its weights are verified.
    ///
    /// The tokenizer is compared with the description in the header, then the number of parameters with that of the
    /// file, then the weights with the model. No number of the file is believed before it was compared with the file's
    /// length.
    ///
    /// # Errors
    /// See [`SavedModelError`]; nothing is ever loaded in part.
    pub fn read(checkpoint: &mut CheckpointReader<'_>, opening: Opening<'_>) -> Result<Self, SavedModelError> {
        let (folder, run) = (checkpoint.folder().to_path_buf(), checkpoint.run().to_path_buf());
        let step = Some(checkpoint.manifest().step);
        let (model, tokenizer, description) =
            checkpoint.read_tensors(WEIGHTS_FILE, |source| build(&run, &folder, source, opening))?;
        Ok(Self { step, ..Self::own(model, tokenizer, description, folder, run) })
    }

    /// All tokens that end a text.
    pub(super) fn end_tokens(&self) -> Vec<u32> {
        let mut tokens: Vec<u32> = self.end.iter().copied().chain(self.tokenizer.end_token()).collect();
        let mut seen = std::collections::BTreeSet::new();
        tokens.retain(|token| seen.insert(*token));
        tokens
    }

    /// A model that Kiln trained, or made of another program's.
    fn own(
        model: LanguageModel,
        tokenizer: Tokenizer,
        description: ModelDescription,
        folder: PathBuf,
        run: PathBuf,
    ) -> Self {
        let (start, end) = (description.start_tokens.clone(), description.end_tokens.clone());
        let chat_template = description.chat_template.clone();
        Self { model, tokenizer, description, folder, run, start, end, chat_template, step: None, warning: None }
    }
}

/// Whether another program saved what is at `path`: a folder in the form of Hugging Face's `transformers`, or a GGUF
/// file.
pub fn is_foreign(path: &Path) -> bool {
    is_hugging_face(path) || is_gguf(path)
}

/// The tokenizer of the model at `path`, for which nothing else of it is opened; nothing if there is no model.
pub fn tokenizer_of(path: &Path) -> Option<Result<Tokenizer, SavedModelError>> {
    if is_gguf(path) {
        return Some(gguf::tokenizer_in(path));
    }
    if !path.is_dir() {
        return None;
    }
    if is_hugging_face(path) {
        return Some(hugging_face::tokenizer(path));
    }
    // A checkpoint has that of its run.
    let above = path.canonicalize().ok()?;
    let run = above.parent().filter(|above| above.ends_with(CHECKPOINTS)).and_then(Path::parent);
    let file = [Some(path), run].into_iter().flatten().map(|folder| folder.join(TOKENIZER_FILE));
    let file = file.into_iter().find(|file| file.exists())?;
    let tokenizer = Tokenizer::from_file(&file);
    Some(tokenizer.map_err(|error| SavedModelError::Tokenizer { path: file, problem: error.reason() }))
}

/// The configuration of the model at `path`, of which the weights are verified where there is something to verify them
/// with, and never loaded.
///
/// # Errors
/// As [`SavedModel::open`].
pub fn config_of(path: &Path, which: Which) -> Result<ModelConfig, SavedModelError> {
    if is_foreign(path) {
        return Ok(inspect_foreign(path)?.config);
    }
    let folder = if has_weights_alone(path) { path.to_path_buf() } else { find_checkpoint(path, which)?.folder };
    Ok(read_description(&folder.join(WEIGHTS_FILE))?.model)
}

/// How the model at `path` holds conversations, for which nothing else of it is opened; nothing if nobody taught it to.
///
/// # Errors
/// When what it says of that cannot be read.
pub fn conversing_of(path: &Path, which: Which) -> Result<Option<Conversing>, SavedModelError> {
    if is_gguf(path) {
        return gguf::conversing_in(path);
    }
    if is_hugging_face(path) {
        return hugging_face::conversing(path);
    }
    let folder = if has_weights_alone(path) { path.to_path_buf() } else { find_checkpoint(path, which)?.folder };
    let ModelDescription { chat_template, end_tokens, .. } = read_description(&folder.join(WEIGHTS_FILE))?;
    Ok(chat_template.map(|template| Conversing { template, end_tokens }))
}

/// Looks at a model that another program saved, or at one of Kiln's without a run, without reading its weights.
///
/// # Errors
/// As those of opening it, but for its tokenizer and for numbers that are not finite.
pub fn inspect_foreign(path: &Path) -> Result<ForeignModel, SavedModelError> {
    match path {
        path if is_gguf(path) => inspect_gguf(path),
        path if has_weights_alone(path) => inspect_weights(path),
        path => inspect_hugging_face(path),
    }
}

/// The same of weights that stand beside their tokenizer.
fn inspect_weights(folder: &Path) -> Result<ForeignModel, SavedModelError> {
    let path = folder.join(WEIGHTS_FILE);
    let source = open_tensors(&path, Links::Refused)?;
    let description = describe(&path, source.metadata())?;
    checked_blank(&path, &source, &description, &Device::flex())?;
    let types = numbers_by_format(&source);
    let tokens = open_tokenizer(folder, folder, &description);
    let (rows, context) = (description.vocabulary_size, description.context);
    Ok(ForeignModel {
        family: description.model.name().to_owned(),
        parameters: description.model.parameter_count(rows, context),
        config: description.model,
        vocabulary: rows,
        context,
        types,
        tokens: tokens.map(|tokenizer| tokenizer.vocabulary_size()).map_err(|error| error.to_string()),
        compressed: description.compressed,
        has_chat_template: description.chat_template.is_some(),
        license: None,
        warning: None,
    })
}

/// Whether a folder holds weights and their tokenizer, and is neither a checkpoint nor a run. A checkpoint that has
/// lost its manifest isn't such a folder: its tokenizer is in the run.
pub fn has_weights_alone(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).exists();
    has(WEIGHTS_FILE) && has(TOKENIZER_FILE) && !has(MANIFEST_FILE) && !has(CHECKPOINTS) && !is_hugging_face(folder)
}

/// The model of the weights in `folder`, with its tokenizer from `run`.
fn build(
    run: &Path,
    folder: &Path,
    source: &mut dyn TensorSource,
    opening: Opening<'_>,
) -> Result<(LanguageModel, Tokenizer, ModelDescription), SavedModelError> {
    let path = folder.join(WEIGHTS_FILE);
    let mut description = describe(&path, source.metadata())?;
    let tokenizer = open_tokenizer(run, folder, &description)?;
    let model = match adapted([run, folder], &mut description, source, opening)? {
        Some(model) => model,
        None => {
            let blank = checked_blank(&path, source, &description, opening.device)?;
            opening.loader()(blank, source).map_err(|error| SavedModelError::load(error, &path))?
        }
    };
    Ok((model, tokenizer, description))
}

/// The model with its parameters replaced by those in the file; their ids and gradient settings stay. A file of
/// adapters has values for these alone.
///
/// # Errors
/// The file isn't a safetensors file, or one of its tensors is missing, left over, of another shape or type, or not
/// finite.
pub fn load_weights<M: Module>(model: M, path: &Path) -> Result<M, SavedModelError> {
    let mut source = open_tensors(path, Links::Refused)?;
    load_own(model, &mut source, path)
}

/// A file of adapters has nothing for what they are added to.
fn load_own<M: Module>(model: M, source: &mut dyn TensorSource, path: &Path) -> Result<M, SavedModelError> {
    let has_adapters_alone = describe(path, source.metadata()).is_ok_and(|description| description.base.is_some());
    let loaded = if has_adapters_alone { load_adapters(model, source) } else { load(model, source) };
    loaded.map_err(|error| SavedModelError::load(error, path))
}

/// The model with its parameters replaced by the weights of a checkpoint, which are verified on the way.
///
/// # Errors
/// As [`load_weights`]; also if the file is damaged.
pub fn read_weights<M: Module>(model: M, checkpoint: &mut CheckpointReader<'_>) -> Result<M, SavedModelError> {
    let path = checkpoint.folder().join(WEIGHTS_FILE);
    checkpoint.read_tensors(WEIGHTS_FILE, |source| load_own(model, source, &path))
}

/// The description in the header of a file of weights; of the file, only the header is read.
///
/// # Errors
/// As [`load_weights`], and the description is missing or makes no sense.
pub fn read_description(path: &Path) -> Result<ModelDescription, SavedModelError> {
    describe(path, open_tensors(path, Links::Refused)?.metadata())
}

/// How many numbers a file of weights has of each format, by the header alone.
///
/// # Errors
/// As [`load_weights`].
pub fn read_formats(path: &Path) -> Result<BTreeMap<String, u64>, SavedModelError> {
    Ok(numbers_by_format(&open_tensors(path, Links::Refused)?))
}

fn numbers_by_format(source: &dyn TensorSource) -> BTreeMap<String, u64> {
    let mut numbers = BTreeMap::new();
    for name in source.names() {
        let Some(info) = source.info(&name) else { continue };
        let format =
            source.format(&name).map_or_else(|| format!("{:?}", info.dtype), |format| format.name().to_owned());
        *numbers.entry(format).or_insert(0) += info.elements();
    }
    numbers
}

/// The description in the texts of the file of weights at `path`.
///
/// # Errors
/// [`SavedModelError::Description`] if it is missing or makes no sense.
pub fn describe(path: &Path, texts: &BTreeMap<String, String>) -> Result<ModelDescription, SavedModelError> {
    ModelDescription::from_metadata(texts)
        .map_err(|problem| SavedModelError::Description { path: path.to_path_buf(), problem })
}

/// The tokenizer of the run, compared with the one that the description names.
fn open_tokenizer(run: &Path, model: &Path, description: &ModelDescription) -> Result<Tokenizer, SavedModelError> {
    // A checkpoint that was copied out of its run has it beside the weights, or lacks it there.
    let path = if is_run(run) { run } else { model }.join(TOKENIZER_FILE);
    let tokenizer = Tokenizer::from_file(&path)
        .map_err(|error| SavedModelError::Tokenizer { path: path.clone(), problem: error.reason() })?;
    let (found_size, found_hash) = (tokenizer.vocabulary_size(), hexadecimal(tokenizer.hash()));
    // A model that another program wrote may have rows beyond its tokens.
    if found_size <= description.vocabulary_size && found_hash == description.tokenizer_hash {
        return Ok(tokenizer);
    }
    Err(SavedModelError::VocabularyMismatch {
        tokenizer: path,
        model: model.to_path_buf(),
        found_size,
        found_hash,
        expected_size: description.vocabulary_size,
        expected_hash: description.tokenizer_hash.clone(),
    })
}

/// The model without weights, after the number of parameters that the description implies was compared with that in
/// the file: the sizes in the description are only numbers in a file.
fn checked_blank(
    path: &Path,
    source: &dyn TensorSource,
    description: &ModelDescription,
    device: &Device,
) -> Result<LanguageModel, SavedModelError> {
    let wrong = |problem: String| SavedModelError::Description { path: path.to_path_buf(), problem };
    let infos = source.names().into_iter().filter_map(|name| source.info(&name));
    let found = infos.fold(0_u64, |sum, info| sum.saturating_add(info.elements()));
    let expected = description.model.parameter_count(description.vocabulary_size, description.context);
    // Thin matrices have fewer numbers than the one that they stand for; `load` compares each.
    let is_thin = !description.ranks.is_empty() && found < expected;
    if found == expected || is_thin {
        return description.blank(device).map_err(wrong);
    }
    Err(wrong(format!("the model that it describes has {expected} parameters, and it holds {found}")))
}
