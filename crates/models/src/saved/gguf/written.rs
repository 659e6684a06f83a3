//! A model of Kiln, written as a file that `llama.cpp` opens.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use burn::tensor::TensorData;
use kiln_storage::StorageError;
use kiln_storage::formats::gguf::{GgufTensor, GgufType, GgufValue, write_gguf};
use kiln_storage::formats::{Mapped, Recipe, TensorSource};
use serde_json::Value;

use super::super::error::SavedModelError;
use super::super::export::{Unexported, Written};
use super::config::Architecture;
use super::error::GgufModelError;
use super::tokenizer_values::tokenizer_values;
use super::{CHAT_TEMPLATE, rotary};

/// Writes the file; what is begun and fails leaves nothing under its name.
pub(in crate::saved) fn write(model: &Unexported<'_>, kind: GgufType, path: &Path) -> Result<Written, SavedModelError> {
    let (config, foreign) = model.described()?;
    let unfit = |problem: GgufModelError| model.unwritable(&problem);
    let architecture = Architecture::of_family(&foreign.family).map_err(unfit)?;
    let mut notes = notes(&config).map_err(unfit)?;
    if model.saved.end_tokens().is_empty() {
        let note = "the tokenizer has no token for an end, and llama.cpp needs one: it takes the last for it; run it \
                    with `--ignore-eos`";
        notes.push(note.to_owned());
    }
    let mut values = architecture.values(&config).map_err(unfit)?;
    values.extend(tokenizer_values(model.saved).map_err(unfit)?);
    let text = |text: &str| GgufValue::Text(text.to_owned());
    let name =
        model.saved.run.file_stem().map_or_else(|| "kiln".to_owned(), |name| name.to_string_lossy().into_owned());
    values.insert("general.name".to_owned(), text(&name));
    values.insert("general.file_type".to_owned(), GgufValue::U32(file_type(kind)));
    if let Some(template) = &model.saved.chat_template {
        values.insert(CHAT_TEMPLATE.to_owned(), text(&template.source));
    }
    let mut beside = BTreeMap::new();
    if let Some(divisors) = rotary::divisors(&foreign.config) {
        let shape = [divisors.len()];
        beside.insert(rotary::DIVISORS.to_owned(), TensorData::new(divisors, shape));
    }
    let theirs = model.tensors(&foreign, beside)?;
    let failed = |problem| SavedModelError::from(StorageError::tensors(problem, path, "write"));
    let heads = [foreign.config.heads, foreign.config.key_value_heads()];
    let recipe = |name: String| {
        let shape = theirs.info(&name).map(|info| info.shape).unwrap_or_default();
        let own = architecture.own_name(&name);
        let recipe = architecture.inverse_steps(&own, &shape, heads).iter().fold(Recipe::of(name), Recipe::then);
        (own, recipe)
    };
    let recipes: BTreeMap<String, Recipe> = theirs.names().into_iter().map(recipe).collect();
    let mut source = Mapped::new(theirs, recipes).map_err(failed)?;
    let tensors: Vec<GgufTensor> = source.names().into_iter().map(|name| tensor(name, kind, &source)).collect();
    into_file(path, |output| {
        write_gguf(output, &values, &tensors, &mut source)
            .map_err(|problem| StorageError::gguf(problem, path, "write").into())
    })?;
    Ok(Written { family: foreign.family.clone(), notes })
}

/// Vectors stay in single precision, as `llama.cpp` needs them; rows that are no whole blocks become half precision.
fn tensor(name: String, kind: GgufType, source: &impl TensorSource) -> GgufTensor {
    let shape = source.info(&name).map(|info| info.shape).unwrap_or_default();
    let kind = match shape.last() {
        _ if shape.len() < 2 => GgufType::F32,
        Some(row) if row % kind.block() != 0 => GgufType::F16,
        _ => kind,
    };
    GgufTensor { name, kind }
}

/// What `llama.cpp` computes otherwise.
///
/// # Errors
/// An activation that it doesn't have.
fn notes(config: &Value) -> Result<Vec<String>, GgufModelError> {
    let key = "activation_function";
    match config.get(key).and_then(Value::as_str) {
        Some("gelu") => {
            let note =
                "llama.cpp computes GELU with a tanh, so that its logits differ from these by about a thousandth";
            Ok(vec![note.to_owned()])
        }
        None | Some("gelu_new" | "gelu_pytorch_tanh") => Ok(Vec::new()),
        Some(other) => {
            let problem = format!("\"{other}\" has no counterpart in `llama.cpp`, which computes GELU with a tanh");
            Err(GgufModelError::Value { key: key.to_owned(), problem })
        }
    }
}

/// The number by which `llama.cpp` names the type of most tensors.
fn file_type(kind: GgufType) -> u32 {
    match kind {
        GgufType::F16 => 1,
        GgufType::Q8_0 => 7,
        GgufType::Bf16 => 32,
        _ => 0,
    }
}

/// Writes beside the name, then renames.
fn into_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<(), SavedModelError>,
) -> Result<(), SavedModelError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    let beside = Path::new(&beside);
    let written = || {
        let file = File::create(beside).map_err(StorageError::io("create", beside))?;
        let mut output = BufWriter::new(file);
        write(&mut output)?;
        output.flush().and_then(|()| output.get_ref().sync_all()).map_err(StorageError::io("write", beside))?;
        std::fs::rename(beside, path).map_err(StorageError::io("write", path))?;
        Ok(())
    };
    written().inspect_err(|_| _ = std::fs::remove_file(beside))
}

impl Architecture {
    /// The architecture of a family that is written.
    fn of_family(family: &str) -> Result<Self, GgufModelError> {
        let known = || Self::all().iter().map(|architecture| architecture.name).collect::<Vec<_>>().join(", ");
        let found = Self::all().iter().find(|architecture| architecture.model_type == family).copied();
        found.ok_or_else(|| GgufModelError::UnknownArchitecture { found: family.to_owned(), known: known() })
    }
}
