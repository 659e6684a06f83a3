//! Messages that spell special tokens: these are masked while the template is rendered, and are text again afterwards.

use crate::{Tokenizer, TokenizerError};

use super::format::Message;

/// Characters for private use, of which texts rarely have any.
const PRIVATE: std::ops::RangeInclusive<char> = '\u{E000}'..='\u{F8FF}';

/// A character, and the special token that it stands for.
pub(super) type Mask = (char, String);

/// The messages with every special token in them masked.
pub(super) fn mask(tokenizer: &Tokenizer, messages: &[Message]) -> (Vec<Message>, Vec<Mask>) {
    let is_spelled = |token: &String| messages.iter().any(|message| message.content.contains(token.as_str()));
    let mut spelled: Vec<String> = tokenizer.special_tokens().into_iter().filter(is_spelled).collect();
    // The longer ones first: one may contain another.
    spelled.sort_by_key(|token| std::cmp::Reverse(token.len()));
    let is_free = |sign: &char| !messages.iter().any(|message| message.content.contains(*sign));
    let masks: Vec<Mask> = PRIVATE.filter(is_free).zip(spelled).collect();
    let masked = |message: &Message| {
        let mut content = message.content.clone();
        for (sign, token) in &masks {
            content = content.replace(token.as_str(), &sign.to_string());
        }
        Message { content, role: message.role.clone() }
    };
    (messages.iter().map(masked).collect(), masks)
}

/// The tokens of a rendered conversation: special tokens are those of the template alone.
pub(super) fn encode(tokenizer: &Tokenizer, text: &str, masks: &[Mask]) -> Result<Vec<u32>, TokenizerError> {
    if masks.is_empty() {
        return tokenizer.encode(text);
    }
    let special = tokenizer.special_tokens();
    let first = |text: &str| {
        let found = special.iter().filter_map(|token| Some((text.find(token.as_str())?, token.len())));
        found.min_by_key(|(start, length)| (*start, std::cmp::Reverse(*length)))
    };
    let (mut tokens, mut rest) = (Vec::new(), text);
    while let Some((start, length)) = first(rest) {
        let (before, from) = rest.split_at(start);
        let (token, after) = from.split_at(length);
        tokens.extend(encode_text(tokenizer, before, masks)?);
        tokens.extend(tokenizer.encode(token)?);
        rest = after;
    }
    tokens.extend(encode_text(tokenizer, rest, masks)?);
    Ok(tokens)
}

/// The tokens of text between special tokens.
fn encode_text(tokenizer: &Tokenizer, text: &str, masks: &[Mask]) -> Result<Vec<u32>, TokenizerError> {
    let mut unmasked = text.to_owned();
    for (sign, token) in masks {
        unmasked = unmasked.replace(*sign, token);
    }
    if unmasked == text { tokenizer.encode(text) } else { tokenizer.encode_as_text(&unmasked) }
}
