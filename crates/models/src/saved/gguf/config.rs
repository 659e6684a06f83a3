//! The sizes of a model, from the table of a GGUF file to the keys of a `config.json`, which is then read as any other.

use std::collections::BTreeMap;

use kiln_storage::formats::gguf::GgufValue;
use serde_json::{Map, Value, json};

use super::error::GgufModelError;

/// What is known of an architecture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Architecture {
    /// The `general.architecture`.
    pub(super) name: &'static str,
    /// The `model_type` of a `config.json`.
    pub(super) model_type: &'static str,
    /// Whether rows of queries and keys are ordered for a rotation of neighbours.
    pub(super) rotates_neighbours: bool,
    /// Further keys, by what follows the architecture's name.
    keys: &'static [(&'static str, &'static str)],
    /// What the architecture leaves unsaid.
    fixed: &'static [(&'static str, &'static str)],
}

/// Keys of Llama and its descendants.
const LLAMA: &[(&str, &str)] = &[
    ("context_length", "max_position_embeddings"),
    ("embedding_length", "hidden_size"),
    ("block_count", "num_hidden_layers"),
    ("feed_forward_length", "intermediate_size"),
    ("attention.head_count", "num_attention_heads"),
    ("attention.head_count_kv", "num_key_value_heads"),
    ("attention.key_length", "head_dim"),
    ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
    ("rope.freq_base", "rope_theta"),
];

const GPT2: &[(&str, &str)] = &[
    ("context_length", "n_positions"),
    ("embedding_length", "n_embd"),
    ("block_count", "n_layer"),
    ("feed_forward_length", "n_inner"),
    ("attention.head_count", "n_head"),
    ("attention.layer_norm_epsilon", "layer_norm_epsilon"),
];

const SILU: &[(&str, &str)] = &[("hidden_act", "silu")];

const ARCHITECTURES: [Architecture; 4] = [
    Architecture { name: "gpt2", model_type: "gpt2", rotates_neighbours: false, keys: GPT2, fixed: &[] },
    Architecture { name: "llama", model_type: "llama", rotates_neighbours: true, keys: LLAMA, fixed: SILU },
    Architecture { name: "qwen2", model_type: "qwen2", rotates_neighbours: false, keys: LLAMA, fixed: SILU },
    Architecture { name: "qwen3", model_type: "qwen3", rotates_neighbours: false, keys: LLAMA, fixed: SILU },
];

impl Architecture {
    /// All that are read and written.
    pub(super) fn all() -> &'static [Self] {
        &ARCHITECTURES
    }

    /// The values of a file, of the keys of a `config.json`.
    ///
    /// # Errors
    /// A stretched rotation that has no counterpart.
    pub(super) fn values(&self, config: &Value) -> Result<BTreeMap<String, GgufValue>, GgufModelError> {
        let name = self.name;
        let mut values = BTreeMap::from([("general.architecture".to_owned(), GgufValue::Text(name.to_owned()))]);
        for (ending, key) in self.keys {
            let value = match config.get(key) {
                Some(Value::Number(number)) => match number.as_u64().and_then(|whole| u32::try_from(whole).ok()) {
                    // Whole numbers may still be those of a key that is a float.
                    Some(whole) if !ending.ends_with("epsilon") && !ending.ends_with("freq_base") => {
                        GgufValue::U32(whole)
                    }
                    _ => GgufValue::F32(number.as_f64().unwrap_or_default() as f32),
                },
                _ => continue,
            };
            values.insert(format!("{name}.{ending}"), value);
        }
        if let Some(width) = config.get("head_dim").and_then(Value::as_u64).and_then(|width| u32::try_from(width).ok())
        {
            for ending in ["rope.dimension_count", "attention.value_length"] {
                values.insert(format!("{name}.{ending}"), GgufValue::U32(width));
            }
        }
        if let Some(scaling) = config.get("rope_scaling") {
            values.extend(self.scaling_values(scaling)?);
        }
        Ok(values)
    }

    fn scaling_values(&self, scaling: &Value) -> Result<Vec<(String, GgufValue)>, GgufModelError> {
        let key = |ending: &str| format!("{}.rope.scaling.{ending}", self.name);
        let kind = scaling.get("rope_type").and_then(Value::as_str).unwrap_or_default();
        let factor = scaling.get("factor").and_then(Value::as_f64).unwrap_or(1.0);
        let mut values =
            vec![(key("type"), GgufValue::Text(kind.to_owned())), (key("factor"), GgufValue::F32(factor as f32))];
        match kind {
            "linear" => {}
            // A table of divisors stands for it.
            "llama3" => values.clear(),
            "yarn" => {
                let original = scaling.get("original_max_position_embeddings").and_then(Value::as_u64).unwrap_or(1);
                values.push((key("original_context_length"), GgufValue::U32(original.try_into().unwrap_or(u32::MAX))));
            }
            other => {
                let problem = format!("\"{other}\" has no counterpart in these files");
                return Err(GgufModelError::Value { key: "rope_scaling".to_owned(), problem });
            }
        }
        Ok(values)
    }
}

/// Values of an architecture that change nothing, or that are looked at one by one.
const LOOKED_AT: [&str; 11] = [
    "attention.causal",
    "attention.value_length",
    "expert_count",
    "expert_used_count",
    "rope.dimension_count",
    "rope.scaling.factor",
    "rope.scaling.finetuned",
    "rope.scaling.original_context_length",
    "rope.scaling.type",
    "rope.scaling.attn_factor",
    "vocab_size",
];

/// The values of one architecture.
pub(super) struct Sizes<'a> {
    values: &'a BTreeMap<String, GgufValue>,
    pub(super) architecture: Architecture,
}

impl<'a> Sizes<'a> {
    pub(super) fn new(values: &'a BTreeMap<String, GgufValue>) -> Result<Self, GgufModelError> {
        const KEY: &str = "general.architecture";
        let found = values.get(KEY).and_then(GgufValue::as_text);
        let found = found.ok_or_else(|| GgufModelError::MissingKey(KEY.to_owned()))?;
        let architecture = ARCHITECTURES.into_iter().find(|architecture| architecture.name == found);
        let known = || ARCHITECTURES.map(|architecture| architecture.name).join(", ");
        let unknown = || GgufModelError::UnknownArchitecture { found: found.to_owned(), known: known() };
        Ok(Self { values, architecture: architecture.ok_or_else(unknown)? })
    }

    fn key(&self, ending: &str) -> String {
        format!("{}.{ending}", self.architecture.name)
    }

    fn get(&self, ending: &str) -> Option<&'a GgufValue> {
        self.values.get(&self.key(ending))
    }

    fn wrong(&self, ending: &str, problem: impl Into<String>) -> GgufModelError {
        GgufModelError::Value { key: self.key(ending), problem: problem.into() }
    }

    /// The table of a `config.json`; `has` says whether the file has a tensor, and `rows` are those of its table of
    /// tokens.
    pub(super) fn config(&self, rows: usize, has: impl Fn(&str) -> bool) -> Result<Value, GgufModelError> {
        let mut config = Map::new();
        for (ending, key) in self.architecture.keys {
            if let Some(value) = self.get(ending) {
                config.insert((*key).to_owned(), self.number(ending, value)?);
            }
        }
        for (key, text) in self.architecture.fixed {
            config.insert((*key).to_owned(), json!(text));
        }
        config.insert("model_type".to_owned(), json!(self.architecture.model_type));
        config.insert("vocab_size".to_owned(), json!(rows));
        config.insert("tie_word_embeddings".to_owned(), json!(!has("output.weight")));
        if self.architecture.name == "llama" {
            config.insert("attention_bias".to_owned(), json!(has("blk.0.attn_q.bias")));
        }
        self.check_heads()?;
        self.check_nothing_is_left()?;
        if let Some(scaling) = self.rotary_scaling()? {
            config.insert("rope_scaling".to_owned(), scaling);
        }
        Ok(Value::Object(config))
    }

    fn number(&self, ending: &str, value: &GgufValue) -> Result<Value, GgufModelError> {
        match (value.as_u64(), value) {
            (Some(whole), _) => Ok(json!(whole)),
            // The shortest number that is this one in single precision, as the value was before it was put there.
            (None, GgufValue::F32(single)) if single.is_finite() => {
                Ok(json!(single.to_string().parse::<f64>().unwrap_or(f64::from(*single))))
            }
            (None, GgufValue::Array(_)) => {
                Err(self.wrong(ending, "is another number in each layer, which is not read"))
            }
            (None, other) => match other.as_f64().filter(|number| number.is_finite()) {
                Some(number) => Ok(json!(number)),
                None => Err(self.wrong(ending, "is no number")),
            },
        }
    }

    /// The width of the part of a head that is rotated must be that of the head, and that of its values, too.
    fn check_heads(&self) -> Result<(), GgufModelError> {
        let whole = |ending: &str| self.get(ending).and_then(GgufValue::as_u64);
        let divided = || whole("embedding_length")?.checked_div(whole("attention.head_count")?);
        let Some(width) = whole("attention.key_length").or_else(divided) else { return Ok(()) };
        for ending in ["rope.dimension_count", "attention.value_length"] {
            match whole(ending) {
                Some(other) if other != width => {
                    return Err(self.wrong(ending, format!("is {other}, where the heads have {width} numbers")));
                }
                _ => {}
            }
        }
        match whole("expert_count") {
            Some(experts) if experts > 0 => Err(self.wrong("expert_count", "is not 0: experts are not read")),
            _ => Ok(()),
        }
    }

    fn check_nothing_is_left(&self) -> Result<(), GgufModelError> {
        let prefix = self.key("");
        let is_known = |ending: &str| {
            LOOKED_AT.contains(&ending) || self.architecture.keys.iter().any(|(known, _)| *known == ending)
        };
        let left = self.values.keys().find(|key| key.strip_prefix(&prefix).is_some_and(|ending| !is_known(ending)));
        left.map_or(Ok(()), |key| Err(GgufModelError::UnknownKey(key.clone())))
    }

    fn rotary_scaling(&self) -> Result<Option<Value>, GgufModelError> {
        let text = self.get("rope.scaling.type").and_then(GgufValue::as_text);
        let number = |ending: &str| self.get(ending).map(|value| self.number(ending, value)).transpose();
        let factor = number("rope.scaling.factor")?;
        Ok(match (text, factor) {
            (None | Some("none"), None) => None,
            // Older files have the factor alone.
            (None | Some("linear"), Some(factor)) => Some(json!({ "rope_type": "linear", "factor": factor })),
            (Some("yarn"), Some(factor)) => Some(json!({
                "rope_type": "yarn",
                "factor": factor,
                "original_max_position_embeddings": number("rope.scaling.original_context_length")?,
            })),
            (Some(other), _) => {
                return Err(self.wrong("rope.scaling.type", format!("is \"{other}\", which is not read")));
            }
        })
    }
}
