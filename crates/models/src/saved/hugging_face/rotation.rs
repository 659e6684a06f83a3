//! Rotary positions, as `config.json` describes them.

use serde_json::{Value, json};

use super::error::HuggingFaceError;
use super::keys::{Keys, wrong};
use crate::transformer::{LinearScaling, Llama3Scaling, LongRopeScaling, RotaryScaling, YarnScaling};

/// What a table of a rotation says, or what stands where it says nothing.
#[derive(Debug, Clone)]
pub(super) struct Rotation {
    pub(super) base: f64,
    /// The part of a head that is rotated.
    pub(super) fraction: f64,
    pub(super) scaling: Option<RotaryScaling>,
    /// The context before it was stretched, where the table doesn't say it.
    pub(super) original_context: Option<usize>,
    /// The longest text, where the rotation of longer ones isn't there.
    pub(super) longest: Option<usize>,
    /// What the user should know.
    pub(super) warning: Option<String>,
}

impl Rotation {
    /// One that isn't stretched.
    pub(super) fn plain(base: f64, fraction: f64) -> Self {
        Self { base, fraction, scaling: None, original_context: None, longest: None, warning: None }
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
        let original_context =
            inner.whole("original_max_position_embeddings")?.or(self.original_context).unwrap_or(context);
        let (mut warning, mut longest) = (None, None);
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
            "longrope" | "su" => {
                // A longer text has other angles from its first token on.
                let problem = "which is no list of numbers";
                let factors = inner.list("short_factor", Value::as_f64, problem)?;
                let factors = factors.ok_or_else(|| HuggingFaceError::MissingKey(format!("{name}.short_factor")))?;
                inner.list("long_factor", Value::as_f64, problem)?;
                let factor = inner.number("factor")?;
                let factor =
                    if original_context == context { factor.unwrap_or(1.0) } else { ratio(context, original_context) };
                let attention_factor = inner.number("attention_factor")?.unwrap_or(match factor {
                    factor if factor > 1.0 => (1.0 + factor.ln() / (original_context as f64).ln()).sqrt(),
                    _ => 1.0,
                });
                if original_context < context {
                    longest = Some(original_context);
                    let words = "its rotation is another one for longer texts than";
                    warning = Some(format!("{words} {original_context} tokens, which is the longest text here"));
                }
                Some(RotaryScaling::LongRope(LongRopeScaling { factors, attention_factor }))
            }
            _ => return Err(wrong(&format!("{name}.rope_type"), &json!(kind), "which is not supported")),
        };
        inner.finish_within(name, &[])?;
        Ok(Self { base, fraction, scaling, longest, warning, ..self })
    }
}

fn ratio(context: usize, original: usize) -> f64 {
    context as f64 / original as f64
}
