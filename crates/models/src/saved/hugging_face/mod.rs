//! Models in the form in which Hugging Face's `transformers` saves them: `config.json`, weights as safetensors in one
//! file or in shards, `tokenizer.json`.

mod beside;
pub(super) mod config;
mod error;
pub(super) mod families;
mod keys;
pub(super) mod names;
mod rotation;
mod shards;
mod slow;
#[cfg(test)]
pub(super) mod tests;
pub(super) mod written;

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use kiln_settings::files::{Content, Links, read_regular};
use kiln_storage::formats::TensorSource;
use kiln_storage::layout::{CHECKPOINTS, MANIFEST_FILE, TOKENIZER_FILE};
use serde_json::Value;

use self::config::Foreign;
pub use self::error::HuggingFaceError;
use self::shards::Shards;
use super::error::SavedModelError;
use super::foreign::{Beside, Conversing, ForeignModel, Weights};
use super::open::SavedModel;
use super::packed::Loader;
use crate::{LanguageModel, Tokenizer};

/// What the model is.
const CONFIG: &str = "config.json";

/// The longest `config.json` that is read, bytes.
const LONGEST_CONFIG: u64 = 1 << 20;

/// Looks at the model in `folder` without reading its weights.
///
/// # Errors
/// As those of opening it, but for its tokenizer and for numbers that are not finite.
pub(super) fn inspect_hugging_face(folder: &Path) -> Result<ForeignModel, SavedModelError> {
    let foreign = configuration(folder)?;
    let source = weights(folder, &foreign)?;
    let mut types = BTreeMap::new();
    for name in source.theirs.names() {
        if let Some(info) = source.theirs.info(&name) {
            *types.entry(format!("{:?}", info.dtype)).or_insert(0) += info.elements();
        }
    }
    let tokens = tokenizer(folder).map(|tokenizer| tokenizer.vocabulary_size()).map_err(|error| error.to_string());
    let has_chat_template = beside::chat_template(folder).is_ok_and(|template| template.is_some());
    Ok(foreign.inspected(Beside { types, tokens, has_chat_template, license: beside::license(folder) }))
}

/// Whether `folder` holds a model of this form, and isn't a run or a checkpoint.
pub(super) fn is_hugging_face(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).exists();
    has(CONFIG) && !has(MANIFEST_FILE) && !has(CHECKPOINTS)
}

/// Opens the model in `folder`. The names of its files may be links, as they are in a hub's cache.
///
/// # Errors
/// See [`HuggingFaceError`]; nothing is ever loaded in part.
pub(super) fn open(folder: &Path, device: &Device, loader: Loader) -> Result<SavedModel, SavedModelError> {
    let foreign = configuration(folder)?;
    let tokenizer = tokenizer(folder)?;
    let unfit = |problem| wrong(folder, problem);
    foreign.check_tokenizer(&tokenizer).map_err(unfit)?;
    let (end, template) = (beside::end_tokens(folder).map_err(unfit)?, beside::chat_template(folder).map_err(unfit)?);
    let model = read(folder, &foreign, device, loader)?;
    Ok(foreign.saved(model, tokenizer, end, template, folder))
}

/// How the model in `folder` holds conversations.
///
/// # Errors
/// See [`HuggingFaceError`].
pub(super) fn conversing(folder: &Path) -> Result<Option<Conversing>, SavedModelError> {
    let unfit = |problem| wrong(folder, problem);
    let template = beside::chat_template(folder).map_err(unfit)?;
    let end_tokens = beside::end_tokens(folder).map_err(unfit)?;
    Ok(template.map(|template| Conversing { template, end_tokens }))
}

pub(super) fn tokenizer(folder: &Path) -> Result<Tokenizer, SavedModelError> {
    let path = folder.join(TOKENIZER_FILE);
    // A link that leads nowhere is there, too, and is named.
    if path.symlink_metadata().is_err() {
        return slow::tokenizer(folder);
    }
    Tokenizer::from_file(&path).map_err(|error| SavedModelError::Tokenizer { path, problem: error.reason() })
}

fn wrong(folder: &Path, problem: HuggingFaceError) -> SavedModelError {
    SavedModelError::HuggingFace { folder: folder.to_path_buf(), problem }
}

fn configuration(folder: &Path) -> Result<Foreign, SavedModelError> {
    let config =
        json(folder, CONFIG, LONGEST_CONFIG).map_err(|problem| wrong(folder, HuggingFaceError::Config(problem)))?;
    Foreign::new(&config).map_err(|problem| wrong(folder, problem))
}

fn json(folder: &Path, name: &str, longest: u64) -> Result<Value, String> {
    match read_regular(&folder.join(name), Links::Followed, longest).map_err(|error| error.to_string())? {
        Content::Bytes(bytes) => serde_json::from_slice(&bytes).map_err(|error| format!("is not JSON: {error}")),
        Content::TooLong => Err(format!("has more than {longest} bytes")),
        Content::NotRegular => Err("is not a file".to_owned()),
    }
}

fn weights(folder: &Path, foreign: &Foreign) -> Result<Weights<Shards>, SavedModelError> {
    let theirs = Shards::open(folder).map_err(|problem| match problem {
        shards::ShardsError::Storage(error) => error.into(),
        shards::ShardsError::Folder(problem) => wrong(folder, problem),
    })?;
    let names = theirs.names();
    foreign.check_layers(names.len()).map_err(|problem| wrong(folder, problem))?;
    let (recipes, left_over) = names::recipes(foreign, &names);
    match left_over {
        Some(name) => Err(wrong(folder, HuggingFaceError::UnknownTensor(name))),
        None => Ok(Weights { theirs, recipes }),
    }
}

fn read(folder: &Path, foreign: &Foreign, device: &Device, loader: Loader) -> Result<LanguageModel, SavedModelError> {
    weights(folder, foreign)?
        .read(foreign, device, loader)
        .map_err(|error| error.at(folder, |problem| wrong(folder, problem)))
}
