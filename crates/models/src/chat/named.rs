//! Templates for models that came without one.

use std::collections::BTreeMap;

use crate::Tokenizer;
use crate::saved::ChatTemplate;

/// Who says what, a line each, with the token that ends a document behind every message.
const PLAIN: &str = "{% for message in messages %}{{ message.role }}: {{ message.content | trim }}{{ eos_token }}\n\
                     {% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";

/// ChatML, with two special tokens around every message.
const CHAT_ML: &str = "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n\
                       {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/// The messages as they are, one behind the other; an answer ends with the token that ends a document.
const BARE: &str = "{% for message in messages %}{{ message.content }}\
                    {% if message.role == 'assistant' %}{{ eos_token }}{% endif %}{% endfor %}";

/// The names of the templates that need no file.
pub const NAMED_TEMPLATES: [&str; 3] = ["plain", "chatml", "bare"];

/// The template of this name in Jinja's language; it may name the token that ends a document as `eos_token`.
pub fn named_source(name: &str) -> Option<&'static str> {
    let sources = NAMED_TEMPLATES.into_iter().zip([PLAIN, CHAT_ML, BARE]);
    sources.into_iter().find(|(known, _)| *known == name).map(|(_, source)| source)
}

/// The template of this name for a tokenizer, and the special tokens that end an answer in it; nothing where there is
/// none of that name.
///
/// # Errors
/// The special token that the tokenizer would need.
pub fn named_template(name: &str, tokenizer: &Tokenizer) -> Option<Result<(ChatTemplate, Vec<u32>), &'static str>> {
    let source = named_source(name)?;
    if source == CHAT_ML {
        return Some(chat_ml(tokenizer));
    }
    let end =
        tokenizer.end_token().map(|token| (template(source, [("eos_token", tokenizer.decode(&[token]))]), vec![token]));
    Some(end.ok_or(crate::END_TOKEN))
}

fn chat_ml(tokenizer: &Tokenizer) -> Result<(ChatTemplate, Vec<u32>), &'static str> {
    let mut found = Vec::new();
    for needed in ["<|im_start|>", "<|im_end|>"] {
        let is_special = tokenizer.special_tokens().iter().any(|token| token == needed);
        let tokens = tokenizer.encode(needed).unwrap_or_default();
        match tokens[..] {
            [token] if is_special => found.push(token),
            _ => return Err(needed),
        }
    }
    Ok((template(CHAT_ML, []), found.split_off(1)))
}

fn template<const N: usize>(source: &str, tokens: [(&str, String); N]) -> ChatTemplate {
    let tokens: BTreeMap<String, String> = tokens.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
    ChatTemplate { source: source.to_owned(), tokens }
}
