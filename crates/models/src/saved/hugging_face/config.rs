//! `config.json`, as the options of the one transformer.

use serde_json::Value;

use super::error::HuggingFaceError;
use super::families;
use super::keys::Keys;
use crate::family::Family;
use crate::transformer::TransformerConfig;

/// How the tensors of an architecture are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::saved) enum Names {
    /// Radford et al. 2019.
    Gpt2,
    /// Black et al. 2022.
    GptNeox,
    /// Touvron et al. 2023 and what was named after it.
    Llama,
    /// The same, with queries, keys and values in one matrix, and with gates and what they open in another.
    Phi3,
}

/// What a `config.json` describes.
#[derive(Debug, Clone)]
pub(in crate::saved) struct Foreign {
    /// The `model_type`.
    pub(in crate::saved) family: String,
    pub(in crate::saved) config: TransformerConfig,
    /// Rows of the table of tokens; the tokenizer may have fewer.
    pub(in crate::saved) vocabulary: usize,
    /// The longest window.
    pub(in crate::saved) context: usize,
    pub(in crate::saved) names: Names,
    /// Whether the weights of norms are kept less one.
    pub(in crate::saved) has_norms_less_one: bool,
    /// How the names of tensors begin that belong to parts which are not read.
    pub(in crate::saved) other_parts: &'static [&'static str],
    /// What the user should know.
    pub(in crate::saved) warning: Option<String>,
}

/// The longest text that is read, tokens: no weight bounds what the file says of it.
const LONGEST_CONTEXT: usize = 1 << 20;

const KNOWN: &str = "gpt2, llama, mistral, qwen2, qwen3, gpt_neox, gemma, gemma2, gemma3, gemma3_text, olmo2, smollm3, \
                     phi3 and stablelm";

/// Keys that change nothing when a model is used here: where it comes from, how it was trained, how it is run
/// elsewhere, and its special tokens, which are the tokenizer's.
pub(super) const WITHOUT_EFFECT: [&str; 38] = [
    "architectures",
    "attention_dropout",
    "attention_probs_dropout_prob",
    "attn_pdrop",
    "auto_map",
    "bos_token_id",
    "cache_implementation",
    "classifier_dropout",
    "dtype",
    "embd_pdrop",
    "eos_token_id",
    "gradient_checkpointing",
    "hidden_dropout",
    "hidden_dropout_prob",
    "initializer_range",
    "is_decoder",
    "is_llama_config",
    "model_type",
    "n_ctx",
    "output_past",
    "pad_token_id",
    "pretraining_tp",
    "reorder_and_upcast_attn",
    "resid_pdrop",
    "summary_activation",
    "summary_first_dropout",
    "summary_proj_to_labels",
    "summary_type",
    "summary_use_proj",
    "task_specific_params",
    "torch_dtype",
    "transformers.js_config",
    "transformers_version",
    "unk_token_id",
    "unsloth_fixed",
    "unsloth_version",
    "use_cache",
    "use_mrope",
];

impl Foreign {
    /// Reads the table of a `config.json`.
    ///
    /// # Errors
    /// An architecture or a key that isn't known, and values that make no sense.
    pub(in crate::saved) fn new(config: &Value) -> Result<Self, HuggingFaceError> {
        let table = config.as_object().ok_or_else(|| HuggingFaceError::Config("is no table".to_owned()))?;
        let keys = Keys::new(table);
        let kind = keys.text("model_type")?.ok_or_else(|| HuggingFaceError::MissingKey("model_type".to_owned()))?;
        let Some(mut foreign) = families::read(&kind, &keys)? else {
            return Err(HuggingFaceError::UnknownArchitecture { found: kind, known: KNOWN.to_owned() });
        };
        keys.finish(&WITHOUT_EFFECT)?;
        foreign.family = kind;
        match foreign.config.validate().first() {
            None => Ok(foreign.with_bounded_context()),
            Some(violation) => {
                Err(HuggingFaceError::Config(format!("gives `{}`, which {}", violation.key, violation.message)))
            }
        }
    }
}

impl Foreign {
    fn with_bounded_context(self) -> Self {
        if self.context <= LONGEST_CONTEXT {
            return self;
        }
        let warning =
            format!("it was made for texts of {} tokens, and {LONGEST_CONTEXT} are the longest here", self.context);
        Self { context: LONGEST_CONTEXT, warning: Some(warning), ..self }
    }

    /// Makes sure that there may be as many layers as the configuration says, before anything is made for each.
    pub(in crate::saved) fn check_layers(&self, tensors: usize) -> Result<(), HuggingFaceError> {
        let layers = self.config.layers;
        if layers > tensors { Err(HuggingFaceError::FewerTensors { layers, tensors }) } else { Ok(()) }
    }
}
