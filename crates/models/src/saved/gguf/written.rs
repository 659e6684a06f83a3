//! A model of Kiln, written as a file that `llama.cpp` opens.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use burn::tensor::TensorData;
use kiln_packed::Format;
use kiln_storage::StorageError;
use kiln_storage::formats::gguf::{GgufTensor, GgufValue, write_gguf};
use kiln_storage::formats::{Mapped, Recipe, Step, TensorSource};
use serde_json::Value;

use super::super::error::SavedModelError;
use super::super::export::{Unexported, Written};
use super::super::foreign::Foreign;
use super::super::hugging_face::written::config::differing;
use super::architectures::{Architecture, HeadWeights, Layout};
use super::config::Sizes;
use super::error::GgufModelError;
use super::tokenizer_values::tokenizer_values;
use super::{CHAT_TEMPLATE, rotary};
use crate::transformer::{FeedForwardActivation, RotaryScaling};

const TOKENS: &str = "token_embd.weight";
const HEAD: &str = "output.weight";

/// Writes the file; what is begun and fails leaves nothing under its name.
pub(in crate::saved) fn write(
    model: &Unexported<'_>,
    wanted: Option<Format>,
    path: &Path,
) -> Result<Written, SavedModelError> {
    let (config, foreign) = model.described()?;
    let unfit = |problem: GgufModelError| model.unwritable(&problem);
    let (architecture, foreign) = prepared(foreign).map_err(unfit)?;
    let mut notes = notes(&config, &foreign).map_err(unfit)?;
    if model.saved.end_tokens().is_empty() {
        let note = "the tokenizer has no token for an end, and llama.cpp needs one: it takes the last for it; run it \
                    with `--ignore-eos`";
        notes.push(note.to_owned());
    }
    let mut values = architecture.values(&config, &foreign.config).map_err(unfit)?;
    values.extend(tokenizer_values(model.saved).map_err(unfit)?);
    let text = |text: &str| GgufValue::Text(text.to_owned());
    let name =
        model.saved.run.file_stem().map_or_else(|| "kiln".to_owned(), |name| name.to_string_lossy().into_owned());
    values.insert("general.name".to_owned(), text(&name));
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
        let steps = Step::undone(&architecture.steps(&own, &shape, heads));
        let recipe = steps.iter().fold(Recipe::of(name), Recipe::then);
        (own, recipe)
    };
    let mut recipes: BTreeMap<String, Recipe> = theirs.names().into_iter().map(recipe).collect();
    if architecture.head == HeadWeights::Own && foreign.config.tied {
        recipes.insert(HEAD.to_owned(), Recipe::of(architecture.their_name(TOKENS)));
    }
    check(&values, &foreign, |name| recipes.contains_key(name)).map_err(unfit)?;
    let mut source = Mapped::new(theirs, recipes).map_err(failed)?;
    let tensors: Vec<GgufTensor> = source.names().into_iter().map(|name| tensor(name, wanted, &source)).collect();
    values.insert("general.file_type".to_owned(), GgufValue::U32(file_type(&tensors, &source)));
    into_file(path, |output| {
        write_gguf(output, &values, &tensors, &mut source)
            .map_err(|problem| StorageError::gguf(problem, path, "write").into())
    })?;
    Ok(Written { family: foreign.family.clone(), notes })
}

/// The model as these files have it.
fn prepared(foreign: Foreign) -> Result<(Architecture, Foreign), GgufModelError> {
    let unknown =
        || GgufModelError::UnknownArchitecture { found: foreign.family.clone(), known: Architecture::all_names() };
    let architecture = Architecture::of_family(&foreign.family).ok_or_else(unknown)?;
    let mut foreign = Foreign { has_norms_less_one: false, ..foreign };
    if architecture.layout == Layout::GptNeox {
        // Biases that it needs are zero where the model has none.
        foreign.config.attention_bias = None;
    }
    Ok((architecture, foreign))
}

/// Makes sure that what is written describes the same model: the values are read again.
fn check(
    values: &BTreeMap<String, GgufValue>,
    foreign: &Foreign,
    has: impl Fn(&str) -> bool,
) -> Result<(), GgufModelError> {
    let sizes = Sizes::new(values)?;
    let name = sizes.architecture.name;
    let found = Foreign::new(&sizes.config(foreign.vocabulary, has)?).map_err(GgufModelError::Model)?.config;
    let mut wanted = foreign.config.clone();
    // The table of tokens is written again as the head.
    wanted.tied &= sizes.architecture.head != HeadWeights::Own;
    // A note says which of the two it is.
    if [wanted.activation, found.activation].iter().all(|activation| is_gelu(*activation)) {
        wanted.activation = found.activation;
    }
    // A table of divisors stands for it.
    if matches!(wanted.rotary_scaling, Some(RotaryScaling::Llama3(_))) {
        wanted.rotary_scaling = None;
    }
    match differing(&wanted, &found, 1e-6).first() {
        None => Ok(()),
        Some(option) => Err(GgufModelError::Option { architecture: name.to_owned(), option: option.clone() }),
    }
}

fn is_gelu(activation: FeedForwardActivation) -> bool {
    matches!(activation, FeedForwardActivation::Gelu | FeedForwardActivation::GeluTanh)
}

/// Vectors stay in single precision, as `llama.cpp` needs them; rows that are no whole blocks become half precision.
fn tensor(name: String, wanted: Option<Format>, source: &impl TensorSource) -> GgufTensor {
    let shape = source.info(&name).map(|info| info.shape).unwrap_or_default();
    let kind = wanted.or_else(|| source.format(&name)).unwrap_or(Format::F32);
    let kind = match shape.last() {
        _ if shape.len() < 2 => Format::F32,
        Some(row) if row % kind.block() != 0 => Format::F16,
        _ => kind,
    };
    GgufTensor { name, kind }
}

/// What `llama.cpp` computes otherwise.
///
/// # Errors
/// An activation that it doesn't have.
fn notes(config: &Value, foreign: &Foreign) -> Result<Vec<String>, GgufModelError> {
    let mut notes = Vec::new();
    let key = if foreign.family == "gpt2" { "activation_function" } else { "hidden_act" };
    match config.get(key).and_then(Value::as_str) {
        Some("gelu") => {
            let note =
                "llama.cpp computes GELU with a tanh, so that its logits differ from these by about a thousandth";
            notes.push(note.to_owned());
        }
        None | Some("gelu_new" | "gelu_pytorch_tanh" | "silu") => {}
        Some(other) => {
            let problem = format!("\"{other}\" has no counterpart in `llama.cpp`, which computes GELU with a tanh");
            return Err(GgufModelError::Value { key: key.to_owned(), problem });
        }
    }
    let window = foreign.config.attention_window.filter(|window| *window < foreign.context);
    if let (Some(window), "mistral" | "phi3") = (window, foreign.family.as_str()) {
        notes.push(format!(
            "llama.cpp knows no window in this architecture: beyond {window} tokens its logits are others"
        ));
    }
    Ok(notes)
}

/// The number by which `llama.cpp` names the type of most numbers.
fn file_type(tensors: &[GgufTensor], source: &impl TensorSource) -> u32 {
    let mut numbers = BTreeMap::<Format, u64>::new();
    for GgufTensor { name, kind } in tensors {
        *numbers.entry(*kind).or_default() += source.info(name).map_or(0, |info| info.elements());
    }
    match numbers.into_iter().max_by_key(|(_, count)| *count).map(|(format, _)| format) {
        None | Some(Format::F32) => 0,
        Some(Format::F16) => 1,
        Some(Format::Q4_0) => 2,
        Some(Format::Q4_1) => 3,
        Some(Format::Q8_0) => 7,
        Some(Format::Q5_0) => 8,
        Some(Format::Q5_1) => 9,
        Some(Format::Q4K) => 15,
        Some(Format::Q5K) => 17,
        Some(Format::Q6K) => 18,
        Some(Format::Bf16) => 32,
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
