//! Models in GGUF files, as `llama.cpp` keeps them: sizes, tokenizer and weights in one.
//!
//! The values of the file become the keys of a `config.json`, its tensors those of `transformers`; from there on it is
//! read as a [folder in that form](super::hugging_face) is.

mod architectures;
mod config;
mod error;
mod names;
mod rotary;
#[cfg(test)]
mod tests;
mod tokenizer;
mod tokenizer_values;
mod values;
mod written;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use burn::tensor::Device;
use kiln_settings::files::Links;
use kiln_storage::formats::gguf::{GgufReader, GgufValue};
use kiln_storage::formats::{Recipe, TensorSource};
use kiln_storage::{StorageError, open_gguf};

use self::architectures::Architecture;
use self::config::Sizes;
pub use self::error::GgufModelError;
pub(super) use self::written::write;
use super::error::SavedModelError;
use super::foreign::{Beside, ChatTemplate, Conversing, Foreign, ForeignModel, Weights};
use super::hugging_face::{HuggingFaceError, names as hugging_face_names};
use super::open::SavedModel;
use super::packed::Loader;
use crate::Tokenizer;
use crate::transformer::RotaryScaling;

/// The template of conversations.
const CHAT_TEMPLATE: &str = "tokenizer.chat_template";

/// Whether `path` is a file of this form, by its name.
pub(super) fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("gguf")) && !path.is_dir()
}

/// Looks at the model in the file at `path` without reading its weights.
///
/// # Errors
/// As those of opening it, but for its tokenizer and for numbers that are not finite.
pub(super) fn inspect_gguf(path: &Path) -> Result<ForeignModel, SavedModelError> {
    let mut file = open_gguf(path, Links::Followed)?;
    let (foreign, architecture) = described(path, &mut file)?;
    let mut types = BTreeMap::new();
    for name in file.names() {
        if let (Some(info), Some(kind)) = (file.info(&name), file.kind(&name)) {
            *types.entry(kind.name().to_owned()).or_insert(0) += info.elements();
        }
    }
    let tokens = tokenizer::tokenizer(file.values()).map_err(|problem| problem.to_string());
    let text = |key: &str| file.values().get(key).and_then(GgufValue::as_text).map(str::to_owned);
    let beside = Beside {
        types,
        tokens: tokens.map(|tokenizer| tokenizer.vocabulary_size()),
        has_chat_template: text(CHAT_TEMPLATE).is_some(),
        license: text("general.license"),
    };
    weights(path, file, &foreign, architecture)?;
    Ok(foreign.inspected(beside))
}

/// Opens the model in the file at `path`; its name may be a link.
///
/// # Errors
/// See [`GgufModelError`]; nothing is ever loaded in part.
pub(super) fn open(path: &Path, device: &Device, loader: Loader) -> Result<SavedModel, SavedModelError> {
    let mut file = open_gguf(path, Links::Followed)?;
    let (foreign, architecture) = described(path, &mut file)?;
    let tokenizer = tokenizer::tokenizer(file.values()).map_err(|problem| wrong(path, problem))?;
    foreign.check_tokenizer(&tokenizer).map_err(|problem| wrong(path, GgufModelError::Model(problem)))?;
    let (end, template) = (tokenizer::end_tokens(file.values()), chat_template(file.values()));
    let weights = weights(path, file, &foreign, architecture)?;
    let unfit = |problem| wrong(path, GgufModelError::Model(problem));
    let model = weights.read(&foreign, device, loader).map_err(|error| error.at(path, unfit))?;
    Ok(foreign.saved(model, tokenizer, end, template, path))
}

/// The tokenizer in the file at `path`.
///
/// # Errors
/// See [`GgufModelError`].
pub(super) fn tokenizer_in(path: &Path) -> Result<Tokenizer, SavedModelError> {
    let file = open_gguf(path, Links::Followed)?;
    tokenizer::tokenizer(file.values()).map_err(|problem| wrong(path, problem))
}

/// How the model in the file at `path` holds conversations.
///
/// # Errors
/// See [`GgufModelError`].
pub(super) fn conversing_in(path: &Path) -> Result<Option<Conversing>, SavedModelError> {
    let file = open_gguf(path, Links::Followed)?;
    let end_tokens = tokenizer::end_tokens(file.values());
    Ok(chat_template(file.values()).map(|template| Conversing { template, end_tokens }))
}

fn chat_template(values: &BTreeMap<String, GgufValue>) -> Option<ChatTemplate> {
    let source = values.get(CHAT_TEMPLATE).and_then(GgufValue::as_text)?.to_owned();
    let tokens = [("bos_token", tokenizer::BEGINNING), ("eos_token", tokenizer::END)];
    let text = |(name, key): (&str, &str)| Some((name.to_owned(), tokenizer::token_text(values, key)?.to_owned()));
    Some(ChatTemplate { source, tokens: tokens.into_iter().filter_map(text).collect() })
}

fn wrong(path: &Path, problem: GgufModelError) -> SavedModelError {
    SavedModelError::Gguf { path: path.to_path_buf(), problem }
}

fn described(path: &Path, file: &mut GgufReader<File>) -> Result<(Foreign, Architecture), SavedModelError> {
    let wrong = |problem| wrong(path, problem);
    let sizes = Sizes::new(file.values()).map_err(wrong)?;
    let rows = file.info("token_embd.weight").and_then(|info| info.shape.first().copied());
    let rows = rows.ok_or_else(|| wrong(GgufModelError::MissingKey("token_embd.weight".to_owned())))?;
    let config = sizes.config(rows, |name| file.info(name).is_some()).map_err(wrong)?;
    let mut foreign = Foreign::new(&config).map_err(|problem| wrong(GgufModelError::Model(problem)))?;
    let architecture = sizes.architecture;
    // One is added where the file is made.
    foreign.has_norms_less_one = false;
    if file.info(rotary::DIVISORS).is_some() {
        let data = file.read(rotary::DIVISORS).map_err(|problem| StorageError::tensors(problem, path, "read"))?;
        let divisors: Vec<f32> = data.iter::<f32>().collect();
        let scaling = rotary::scaling(&divisors, &foreign.config, foreign.context);
        let unknown = || GgufModelError::Value {
            key: rotary::DIVISORS.to_owned(),
            problem: "stretches the rotation by another rule than Llama 3's, which is not read".to_owned(),
        };
        let scaling = scaling.ok_or_else(|| wrong(unknown()))?;
        foreign.config.rotary_scaling = Some(RotaryScaling::Llama3(scaling));
    }
    Ok((foreign, architecture))
}

/// The tensors of the file, and what each parameter is made of.
fn weights(
    path: &Path,
    file: GgufReader<File>,
    foreign: &Foreign,
    architecture: Architecture,
) -> Result<Weights<GgufReader<File>>, SavedModelError> {
    let names = file.names().into_iter().filter(|name| name != rotary::DIVISORS);
    let names: Vec<String> = names.map(|name| architecture.their_name(&name)).collect();
    foreign.check_layers(names.len()).map_err(|problem| wrong(path, GgufModelError::Model(problem)))?;
    let (recipes, left_over) = hugging_face_names::recipes(foreign, &names);
    if let Some(theirs) = left_over {
        let problem = HuggingFaceError::UnknownTensor(architecture.own_name(&theirs));
        return Err(wrong(path, GgufModelError::Model(problem)));
    }
    let heads = [foreign.config.heads, foreign.config.key_value_heads()];
    let renamed = |mut recipe: Recipe| {
        for part in &mut recipe.parts {
            part.name = architecture.own_name(&part.name);
            if let Some(info) = file.info(&part.name) {
                let steps = architecture.steps(&part.name, &info.shape, heads);
                part.steps.splice(0..0, steps);
            }
        }
        recipe
    };
    let recipes = recipes.into_iter().map(|(name, recipe)| (name, renamed(recipe))).collect();
    Ok(Weights { theirs: file, recipes })
}
