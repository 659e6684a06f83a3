//! The sizes of a model, from the table of a GGUF file to the keys of a `config.json`, which is then read as any other.

use std::collections::BTreeMap;

use kiln_storage::formats::gguf::{GgufArray, GgufValue};
use serde_json::{Map, Value, json};

use super::architectures::{Architecture, HeadWeights, WINDOW};
use super::error::GgufModelError;

/// Values of an architecture that change nothing, or that are looked at one by one.
const LOOKED_AT: [&str; 12] = [
    "attention.causal",
    "attention.key_length",
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

/// Most layers that are read where each has a kind.
const MOST_LAYERS: u64 = 1 << 16;

/// What follows the architecture's name in the key of which layers have a window.
pub(super) const PATTERN: &str = "attention.sliding_window_pattern";

const SLIDING: &str = "sliding_attention";

/// The part of `width` columns of which the whole columns are `rotated`.
fn fraction(rotated: u64, width: u64) -> f64 {
    let fraction = rotated as f64 / width.max(1) as f64;
    if ((width as f64 * fraction) as u64) < rotated { fraction.next_up() } else { fraction }
}

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
        let architecture = Architecture::named(found, values.contains_key(&format!("{found}.{WINDOW}")));
        let unknown =
            || GgufModelError::UnknownArchitecture { found: found.to_owned(), known: Architecture::all_names() };
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
        for (ending, key) in self.architecture.keys() {
            if let Some(value) = self.get(ending) {
                config.insert((*key).to_owned(), self.value(ending, value)?);
            }
        }
        for (key, text) in self.architecture.fixed {
            config.insert((*key).to_owned(), json!(text));
        }
        let is_tied = match self.architecture.head {
            HeadWeights::Optional => !has("output.weight"),
            HeadWeights::Own => false,
            HeadWeights::Tied => true,
        };
        config.insert("model_type".to_owned(), json!(self.architecture.model_type));
        config.insert("vocab_size".to_owned(), json!(rows));
        config.insert("tie_word_embeddings".to_owned(), json!(is_tied));
        self.check_heads()?;
        self.check_nothing_is_left()?;
        config.extend(self.by_architecture(has)?);
        if let Some(scaling) = self.rotary_scaling()? {
            config.insert("rope_scaling".to_owned(), scaling);
        }
        Ok(Value::Object(config))
    }

    /// The keys that have no value of their own.
    fn by_architecture(&self, has: impl Fn(&str) -> bool) -> Result<Map<String, Value>, GgufModelError> {
        let mut config = Map::new();
        let mut add = |key: &str, value: Value| _ = config.insert(key.to_owned(), value);
        match self.architecture.model_type {
            "llama" | "mistral" => add("attention_bias", json!(has("blk.0.attn_q.bias"))),
            "gpt_neox" => add("attention_bias", json!(has("blk.0.attn_qkv.bias"))),
            "stablelm" => {
                // As `llama.cpp` has it, whatever `use_parallel_residual` says.
                add("use_parallel_residual", json!(!has("blk.0.ffn_norm.weight")));
                add("use_qkv_bias", json!(has("blk.0.attn_q.bias")));
                add("qk_layernorm", json!(has("blk.0.attn_q_norm.weight")));
            }
            "gemma2" | "gemma3_text" => {
                let kinds = self.layer_types()?;
                let window = self.window().filter(|_| kinds.contains(&SLIDING));
                add("sliding_window", json!(window));
                add("layer_types", json!(kinds));
                if let Some(scalar) = self.query_scalar() {
                    add("query_pre_attn_scalar", json!(scalar));
                }
            }
            "phi3" => add("sliding_window", json!(self.window())),
            _ => {}
        }
        if let (true, Some(rotated), Some(width)) =
            (self.architecture.rotates_part, self.whole("rope.dimension_count"), self.head_width())
        {
            add("partial_rotary_factor", json!(fraction(rotated, width)));
        }
        Ok(config)
    }

    /// Of 0 tokens is none.
    fn window(&self) -> Option<u64> {
        let said = self.get(WINDOW).and_then(GgufValue::as_u64);
        said.or(self.architecture.window.map(|window| window as u64)).filter(|window| *window > 0)
    }

    /// Which layers have a window: by a list, or by how many stand between two that have none.
    fn layer_types(&self) -> Result<Vec<&'static str>, GgufModelError> {
        let kind = |is_local: bool| if is_local { SLIDING } else { "full_attention" };
        let layers = self.whole("block_count").unwrap_or_default();
        if layers > MOST_LAYERS {
            return Err(self.wrong("block_count", format!("is {layers}, and at most {MOST_LAYERS} layers are read")));
        }
        if self.window().is_none() {
            return Ok(vec![kind(false); layers as usize]);
        }
        match self.get(PATTERN) {
            Some(GgufValue::Array(GgufArray::Flags(flags))) => Ok(flags.iter().map(|flag| kind(*flag)).collect()),
            Some(GgufValue::Array(GgufArray::Whole(flags))) => Ok(flags.iter().map(|flag| kind(*flag != 0)).collect()),
            said => {
                let default = self.architecture.global_every.map(|period| period as u64);
                let period = said.map_or(default, GgufValue::as_u64).filter(|period| *period > 0);
                let period = period.ok_or_else(|| self.wrong(PATTERN, "is neither a list nor a number above 0"))?;
                Ok((1..=layers).map(|layer| kind(!layer.is_multiple_of(period))).collect())
            }
        }
    }

    /// What the products of queries and keys are divided by the root of. No value says it: the largest models divide
    /// by the width of the stream over the heads, and `llama.cpp` knows them by their layers.
    fn query_scalar(&self) -> Option<u64> {
        let largest = if self.architecture.name == "gemma2" { 46 } else { 62 };
        if self.whole("block_count") == Some(largest) { self.divided_width() } else { self.head_width() }
    }

    fn whole(&self, ending: &str) -> Option<u64> {
        self.get(ending).and_then(GgufValue::as_u64)
    }

    fn divided_width(&self) -> Option<u64> {
        self.whole("embedding_length")?.checked_div(self.whole("attention.head_count")?)
    }

    fn head_width(&self) -> Option<u64> {
        const KEY: &str = "attention.key_length";
        let said = self.whole(KEY).filter(|_| self.architecture.has_key(KEY));
        said.or_else(|| self.divided_width())
    }

    fn value(&self, ending: &str, value: &GgufValue) -> Result<Value, GgufModelError> {
        match value {
            GgufValue::Bool(flag) => Ok(json!(flag)),
            // No window is none of 0 tokens.
            _ if ending == WINDOW && value.as_u64() == Some(0) => Ok(Value::Null),
            _ => self.number(ending, value),
        }
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
        let Some(width) = self.head_width() else { return Ok(()) };
        let same: &[&str] = if self.architecture.rotates_part {
            &["attention.key_length", "attention.value_length"]
        } else {
            &["attention.key_length", "attention.value_length", "rope.dimension_count"]
        };
        for ending in same {
            match self.whole(ending) {
                Some(other) if other != width => {
                    return Err(self.wrong(ending, format!("is {other}, where the heads have {width} numbers")));
                }
                _ => {}
            }
        }
        match self.whole("expert_count") {
            Some(experts) if experts > 0 => Err(self.wrong("expert_count", "is not 0: experts are not read")),
            _ => Ok(()),
        }
    }

    fn check_nothing_is_left(&self) -> Result<(), GgufModelError> {
        let prefix = self.key("");
        let is_known = |ending: &str| {
            LOOKED_AT.contains(&ending)
                || self.architecture.has_key(ending)
                || (ending == PATTERN && self.architecture.global_every.is_some())
                || (ending == "use_parallel_residual" && self.architecture.name == "stablelm")
        };
        let left = self.values.keys().find(|key| key.strip_prefix(&prefix).is_some_and(|ending| !is_known(ending)));
        left.map_or(Ok(()), |key| Err(GgufModelError::UnknownKey(key.clone())))
    }

    fn rotary_scaling(&self) -> Result<Option<Value>, GgufModelError> {
        const FACTOR: &str = "rope.scaling.attn_factor";
        let text = self.get("rope.scaling.type").and_then(GgufValue::as_text);
        let number = |ending: &str| self.get(ending).map(|value| self.number(ending, value)).transpose();
        let factor = number("rope.scaling.factor")?;
        if let Some(other) = self.get(FACTOR).and_then(GgufValue::as_f64).filter(|factor| *factor != 1.0) {
            return Err(self.wrong(FACTOR, format!("is {other}, and only 1 is read")));
        }
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
