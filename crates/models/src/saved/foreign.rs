//! Models that other programs saved: what a folder of `transformers` and a GGUF file have in common.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::Device;
use kiln_storage::TensorFileError;
use kiln_storage::formats::{Mapped, Recipe, TensorSource};
use serde::{Deserialize, Serialize};

use super::description::ModelDescription;
use super::error::SavedModelError;
use super::hugging_face::HuggingFaceError;
pub(super) use super::hugging_face::config::Foreign;
use super::open::SavedModel;
use super::packed::Loader;
use super::problem::LoadError;
#[cfg(test)]
use crate::TransformerConfig;
use crate::{LanguageModel, ModelConfig, Tokenizer};

/// How a model was taught to hold a conversation: a template in Jinja's language that makes a text of messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatTemplate {
    /// The template.
    pub source: String,
    /// The texts that it may name, for example `bos_token`.
    pub tokens: BTreeMap<String, String>,
}

/// How conversations are held: the template, and the tokens that end an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Conversing {
    /// What makes a text of messages.
    pub template: ChatTemplate,
    /// Tokens that end an answer, beside that of the tokenizer.
    pub end_tokens: Vec<u32>,
}

/// What a foreign model is, by what its headers say.
#[derive(Debug, Clone)]
pub struct ForeignModel {
    /// The `model_type` of its configuration.
    pub family: String,
    /// What it is here.
    pub config: ModelConfig,
    /// Rows of the table of tokens.
    pub vocabulary: usize,
    /// The longest text, tokens.
    pub context: usize,
    /// Numbers in its weights that belong to parameters.
    pub parameters: u64,
    /// How many numbers its tensors have of each type.
    pub types: BTreeMap<String, u64>,
    /// Tokens of its tokenizer, or why it cannot be used.
    pub tokens: Result<usize, String>,
    /// What was done to make it smaller, where Kiln did.
    pub compressed: Vec<String>,
    /// Whether it has a template for conversations.
    pub has_chat_template: bool,
    /// Its licence, where it names one.
    pub license: Option<String>,
    /// What the user should know.
    pub warning: Option<String>,
}

/// What is found beside the sizes of a model.
pub(super) struct Beside {
    /// How many numbers its tensors have of each type.
    pub(super) types: BTreeMap<String, u64>,
    pub(super) tokens: Result<usize, String>,
    pub(super) has_chat_template: bool,
    pub(super) license: Option<String>,
}

impl Foreign {
    #[cfg(test)]
    pub(super) fn own(config: TransformerConfig, vocabulary: usize, context: usize) -> Self {
        Self::of(config, vocabulary, context, super::hugging_face::config::Names::Gpt2)
    }

    /// The model for its inspection.
    pub(super) fn inspected(self, beside: Beside) -> ForeignModel {
        let Self { family, config, vocabulary, context, warning, .. } = self;
        let config = ModelConfig::Transformer(config);
        let parameters = config.parameter_count(vocabulary, context);
        let Beside { types, tokens, has_chat_template, license } = beside;
        ForeignModel {
            family,
            config,
            vocabulary,
            context,
            parameters,
            types,
            tokens,
            compressed: Vec::new(),
            has_chat_template,
            license,
            warning,
        }
    }

    /// Makes sure that the model knows every token.
    pub(super) fn check_tokenizer(&self, tokenizer: &Tokenizer) -> Result<(), HuggingFaceError> {
        let (tokens, rows) = (tokenizer.vocabulary_size(), self.vocabulary);
        if tokens > rows { Err(HuggingFaceError::OtherTokenizer { tokens, rows }) } else { Ok(()) }
    }

    /// The model that is ready for use; it was at `path`.
    pub(super) fn saved(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        end: Vec<u32>,
        chat_template: Option<ChatTemplate>,
        path: &Path,
    ) -> SavedModel {
        let start = tokenizer.start_tokens();
        let description = ModelDescription {
            vocabulary_size: self.vocabulary,
            start_tokens: start.clone(),
            end_tokens: end.clone(),
            chat_template: chat_template.clone(),
            ..ModelDescription::new(ModelConfig::Transformer(self.config), &tokenizer, self.context)
        };
        let (folder, run) = (path.to_path_buf(), path.to_path_buf());
        let warning = self.warning;
        SavedModel { model, tokenizer, description, folder, run, step: None, start, end, chat_template, warning }
    }
}

/// Tensors, and what the parameters are made of.
pub(super) struct Weights<S> {
    pub(super) theirs: S,
    pub(super) recipes: BTreeMap<String, Recipe>,
}

/// Why weights cannot be read.
pub(super) enum WeightsError {
    /// They do not fit the model, or cannot be read.
    Load(LoadError),
    /// They are no weights of a model of this configuration.
    Model(HuggingFaceError),
}

impl From<TensorFileError> for WeightsError {
    fn from(error: TensorFileError) -> Self {
        Self::Load(error.into())
    }
}

impl WeightsError {
    /// With the place, and the words of its form for what is no weights.
    pub(super) fn at(self, path: &Path, model: impl FnOnce(HuggingFaceError) -> SavedModelError) -> SavedModelError {
        match self {
            Self::Load(problem) => SavedModelError::load(problem, path),
            Self::Model(problem) => model(problem),
        }
    }
}

impl<S: TensorSource> Weights<S> {
    /// The weights, put into a model of their sizes.
    pub(super) fn read(
        self,
        foreign: &Foreign,
        device: &Device,
        loader: Loader,
    ) -> Result<LanguageModel, WeightsError> {
        let mut source = Mapped::new(self.theirs, self.recipes)?;
        let config = ModelConfig::Transformer(foreign.config.clone());
        // The sizes are only numbers in a file: as many weights must be there before memory is taken for them.
        let infos = source.names().into_iter().filter_map(|name| source.info(&name));
        let found = infos.fold(0_u64, |sum, info| sum.saturating_add(info.elements()));
        let expected = config.parameter_count(foreign.vocabulary, foreign.context);
        if found != expected {
            return Err(WeightsError::Model(HuggingFaceError::OtherSize { found, expected }));
        }
        let model = config.blank(foreign.vocabulary, foreign.context, device);
        loader(model, &mut source).map_err(WeightsError::Load)
    }
}
