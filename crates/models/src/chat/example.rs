//! A conversation to learn from: which of its tokens are answers.

use std::collections::BTreeSet;

use super::error::ChatError;
use super::format::{ChatFormat, Message};
use super::tokens::{self, Mask};
use crate::Tokenizer;

/// The tokens of a conversation, up to the end of its last answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChatExample {
    /// All of them.
    pub tokens: Vec<u32>,
    /// For each whether it belongs to an answer: to what an assistant says, or the special token that ends it.
    pub counted: Vec<bool>,
    /// The bytes of the answers' texts.
    pub bytes: u64,
    /// Their characters.
    pub characters: u64,
    /// The special tokens that end answers.
    pub ends: BTreeSet<u32>,
}

/// The role whose messages are answers.
const ASSISTANT: &str = "assistant";

impl ChatFormat {
    /// The tokens of a conversation that is over, and which of them are learned: the answers, each from where the model
    /// is asked for it up to the first special token behind it. What a message says is text whatever it says.
    ///
    /// An answer has the tokens that it has behind everything before it, as a model that writes it reads them.
    ///
    /// # Errors
    /// As [`ChatFormat::encode`]; also where nobody answers, and where the template writes earlier messages otherwise
    /// once others follow, so that no text is what the model reads when it answers.
    pub fn example(&self, tokenizer: &Tokenizer, messages: &[Message]) -> Result<ChatExample, ChatError> {
        self.learned(tokenizer, messages, false)
    }

    /// The same, of which the last answer alone is learned.
    ///
    /// # Errors
    /// As [`ChatFormat::example`].
    pub fn last_answer(&self, tokenizer: &Tokenizer, messages: &[Message]) -> Result<ChatExample, ChatError> {
        self.learned(tokenizer, messages, true)
    }

    fn learned(&self, tokenizer: &Tokenizer, messages: &[Message], last: bool) -> Result<ChatExample, ChatError> {
        let (masked, masks) = tokens::mask(tokenizer, messages);
        let special = tokenizer.special_tokens();
        let mut example = ChatExample::default();
        let mut read = String::new();
        let answers = messages.iter().enumerate().filter(|(_, message)| message.role == ASSISTANT);
        for (number, message) in answers {
            let asked = self.rendered(&masked[..number], true)?;
            let said = self.rendered(&masked[..=number], false)?;
            let Some(answer) = said.strip_prefix(&asked).filter(|_| asked.starts_with(&read)) else {
                return Err(ChatError::Rewritten(number + 1));
            };
            // The template's own end, if it has one: those that the message spells are masked.
            let ends = special.iter().filter_map(|token| Some(answer.find(token.as_str())? + token.len()));
            let end_token = ends.min();
            let end = asked.len() + end_token.unwrap_or(answer.len());
            if last {
                (example.bytes, example.characters) = (0, 0);
                example.counted.fill(false);
            }
            example.extend(tokenizer, &asked, read.len(), &masks, false)?;
            example.extend(tokenizer, &said[..end], asked.len(), &masks, true)?;
            example.ends.extend(end_token.and(example.tokens.last()));
            read = said[..end].to_owned();
            example.bytes += message.content.len() as u64;
            example.characters += message.content.chars().count() as u64;
        }
        if example.counted.contains(&true) { Ok(example) } else { Err(ChatError::NoAnswer) }
    }
}

impl ChatExample {
    /// Appends the tokens of `text` from byte `start` on: what stands before them has its tokens already.
    fn extend(
        &mut self,
        tokenizer: &Tokenizer,
        text: &str,
        start: usize,
        masks: &[Mask],
        counted: bool,
    ) -> Result<(), ChatError> {
        let all = tokens::encode(tokenizer, text, masks)?;
        let more = match all.strip_prefix(&self.tokens[..]) {
            Some(more) => more.to_vec(),
            // A token of the whole text would reach across the place where the model is asked.
            None => tokens::encode(tokenizer, &text[start..], masks)?,
        };
        self.counted.resize(self.tokens.len() + more.len(), counted);
        self.tokens.extend(more);
        Ok(())
    }
}
