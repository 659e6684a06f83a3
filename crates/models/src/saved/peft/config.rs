//! `adapter_config.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::PeftProblem;
use crate::LoraConfig;
use crate::saved::hugging_face::json as read_json;

/// The name of the file.
pub(super) const CONFIG: &str = "adapter_config.json";
/// It has some dozen keys.
const LONGEST: u64 = 1 << 20;

/// Keys that change nothing when adapters are used: where they come from, how they were begun and trained.
const WITHOUT_EFFECT: [&str; 22] = [
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "ensure_weight_tying",
    "eva_config",
    "exclude_modules",
    "inference_mode",
    "init_lora_weights",
    "layers_pattern",
    "layers_to_transform",
    "loftq_config",
    "lora_dropout",
    "lora_ga_config",
    "megatron_config",
    "megatron_core",
    "peft_type",
    "peft_version",
    "qalora_group_size",
    "rank_pattern",
    "revision",
    "target_modules",
    "task_type",
];

/// First values of adapters that leave the base as it is; the others have changed it.
const FIRST_VALUES: [&str; 4] = ["gaussian", "orthogonal", "eva", "true"];

/// What a file says of adapters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct PeftConfig {
    alpha: f64,
    /// Of modules whose paths end so.
    alphas: BTreeMap<String, f64>,
    is_rank_stabilised: bool,
    pub(super) is_dora: bool,
    pub(super) base: Option<String>,
}

impl PeftConfig {
    /// That of a folder.
    pub(super) fn read(folder: &Path) -> Result<Self, PeftProblem> {
        let value = read_json(folder, CONFIG, LONGEST).map_err(PeftProblem::Config)?;
        let table = value.as_object().ok_or_else(|| PeftProblem::Config("is no table".to_owned()))?;
        let kind = table.get("peft_type").ok_or(PeftProblem::Missing("peft_type"))?;
        if kind != "LORA" {
            return Err(PeftProblem::Kind(kind.to_string()));
        }
        for (key, value) in table.iter().filter(|(key, _)| !WITHOUT_EFFECT.contains(&key.as_str())) {
            let is_known = ["r", "lora_alpha", "alpha_pattern", "use_rslora", "use_dora", "fan_in_fan_out"]
                .contains(&key.as_str());
            let is_none = key == "bias" && value == "none";
            if !is_known && !is_none && has_effect(value) {
                return Err(PeftProblem::Key { key: key.clone(), value: value.to_string() });
            }
        }
        if let Some(Value::String(first)) = table.get("init_lora_weights")
            && !FIRST_VALUES.contains(&first.as_str())
        {
            return Err(PeftProblem::Key { key: "init_lora_weights".to_owned(), value: format!("\"{first}\"") });
        }
        let rank = table.get("r").ok_or(PeftProblem::Missing("r"))?;
        if rank.as_u64().is_none_or(|rank| rank == 0) {
            return Err(PeftProblem::Value { key: "r".to_owned(), value: rank.to_string() });
        }
        let mut alphas = BTreeMap::new();
        if let Some(Value::Object(patterns)) = table.get("alpha_pattern") {
            for (pattern, value) in patterns {
                alphas.insert(pattern.clone(), positive(&format!("alpha_pattern.{pattern}"), value)?);
            }
        }
        let is_set = |key: &str| table.get(key).and_then(Value::as_bool).unwrap_or(false);
        Ok(Self {
            alpha: positive("lora_alpha", table.get("lora_alpha").ok_or(PeftProblem::Missing("lora_alpha"))?)?,
            alphas,
            is_rank_stabilised: is_set("use_rslora"),
            is_dora: is_set("use_dora"),
            base: table.get("base_model_name_or_path").and_then(Value::as_str).map(str::to_owned),
        })
    }

    /// s of a module with adapters of this rank.
    pub(super) fn scale(&self, module: &str, rank: usize) -> f64 {
        let fits = |pattern: &str| module == pattern || module.ends_with(&format!(".{pattern}"));
        let alpha = self.alphas.iter().find(|(pattern, _)| fits(pattern)).map_or(self.alpha, |(_, alpha)| *alpha);
        let rank = rank as f64;
        alpha / if self.is_rank_stabilised { rank.sqrt() } else { rank }
    }
}

fn has_effect(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(values) => !values.is_empty(),
        Value::Object(values) => !values.is_empty(),
        _ => true,
    }
}

fn positive(key: &str, value: &Value) -> Result<f64, PeftProblem> {
    let number = value.as_f64().filter(|number| *number > 0.0 && number.is_finite());
    number.ok_or_else(|| PeftProblem::Value { key: key.to_owned(), value: value.to_string() })
}

/// A module as it is written.
pub(super) struct Module {
    pub(super) path: String,
    pub(super) rank: usize,
    /// s.
    pub(super) scale: f64,
}

/// The file for adapters of these modules; those that aren't as `config` says are named.
pub(super) fn written(config: &LoraConfig, base: Option<&str>, modules: &[Module], is_transposed: bool) -> Value {
    let mut table = Map::new();
    let (mut ranks, mut alphas) = (Map::new(), Map::new());
    for Module { path, rank, scale } in modules {
        if *rank != config.rank {
            ranks.insert(path.clone(), json!(rank));
        }
        if *rank != config.rank || *scale != config.scale() {
            let rank = *rank as f64;
            alphas.insert(path.clone(), json!(scale * if config.rank_stabilised { rank.sqrt() } else { rank }));
        }
    }
    let paths: Vec<&str> = modules.iter().map(|module| module.path.as_str()).collect();
    for (key, value) in [
        ("peft_type", json!("LORA")),
        ("task_type", json!("CAUSAL_LM")),
        ("base_model_name_or_path", json!(base)),
        ("inference_mode", json!(true)),
        ("r", json!(config.rank)),
        ("lora_alpha", json!(config.alpha.unwrap_or(2.0 * config.rank as f64))),
        ("lora_dropout", json!(config.dropout)),
        ("use_rslora", json!(config.rank_stabilised)),
        ("use_dora", json!(config.dora)),
        ("fan_in_fan_out", json!(is_transposed)),
        ("bias", json!("none")),
        ("rank_pattern", Value::Object(ranks)),
        ("alpha_pattern", Value::Object(alphas)),
        ("target_modules", json!(paths)),
    ] {
        table.insert(key.to_owned(), value);
    }
    Value::Object(table)
}
