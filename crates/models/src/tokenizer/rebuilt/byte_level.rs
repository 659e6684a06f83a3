//! Byte pairs over bytes, as GPT-2 and most models since then have them.

use serde_json::{Value, json};

use super::super::error::TokenizerError;
use super::super::handle::Tokenizer;
use super::{Entry, added_tokens, invalid, post_processor, vocabulary};

/// Where a text is cut before its pairs are merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Splitting {
    /// Words with the space before them, numbers, signs (Radford et al. 2019).
    Gpt2,
    /// The same, and each digit alone.
    Digits,
    /// Also line ends and contractions in capitals, and numbers in threes (Llama 3).
    Llama3,
    /// As Llama 3, each digit alone, and composed characters (Qwen 2).
    Qwen2,
}

impl Splitting {
    /// By the word that GGUF files have for it. Where several families share one, their words do.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "gpt-2" | "default" | "phi-2" | "mpt" | "olmo" | "jina-es" | "jina-de" | "jais" => Self::Gpt2,
            "smollm" | "starcoder" | "refact" | "command-r" | "codeshell" | "exaone" => Self::Digits,
            "llama-bpe" | "llama3" | "llama-v3" | "dbrx" | "smaug-bpe" | "falcon3" => Self::Llama3,
            "qwen2" | "stablelm2" | "deepseek-r1-qwen" => Self::Qwen2,
            _ => return None,
        })
    }

    /// All that are known.
    pub(crate) const ALL: [Self; 4] = [Self::Gpt2, Self::Digits, Self::Llama3, Self::Qwen2];

    /// The word that GGUF files have for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Gpt2 => "gpt-2",
            Self::Digits => "smollm",
            Self::Llama3 => "llama-bpe",
            Self::Qwen2 => "qwen2",
        }
    }

    /// Whether these stages of a `tokenizer.json` cut a text so.
    pub(crate) fn is_described_by(self, pre_tokenizer: &Value, normalizer: &Value) -> bool {
        let mut stage = pre_tokenizer.clone();
        // Where offsets begin changes no token.
        let with_offsets = |stage: &mut Value| {
            if stage["type"] == "ByteLevel" {
                stage["trim_offsets"] = json!(true);
            }
        };
        with_offsets(&mut stage);
        let stages = stage.get_mut("pretokenizers").and_then(Value::as_array_mut);
        stages.into_iter().flatten().for_each(with_offsets);
        let is_composed = self == Self::Qwen2;
        stage == self.pre_tokenizer() && (normalizer == &json!({ "type": "NFC" })) == is_composed
    }

    fn pre_tokenizer(self) -> Value {
        let trimmed = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true });
        let bytes = |use_regex: bool| {
            let mut stage = trimmed.clone();
            stage["use_regex"] = json!(use_regex);
            stage
        };
        let by_expression = |numbers: &str| {
            let parts = [
                // Contractions.
                r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
                // A word with one sign before it.
                r"[^\r\n\p{L}\p{N}]?\p{L}+",
                numbers,
                // Signs with the line ends behind them.
                r" ?[^\s\p{L}\p{N}]+[\r\n]*",
                // Line ends; white space up to the last one before a word.
                r"\s*[\r\n]+",
                r"\s+(?!\S)",
                r"\s+",
            ];
            let expression = parts.join("|");
            let split =
                json!({ "type": "Split", "pattern": { "Regex": expression }, "behavior": "Isolated", "invert": false });
            json!({ "type": "Sequence", "pretokenizers": [split, bytes(false)] })
        };
        match self {
            Self::Gpt2 => bytes(true),
            Self::Digits => json!({
                "type": "Sequence",
                "pretokenizers": [{ "type": "Digits", "individual_digits": true }, bytes(true)],
            }),
            Self::Llama3 => by_expression(r"\p{N}{1,3}"),
            Self::Qwen2 => by_expression(r"\p{N}"),
        }
    }
}

/// The tokenizer of byte pairs with these tokens, and merges `left right` in the order in which they are made. With
/// `prefix`, which the words of GPT-2 alone can have, a space is put before a text that begins with none.
pub(crate) fn byte_level(
    entries: &[Entry],
    merges: &[String],
    splitting: Splitting,
    prefix: bool,
    start: &[u32],
) -> Result<Tokenizer, TokenizerError> {
    let pair = |merge: &String| {
        let parts = merge.split_once(' ').filter(|(left, right)| !left.is_empty() && !right.is_empty());
        parts.map(|(left, right)| json!([left, right])).ok_or_else(|| invalid(format!("{merge:?} is no merge of two")))
    };
    let merges = merges.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
    let normalizer = if splitting == Splitting::Qwen2 { json!({ "type": "NFC" }) } else { Value::Null };
    let mut pre_tokenizer = splitting.pre_tokenizer();
    if prefix {
        pre_tokenizer["add_prefix_space"] = json!(true);
    }
    let file = json!({
        "version": "1.0",
        "added_tokens": added_tokens(entries),
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "post_processor": post_processor(start, entries)?,
        "decoder": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": splitting == Splitting::Llama3,
            "vocab": vocabulary(entries)?, "merges": merges,
        },
    });
    Tokenizer::from_json(file.to_string())
}
