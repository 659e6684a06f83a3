//! A model of Kiln, written as a folder that `transformers` opens.

pub(in crate::saved) mod config;
mod families;
pub(in crate::saved) mod tensors;

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::DType;
use kiln_storage::formats::{TensorFile, tensors_to_safetensors};
use kiln_storage::layout::{TOKENIZER_FILE, WEIGHTS_FILE};
use kiln_storage::{DiskFiles, StorageError, write_file_atomically};
use serde_json::{Map, Value, json};

use super::super::error::SavedModelError;
use super::super::export::{Unexported, Written};
use super::super::open::SavedModel;
use super::beside::{GENERATION_CONFIG, TOKENIZER_CONFIG};
use super::{CONFIG, Foreign};

/// Writes the model into `folder`, which is there and empty.
pub(in crate::saved) fn write(model: &Unexported<'_>, dtype: DType, folder: &Path) -> Result<Written, SavedModelError> {
    let (mut config, foreign) = model.described()?;
    let family = foreign.family.clone();
    let file = folder.join(WEIGHTS_FILE);
    let failed = |problem| SavedModelError::from(StorageError::tensors(problem, &file, "write"));
    let mut source = tensors::with_precision(model.tensors(&foreign, BTreeMap::new())?, dtype).map_err(failed)?;
    let tensors = TensorFile::read(&mut source).map_err(failed)?.tensors;
    let metadata = BTreeMap::from([("format".to_owned(), "pt".to_owned())]);
    let weights = tensors_to_safetensors(&tensors, &metadata).map_err(failed)?;
    config["dtype"] = json!(match dtype {
        DType::F16 => "float16",
        DType::BF16 => "bfloat16",
        _ => "float32",
    });
    add_tokens(&mut config, model.saved);
    let mut generation = json!({});
    add_tokens(&mut generation, model.saved);
    let write = |name: &str, content: &[u8]| write_file_atomically(&DiskFiles, &folder.join(name), content);
    let pretty = |value: &Value| format!("{value:#}\n").into_bytes();
    write(WEIGHTS_FILE, &weights)?;
    write(CONFIG, &pretty(&config))?;
    write(GENERATION_CONFIG, &pretty(&generation))?;
    write(TOKENIZER_FILE, model.saved.tokenizer.to_json().as_bytes())?;
    write(TOKENIZER_CONFIG, &pretty(&tokenizer_config(model.saved, &foreign)))?;
    let mut notes = Vec::new();
    if family == "qwen2" {
        let note = "AutoTokenizer puts Qwen's own tokenizer in the place of this one; open it with \
                    `PreTrainedTokenizerFast.from_pretrained`";
        notes.push(note.to_owned());
    }
    Ok(Written { family, notes })
}

/// The tokens at which a text begins and ends.
fn add_tokens(config: &mut Value, saved: &SavedModel) {
    let end = saved.end_tokens();
    if let [start] = saved.start[..] {
        config["bos_token_id"] = json!(start);
    }
    match &end[..] {
        [] => {}
        [one] => config["eos_token_id"] = json!(one),
        several => config["eos_token_id"] = json!(several),
    }
}

fn tokenizer_config(saved: &SavedModel, foreign: &Foreign) -> Value {
    let mut config = Map::new();
    config.insert("tokenizer_class".to_owned(), json!("PreTrainedTokenizerFast"));
    config.insert("model_max_length".to_owned(), json!(foreign.context));
    config.insert("clean_up_tokenization_spaces".to_owned(), json!(false));
    if let Some(template) = &saved.chat_template {
        config.insert("chat_template".to_owned(), json!(template.source));
        config.extend(template.tokens.iter().map(|(name, text)| (name.clone(), json!(text))));
    }
    let text = |token: u32| json!(saved.tokenizer.decode(&[token]));
    if let Some(end) = saved.end_tokens().first() {
        config.entry("eos_token").or_insert_with(|| text(*end));
    }
    if let [start] = saved.start[..] {
        config.entry("bos_token").or_insert_with(|| text(start));
    }
    Value::Object(config)
}
