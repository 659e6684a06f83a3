//! Models in the form in which Hugging Face's `transformers` saves them: `config.json`, weights as safetensors in one
//! file or in shards, `tokenizer.json`.

mod config;
mod error;
mod families;
mod keys;
mod names;
mod rotation;
mod shards;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use kiln_settings::files::{Content, Links, read_regular};
use kiln_storage::formats::{Mapped, Recipe, TensorSource};
use kiln_storage::layout::{CHECKPOINTS, MANIFEST_FILE, TOKENIZER_FILE};
use serde_json::Value;

use self::config::Foreign;
pub use self::error::HuggingFaceError;
use self::shards::Shards;
use super::description::{ModelDescription, hexadecimal};
use super::error::SavedModelError;
use super::open::SavedModel;
use super::weights::load;
use crate::{LanguageModel, ModelConfig, Tokenizer, TransformerConfig};

/// What the model is.
const CONFIG: &str = "config.json";

/// How text is written with it.
const GENERATION_CONFIG: &str = "generation_config.json";

/// The longest `config.json` that is read, bytes.
const LONGEST_CONFIG: u64 = 1 << 20;

/// What a folder of this form holds, by what its headers say.
#[derive(Debug, Clone)]
pub struct HuggingFaceModel {
    /// The `model_type` of its `config.json`.
    pub family: String,
    /// The options that it is here.
    pub config: TransformerConfig,
    /// Rows of the table of tokens.
    pub vocabulary: usize,
    /// The longest text, tokens.
    pub context: usize,
    /// Numbers in its weights that belong to parameters.
    pub parameters: u64,
    /// How many numbers its tensors have of each type.
    pub types: BTreeMap<String, u64>,
    /// What the user should know.
    pub warning: Option<String>,
}

/// Looks at the model in `folder` without reading its weights.
///
/// # Errors
/// As those of opening it, but for its tokenizer and for numbers that are not finite.
pub fn inspect_hugging_face(folder: &Path) -> Result<HuggingFaceModel, SavedModelError> {
    let foreign = configuration(folder)?;
    let source = recipes(folder, &foreign)?;
    let mut types = BTreeMap::new();
    for name in source.theirs.names() {
        if let Some(info) = source.theirs.info(&name) {
            *types.entry(format!("{:?}", info.dtype)).or_insert(0) += info.elements();
        }
    }
    let Foreign { family, config, vocabulary, context, warning, .. } = foreign;
    let parameters = ModelConfig::Transformer(config.clone()).parameter_count(vocabulary, context);
    Ok(HuggingFaceModel { family, config, vocabulary, context, parameters, types, warning })
}

/// Whether `folder` holds a model of this form, and isn't a run or a checkpoint.
pub fn is_hugging_face(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).exists();
    has(CONFIG) && !has(MANIFEST_FILE) && !has(CHECKPOINTS)
}

/// Opens the model in `folder`. The names of its files may be links, as they are in a hub's cache.
///
/// # Errors
/// See [`HuggingFaceError`]; nothing is ever loaded in part.
pub(super) fn open(folder: &Path, device: &Device) -> Result<SavedModel, SavedModelError> {
    let foreign = configuration(folder)?;
    let path = folder.join(TOKENIZER_FILE);
    let tokenizer =
        Tokenizer::from_file(&path).map_err(|error| SavedModelError::Tokenizer { path, problem: error.reason() })?;
    if tokenizer.vocabulary_size() > foreign.vocabulary {
        let (tokens, rows) = (tokenizer.vocabulary_size(), foreign.vocabulary);
        return Err(wrong(folder, HuggingFaceError::OtherTokenizer { tokens, rows }));
    }
    let model = read(folder, &foreign, device)?;
    let description = ModelDescription {
        model: ModelConfig::Transformer(foreign.config),
        vocabulary_size: foreign.vocabulary,
        context: foreign.context,
        tokenizer_hash: hexadecimal(tokenizer.hash()),
        kiln: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let (folder, run) = (folder.to_path_buf(), folder.to_path_buf());
    let (start, end) = (tokenizer.start_tokens(), end_tokens(&folder)?);
    Ok(SavedModel { model, tokenizer, description, folder, run, step: None, start, end, warning: foreign.warning })
}

fn wrong(folder: &Path, problem: HuggingFaceError) -> SavedModelError {
    SavedModelError::HuggingFace { folder: folder.to_path_buf(), problem }
}

fn configuration(folder: &Path) -> Result<Foreign, SavedModelError> {
    let config = json(folder, CONFIG).map_err(|problem| wrong(folder, HuggingFaceError::Config(problem)))?;
    Foreign::new(&config).map_err(|problem| wrong(folder, problem))
}

fn json(folder: &Path, name: &str) -> Result<Value, String> {
    match read_regular(&folder.join(name), Links::Followed, LONGEST_CONFIG).map_err(|error| error.to_string())? {
        Content::Bytes(bytes) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
        Content::TooLong => Err(format!("has more than {LONGEST_CONFIG} bytes")),
        Content::NotRegular => Err("is not a file".to_owned()),
    }
}

/// The tokens that end a text, `eos_token_id` of the generation's configuration or of the model's: one or several.
fn end_tokens(folder: &Path) -> Result<Vec<u32>, SavedModelError> {
    let name = if folder.join(GENERATION_CONFIG).exists() { GENERATION_CONFIG } else { CONFIG };
    let problem = |problem: String| wrong(folder, HuggingFaceError::EndTokens { file: name.to_owned(), problem });
    let config = json(folder, name).map_err(problem)?;
    let token = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let tokens = match config.get("eos_token_id") {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(several)) => several.iter().map(token).collect(),
        Some(one) => token(one).map(|token| vec![token]),
    };
    tokens.ok_or_else(|| problem("says no token for `eos_token_id`".to_owned()))
}

/// The tensors of a folder, and what the parameters are made of.
struct Weights {
    theirs: Shards,
    recipes: BTreeMap<String, Recipe>,
}

fn recipes(folder: &Path, foreign: &Foreign) -> Result<Weights, SavedModelError> {
    let theirs = Shards::open(folder).map_err(|problem| match problem {
        shards::ShardsError::Storage(error) => error.into(),
        shards::ShardsError::Folder(problem) => wrong(folder, problem),
    })?;
    let (recipes, left_over) = names::recipes(foreign, &theirs.names());
    match left_over {
        Some(name) => Err(wrong(folder, HuggingFaceError::UnknownTensor(name))),
        None => Ok(Weights { theirs, recipes }),
    }
}

/// The weights, put into a model of their sizes.
fn read(folder: &Path, foreign: &Foreign, device: &Device) -> Result<LanguageModel, SavedModelError> {
    let Weights { theirs, recipes } = recipes(folder, foreign)?;
    let unfit = |problem| SavedModelError::load(problem, folder);
    let mut source = Mapped::new(theirs, recipes).map_err(|error| unfit(error.into()))?;
    let config = ModelConfig::Transformer(foreign.config.clone());
    // The sizes are only numbers in a file: as many weights must be there before memory is taken for them.
    let infos = source.names().into_iter().filter_map(|name| source.info(&name));
    let found = infos.fold(0_u64, |sum, info| sum.saturating_add(info.elements()));
    let expected = config.parameter_count(foreign.vocabulary, foreign.context);
    if found != expected {
        return Err(wrong(folder, HuggingFaceError::OtherSize { found, expected }));
    }
    let model = config.blank(foreign.vocabulary, foreign.context, device);
    load(model, &mut source).map_err(unfit)
}
