//! Rotary positions, as `config.json` describes them.

use serde_json::{Value, json};

use super::error::HuggingFaceError;
use super::keys::{Keys, wrong};
use crate::transformer::{LinearScaling, Llama3Scaling, RotaryScaling, YarnScaling};

/// What a table of a rotation says, or what stands where it says nothing.
#[derive(Debug, Clone)]
pub(super) struct Rotation {
    pub(super) base: f64,
    /// The part of a head that is rotated.
    pub(super) fraction: f64,
    pub(super) scaling: Option<RotaryScaling>,
    /// What the user should know.
    pub(super) warning: Option<String>,
}

impl Rotation {
    /// One that isn't stretched.
    pub(super) fn plain(base: f64, fraction: f64) -> Self {
        Self { base, fraction, scaling: None, warning: None }
    }

    /// The rotation of all layers, in the old form (`rope_theta`, `rope_scaling`) or in the new one
    /// (`rope_parameters`); `self` is what stands where a key is missing.
    pub(super) fn read(self, keys: &Keys<'_>, context: usize) -> Result<Self, HuggingFaceError> {
        let base = keys.number("rope_theta")?.unwrap_or(self.base);
        let fraction = keys.number("partial_rotary_factor")?.unwrap_or(self.fraction);
        let plain = Self { base, fraction, ..self };
        let (old, new) = (keys.get("rope_scaling"), keys.get("rope_parameters"));
        match (old, new) {
            (_, Some(table)) => plain.of_table("rope_parameters", table, context),
            (Some(table), None) => plain.of_table("rope_scaling", table, context),
            (None, None) => Ok(plain),
        }
    }

    /// The rotations of global and of local layers, as Gemma 3 has them.
    pub(super) fn of_layers(keys: &Keys<'_>, context: usize) -> Result<[Self; 2], HuggingFaceError> {
        let base = |key: &str, absent: f64| keys.number(key).map(|base| base.unwrap_or(absent));
        let global = Self::plain(base("rope_theta", 1e6)?, 1.0);
        let local = Self::plain(base("rope_local_base_freq", 1e4)?, 1.0);
        let old = keys.get("rope_scaling");
        let Some(tables) = keys.table("rope_parameters")? else {
            let global = match old {
                Some(table) => global.of_table("rope_scaling", table, context)?,
                None => global,
            };
            return Ok([global, local]);
        };
        let of_layer = |plain: Self, key: &str| match tables.get(key) {
            Some(table) => plain.of_table(&format!("rope_parameters.{key}"), table, context),
            None => Ok(plain),
        };
        let found = [of_layer(global, "full_attention")?, of_layer(local, "sliding_attention")?];
        if found[1].scaling.is_some() {
            let table = tables.get("sliding_attention").unwrap_or(&Value::Null);
            return Err(wrong("rope_parameters.sliding_attention", table, "and local layers are not stretched here"));
        }
        tables.finish_within("rope_parameters", &[])?;
        Ok(found)
    }

    fn of_table(self, name: &str, table: &Value, context: usize) -> Result<Self, HuggingFaceError> {
        let table = table.as_object().ok_or_else(|| wrong(name, table, "which is no table"))?;
        let inner = Keys::new(table);
        let base = inner.number("rope_theta")?.unwrap_or(self.base);
        let fraction = inner.number("partial_rotary_factor")?.unwrap_or(self.fraction);
        let (new_kind, old_kind) = (inner.text("rope_type")?, inner.text("type")?);
        let kind = new_kind.or(old_kind).unwrap_or_else(|| "default".to_owned());
        let needed =
            |key: &str| inner.number(key)?.ok_or_else(|| HuggingFaceError::MissingKey(format!("{name}.{key}")));
        let original_context = inner.whole("original_max_position_embeddings")?.unwrap_or(context);
        let mut warning = None;
        let scaling = match kind.as_str() {
            "default" => None,
            "linear" => Some(RotaryScaling::Linear(LinearScaling { factor: needed("factor")? })),
            "dynamic" => {
                // It begins beyond the context, and changes the keys of tokens that were read before.
                needed("factor")?;
                let words = "its rotation is stretched for longer texts than";
                warning = Some(format!("{words} {context} tokens, which is the longest text here"));
                None
            }
            "llama3" => Some(RotaryScaling::Llama3(Llama3Scaling {
                factor: needed("factor")?,
                low_frequency_factor: needed("low_freq_factor")?,
                high_frequency_factor: needed("high_freq_factor")?,
                original_context,
            })),
            "yarn" => Some(RotaryScaling::Yarn(YarnScaling {
                factor: needed("factor")?,
                original_context,
                fast: inner.number("beta_fast")?.unwrap_or(32.0),
                slow: inner.number("beta_slow")?.unwrap_or(1.0),
                attention_factor: inner.number("attention_factor")?,
            })),
            _ => return Err(wrong(&format!("{name}.rope_type"), &json!(kind), "which is not supported")),
        };
        inner.finish_within(name, &[])?;
        Ok(Self { base, fraction, scaling, warning })
    }
}
