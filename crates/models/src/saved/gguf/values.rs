//! The keys of a `config.json` as the table of a GGUF file.

use std::collections::BTreeMap;

use kiln_storage::formats::gguf::{GgufArray, GgufValue};
use serde_json::Value;

use super::architectures::Architecture;
use super::config::PATTERN;
use super::error::GgufModelError;
use crate::TransformerConfig;
use crate::transformer::AttentionLayer;

impl Architecture {
    /// The values of a file, of the keys of a `config.json` and of the options that they give.
    ///
    /// # Errors
    /// A stretched rotation that has no counterpart.
    pub(super) fn values(
        &self,
        config: &Value,
        options: &TransformerConfig,
    ) -> Result<BTreeMap<String, GgufValue>, GgufModelError> {
        let name = self.name;
        let mut values = BTreeMap::from([("general.architecture".to_owned(), GgufValue::Text(name.to_owned()))]);
        let mut add = |ending: &str, value: GgufValue| _ = values.insert(format!("{name}.{ending}"), value);
        for (ending, key) in self.keys() {
            match config.get(key) {
                Some(Value::Number(found)) => add(ending, number(ending, found)),
                Some(Value::Bool(flag)) => add(ending, GgufValue::Bool(*flag)),
                _ => {}
            }
        }
        let whole = |number: usize| GgufValue::U32(u32::try_from(number).unwrap_or(u32::MAX));
        if config.get("model_type").and_then(Value::as_str) != Some("gpt2") {
            add("rope.dimension_count", whole(options.rotated_columns()));
            add("attention.key_length", whole(options.head_width()));
            add("attention.value_length", whole(options.head_width()));
        }
        if self.global_every.is_some() && options.attention_window.is_some() {
            let is_local = |layer| options.layer(layer) == AttentionLayer::Local;
            let pattern = (0..options.layers).map(is_local).collect();
            add(PATTERN, GgufValue::Array(GgufArray::Flags(pattern)));
        }
        if let Some(scaling) = config.get("rope_scaling") {
            values.extend(self.scaling_values(scaling)?);
        }
        Ok(values)
    }

    fn scaling_values(&self, scaling: &Value) -> Result<Vec<(String, GgufValue)>, GgufModelError> {
        let key = |ending: &str| format!("{}.rope.scaling.{ending}", self.name);
        let kind = scaling.get("rope_type").and_then(Value::as_str).unwrap_or_default();
        let float = |name: &str| scaling.get(name).and_then(Value::as_f64).map(|number| GgufValue::F32(number as f32));
        let factor = float("factor").unwrap_or(GgufValue::F32(1.0));
        let mut values = vec![(key("type"), GgufValue::Text(kind.to_owned())), (key("factor"), factor)];
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

/// Whole numbers may still be those of a key that is a float.
fn number(ending: &str, number: &serde_json::Number) -> GgufValue {
    let is_float = ["epsilon", "freq_base", "freq_base_swa", "softcapping"].iter().any(|end| ending.ends_with(end));
    match number.as_u64().and_then(|whole| u32::try_from(whole).ok()) {
        Some(whole) if !is_float => GgufValue::U32(whole),
        _ => GgufValue::F32(number.as_f64().unwrap_or_default() as f32),
    }
}
