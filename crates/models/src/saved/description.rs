//! Which model a file of weights holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use burn::tensor::Device;

use super::foreign::{ChatTemplate, Conversing};
use super::lineage::Lineage;
use crate::initializer::Initializer;
use crate::{AdapterConfig, LanguageModel, ModelConfig, Tokenizer};

/// The key of the description in the header of the weights.
const KEY: &str = "kiln";
/// Largest vocabulary that a file may ask for.
const LARGEST_VOCABULARY: usize = 1 << 24;
/// Longest context that a file may ask for.
const LONGEST_CONTEXT: usize = 1 << 20;

/// Everything that is needed to build a model again before its weights are put in. Kept as JSON under `kiln` in the
/// header of `model.safetensors`, so that one file says what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ModelDescription {
    /// The model and its sizes, as in the `[model]` table of a run.
    pub model: ModelConfig,
    /// Tokens that the model knows.
    pub vocabulary_size: usize,
    /// Tokens of context that it was trained with.
    pub context: usize,
    /// The hash of its tokenizer, in hexadecimal.
    pub tokenizer_hash: String,
    /// What stands before every text; models that Kiln trains read texts as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub start_tokens: Vec<u32>,
    /// Tokens that end a text, beside that of the tokenizer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub end_tokens: Vec<u32>,
    /// How it was taught to hold a conversation, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat_template: Option<ChatTemplate>,
    /// Whether another program trained it, so that it has neither a configuration nor checkpoints here.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub imported: bool,
    /// The ranks of products that are with two thin matrices, by the path of the second.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ranks: BTreeMap<String, usize>,
    /// Its adapters, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<AdapterConfig>,
    /// What they are for: the weights hold the adapters alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<Lineage>,
    /// What was done to make it smaller, first to last, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compressed: Vec<String>,
    /// The version of Kiln that wrote it.
    pub kiln: String,
}

impl ModelDescription {
    /// The description of a model of this version of Kiln.
    pub fn new(model: ModelConfig, tokenizer: &Tokenizer, context: usize) -> Self {
        Self {
            model,
            vocabulary_size: tokenizer.vocabulary_size(),
            context,
            tokenizer_hash: hexadecimal(tokenizer.hash()),
            start_tokens: Vec::new(),
            end_tokens: Vec::new(),
            chat_template: None,
            imported: false,
            ranks: BTreeMap::new(),
            adapter: None,
            base: None,
            compressed: Vec::new(),
            kiln: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// The model without weights, to be loaded.
    ///
    /// # Errors
    /// What is wrong with the ranks.
    pub(super) fn blank(&self, device: &Device) -> Result<LanguageModel, String> {
        let mut model = self.model.blank(self.vocabulary_size, self.context, device);
        let mut left = self.ranks.clone();
        for mut product in model.products() {
            let Some(rank) = left.remove(&product.name) else { continue };
            let [outputs, inputs] = product.sizes();
            if rank == 0 || rank > outputs.min(inputs) {
                let name = &product.name;
                return Err(format!("a rank of {rank} for `{name}`, which has {inputs} inputs and {outputs} outputs"));
            }
            product.make_room(rank, &mut Initializer::blank(device));
        }
        match left.keys().next() {
            Some(name) => Err(format!("a rank for `{name}`, which the model doesn't have")),
            None => Ok(model),
        }
    }

    /// Takes over how another model of the same tokenizer ends texts and holds conversations. What stands before its
    /// texts isn't taken over: those that Kiln trains on are read as they are.
    pub fn converse_as(&mut self, other: &Self) {
        self.end_tokens.clone_from(&other.end_tokens);
        self.chat_template.clone_from(&other.chat_template);
    }

    /// Lets it hold conversations.
    pub fn converse(&mut self, conversing: &Conversing) {
        self.end_tokens.clone_from(&conversing.end_tokens);
        self.chat_template = Some(conversing.template.clone());
    }

    /// The texts for the header: this description, and the `format` that other programs look for.
    pub(super) fn to_metadata(&self) -> Result<BTreeMap<String, String>, String> {
        let json = serde_json::to_string(self).map_err(|error| error.to_string())?;
        Ok(BTreeMap::from([("format".to_owned(), "pt".to_owned()), (KEY.to_owned(), json)]))
    }

    /// The description in the texts of a header, checked as a configuration is.
    pub(super) fn from_metadata(metadata: &BTreeMap<String, String>) -> Result<Self, String> {
        let json = metadata.get(KEY).ok_or_else(|| format!("its header has no entry `{KEY}`"))?;
        let description: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        // Rotary positions aren't parameters, so the length of the file doesn't limit the context.
        for (what, tokens, most) in [
            ("vocabulary", description.vocabulary_size, LARGEST_VOCABULARY),
            ("context", description.context, LONGEST_CONTEXT),
        ] {
            if tokens == 0 || tokens > most {
                return Err(format!("a {what} of {tokens} tokens, not between 1 and {most}"));
            }
        }
        if description.adapter.is_some() != description.base.is_some() {
            return Err("of adapters and what they are for it has one without the other".to_owned());
        }
        let adapter = description.adapter.as_ref().map(AdapterConfig::validate).unwrap_or_default();
        let adapter = adapter.into_iter().map(|violation| violation.under("adapter"));
        let model = description.model.validate().into_iter().map(|violation| violation.under("model"));
        match model.chain(adapter).next() {
            Some(violation) => Err(format!("`{}` {}", violation.key, violation.message)),
            None => Ok(description),
        }
    }
}

pub(super) fn hexadecimal(hash: [u8; 32]) -> String {
    blake3::Hash::from_bytes(hash).to_hex().to_string()
}
