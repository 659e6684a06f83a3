//! What stands beside the weights: the tokens that end a text, the template of conversations, the licence.

use std::collections::BTreeMap;
use std::path::Path;

use kiln_settings::files::{Content, Links, read_regular};
use serde_json::{Map, Value};

use super::super::foreign::ChatTemplate;
use super::{CONFIG, HuggingFaceError, LONGEST_CONFIG, json};

/// How text is written with it.
pub(super) const GENERATION_CONFIG: &str = "generation_config.json";
/// What `transformers` knows of the tokenizer beside `tokenizer.json`.
pub(super) const TOKENIZER_CONFIG: &str = "tokenizer_config.json";
/// The template of newer folders.
const CHAT_TEMPLATE: &str = "chat_template.jinja";
/// The description for people, with a table at its beginning.
const README: &str = "README.md";
/// The longest file beside the weights that is read, bytes.
const LONGEST: u64 = 16 << 20;

/// The tokens that end a text, `eos_token_id` of the generation's configuration or of the model's: one or several.
pub(super) fn end_tokens(folder: &Path) -> Result<Vec<u32>, HuggingFaceError> {
    let name = if folder.join(GENERATION_CONFIG).exists() { GENERATION_CONFIG } else { CONFIG };
    let problem = |problem: String| HuggingFaceError::EndTokens { file: name.to_owned(), problem };
    let config = json(folder, name, LONGEST_CONFIG).map_err(problem)?;
    let token = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let tokens = match config.get("eos_token_id") {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(several)) => several.iter().map(token).collect(),
        Some(one) => token(one).map(|token| vec![token]),
    };
    tokens.ok_or_else(|| problem("says no token for `eos_token_id`".to_owned()))
}

/// The template of conversations, if there is one: a file of its own, or a key of the tokenizer's configuration, of
/// which several are named and `default` is taken.
pub(super) fn chat_template(folder: &Path) -> Result<Option<ChatTemplate>, HuggingFaceError> {
    let problem = |file: &'static str| move |problem: String| HuggingFaceError::Beside { file, problem };
    let config = if folder.join(TOKENIZER_CONFIG).exists() {
        json(folder, TOKENIZER_CONFIG, LONGEST).map_err(problem(TOKENIZER_CONFIG))?
    } else {
        Value::Object(Map::new())
    };
    let own = if folder.join(CHAT_TEMPLATE).exists() {
        Some(text(folder, CHAT_TEMPLATE).map_err(problem(CHAT_TEMPLATE))?)
    } else {
        None
    };
    let named = |templates: &Vec<Value>| {
        let is_default = |template: &&Value| template.get("name").is_some_and(|name| name == "default");
        templates.iter().find(is_default).and_then(|template| template.get("template")?.as_str()).map(str::to_owned)
    };
    let source = own.or_else(|| match config.get("chat_template") {
        Some(Value::String(template)) => Some(template.clone()),
        Some(Value::Array(templates)) => named(templates),
        _ => None,
    });
    Ok(source.map(|source| ChatTemplate { source, tokens: special_tokens(&config) }))
}

/// The keys `..._token`, whose values are texts or tables with a text.
fn special_tokens(config: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        other => other.get("content").and_then(Value::as_str).map(str::to_owned),
    };
    let tokens = config.as_object().into_iter().flatten().filter(|(key, _)| key.ends_with("_token"));
    tokens.filter_map(|(key, value)| Some((key.clone(), text(value)?))).collect()
}

/// The licence that the description for people names in its table.
pub(super) fn license(folder: &Path) -> Option<String> {
    let readme = text(folder, README).ok()?;
    let table = readme.strip_prefix("---\n")?.split("\n---").next()?;
    let line = table.lines().find_map(|line| line.strip_prefix("license:"))?;
    Some(line.trim().to_owned()).filter(|license| !license.is_empty())
}

fn text(folder: &Path, name: &str) -> Result<String, String> {
    match read_regular(&folder.join(name), Links::Followed, LONGEST).map_err(|error| error.to_string())? {
        Content::Bytes(bytes) => String::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned()),
        Content::TooLong => Err(format!("has more than {LONGEST} bytes")),
        Content::NotRegular => Err("is not a file".to_owned()),
    }
}
