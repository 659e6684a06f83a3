//! From conversations to the tokens of their splits, and which of them are answers.

use std::collections::BTreeSet;
use std::path::Path;

use kiln_models::saved::{ChatTemplate, Conversing};
use kiln_models::{
    ChatError, ChatExample, ChatFormat, Message, Tokenizer, TokenizerConfig, named_source, named_template,
};
use kiln_settings::files::{Content, Links, read_regular};
use serde::{Deserialize, Serialize};

use super::examples::marks;
use super::folder::Folder;
use super::prepare::{PrepareProgress, Report};
use super::{DataError, MARKS, TextIdentity, TokenFileWriter};
use crate::corpus::{Conversations, ConversationsConfig, CorpusError, Split, WrongLines};

/// The longest template that is read, bytes.
const LONGEST_TEMPLATE: u64 = 1 << 20;

/// What is known of the conversations of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedConversations {
    /// How many are trained on.
    pub train: u64,
    /// How many validate.
    pub validation: u64,
    /// Lines that are none.
    pub wrong: WrongLines,
    /// How they are written: as the trained model holds conversations.
    pub conversing: Conversing,
}

/// Why conversations cannot become tokens.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConversationsError {
    /// Nothing says how they are written.
    #[error(
        "`[data.conversations]` needs a chat template, and {}; write `template = \"plain\"`, or name a file that ends \
         in `.jinja`", if *.has_start { "the start model has none" } else { "there is no start model that has one" }
    )]
    NoTemplate {
        /// Whether there is a start model.
        has_start: bool,
    },
    /// The tokenizer lacks a special token of the template.
    #[error(
        "`data.conversations.template` is \"{template}\", which needs the special token `{token}`, and the tokenizer \
         hasn't got it; give it one by `special-tokens`, or take another template"
    )]
    NoToken {
        /// The name of the template.
        template: String,
        /// The token.
        token: &'static str,
    },
    /// The template cannot be read or used.
    #[error("`data.conversations.template`: {0}")]
    Template(String),
}

/// How the conversations of a run are written, where its tokenizer is known.
fn conversing(config: &ConversationsConfig, tokenizer: &Tokenizer) -> Result<Conversing, DataError> {
    if let Some(path) = config.template_file() {
        return Ok(Conversing { template: template(path, tokenizer)?, end_tokens: Vec::new() });
    }
    let Some(name) = &config.template else { return of_model(config) };
    match named_template(name, tokenizer) {
        Some(Ok((template, end_tokens))) => Ok(Conversing { template, end_tokens }),
        Some(Err(token)) => Err(ConversationsError::NoToken { template: name.clone(), token }.into()),
        None => Err(ConversationsError::Template(format!("there is no template {name:?}")).into()),
    }
}

fn of_model(config: &ConversationsConfig) -> Result<Conversing, DataError> {
    let found = config.of_model.clone();
    Ok(found.ok_or(ConversationsError::NoTemplate { has_start: config.has_start })?)
}

/// The template of a file, which may name the token that ends a document as `eos_token`.
fn template(path: &Path, tokenizer: &Tokenizer) -> Result<ChatTemplate, DataError> {
    let source = source(path)?;
    let end = tokenizer.end_token().map(|end| ("eos_token".to_owned(), tokenizer.decode(&[end])));
    Ok(ChatTemplate { source, tokens: end.into_iter().collect() })
}

fn source(path: &Path) -> Result<String, DataError> {
    let unread = |problem: String| ConversationsError::Template(format!("cannot read {}: {problem}", path.display()));
    let bytes = read_regular(path, Links::Followed, LONGEST_TEMPLATE).and_then(Content::into_bytes);
    let bytes = bytes.map_err(|error| unread(error.to_string()))?;
    Ok(String::from_utf8(bytes).map_err(|_| unread("it is not UTF-8".to_owned()))?)
}

/// The tokenizer of `settings`, which learns from the conversations that are trained on: their text without special
/// tokens.
pub(super) fn learn(
    settings: &TokenizerConfig,
    config: &ConversationsConfig,
    conversations: &Conversations,
    report: Report,
) -> Result<Tokenizer, DataError> {
    let source = match (config.template_file(), &config.template) {
        (Some(path), _) => source(path)?,
        (None, Some(name)) => named_source(name).unwrap_or_default().to_owned(),
        (None, None) => of_model(config)?.template.source,
    };
    let format = format(&ChatTemplate { source, tokens: Default::default() })?;
    let total = conversations.bytes();
    let mut failed: Option<CorpusError> = None;
    let mut text = conversations.read().filter_map(|conversation| match conversation {
        Ok(conversation) if conversation.split == Split::Train => {
            report(PrepareProgress::Learning { done: conversation.read.min(total), total });
            // What the template refuses is counted where it is encoded.
            format.render(&conversation.messages).ok().map(Ok)
        }
        Ok(_) => None,
        Err(error) => {
            let message = error.to_string();
            failed = Some(error);
            Some(Err(message.into()))
        }
    });
    let tokenizer = Tokenizer::train(settings, &mut text);
    drop(text);
    match (failed, tokenizer) {
        (Some(error), _) => Err(error.into()),
        (None, tokenizer) => Ok(tokenizer?),
    }
}

fn format(template: &ChatTemplate) -> Result<ChatFormat, DataError> {
    Ok(ChatFormat::new(template).map_err(|error| ConversationsError::Template(error.to_string()))?)
}

/// Writes the tokens and the marks of these splits into a folder.
pub(super) fn encode(
    config: &ConversationsConfig,
    conversations: &Conversations,
    splits: &[Split],
    tokenizer: &Tokenizer,
    folder: &Folder,
    report: Report,
) -> Result<PreparedConversations, DataError> {
    let mut conversing = conversing(config, tokenizer)?;
    let format = format(&conversing.template)?;
    let begin = |split: &Split| Ok((*split, Examples::begin(folder, *split, tokenizer)?));
    let mut writers = splits.iter().map(begin).collect::<Result<Vec<_>, DataError>>()?;
    let (mut wrong, mut ends, total) = (conversations.wrong().clone(), BTreeSet::new(), conversations.bytes());
    for conversation in conversations.read() {
        let conversation = conversation?;
        let split = conversation.split;
        let Some((_, writer)) = writers.iter_mut().find(|(of, _)| *of == split) else { continue };
        report(PrepareProgress::Encoding { split, done: conversation.read.min(total), total });
        let learned = if config.pairs { ChatFormat::last_answer } else { ChatFormat::example };
        let said = [Some(&conversation.messages), conversation.rejected.as_ref()].into_iter().flatten();
        let examples: Result<Vec<ChatExample>, ChatError> =
            said.clone().map(|messages| learned(&format, tokenizer, messages)).collect();
        match examples {
            Ok(examples) => {
                for example in examples {
                    ends.extend(example.ends);
                    writer.push(&example.tokens, &example.counted, [example.bytes, example.characters])?;
                }
                said.for_each(|messages| writer.hash(messages));
                writer.count += 1;
            }
            Err(ChatError::Template(error)) => return Err(ConversationsError::Template(error.to_string()).into()),
            Err(error) => wrong.add(format!("{}: {error}", conversation.place)),
        }
    }
    wrong.check(config.wrong_lines)?;
    let mut counts = [0; 2];
    for (split, writer) in writers {
        if writer.count == 0 {
            return Err(conversations.empty_split(split).into());
        }
        counts[split as usize] = writer.count;
        writer.finish()?;
    }
    ends.extend(conversing.end_tokens.iter().copied());
    conversing.end_tokens = ends.into_iter().collect();
    let [train, validation] = counts;
    Ok(PreparedConversations { train, validation, wrong, conversing })
}

/// The two files of a split that are being written.
pub(super) struct Examples {
    tokens: TokenFileWriter,
    marks: TokenFileWriter,
    text: TextIdentity,
    hasher: blake3::Hasher,
    count: u64,
}

impl Examples {
    pub(super) fn begin(folder: &Folder, split: Split, tokenizer: &Tokenizer) -> Result<Self, DataError> {
        let hash = tokenizer.hash();
        Ok(Self {
            tokens: TokenFileWriter::create(&folder.tokens(split), hash, tokenizer.vocabulary_size())?,
            marks: TokenFileWriter::create(&folder.marks(split), hash, MARKS)?,
            text: TextIdentity::default(),
            hasher: blake3::Hasher::new(),
            count: 0,
        })
    }

    /// Appends an example with the numbers of its bytes and characters that are predicted.
    pub(super) fn push(
        &mut self,
        tokens: &[u32],
        counted: &[bool],
        [bytes, characters]: [u64; 2],
    ) -> Result<(), DataError> {
        self.tokens.push(tokens)?;
        self.marks.push(&marks(counted))?;
        self.text.bytes += bytes;
        self.text.characters += characters;
        Ok(())
    }

    /// Counts what is said for the hash of the text.
    fn hash(&mut self, messages: &[Message]) {
        for part in messages.iter().flat_map(|message| [&message.role, &message.content]) {
            self.hasher.update(&(part.len() as u64).to_le_bytes());
            self.hasher.update(part.as_bytes());
        }
        self.hasher.update(&u64::MAX.to_le_bytes());
    }

    pub(super) fn finish(mut self) -> Result<(), DataError> {
        self.text.hash = *self.hasher.finalize().as_bytes();
        self.marks.finish(self.text)?;
        self.tokens.finish(self.text)?;
        Ok(())
    }
}
