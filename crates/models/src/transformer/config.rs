//! `[model.transformer]`: its keys, defaults, rules and sizes.

use kiln_parameters::{PartCount, Role};
use kiln_settings::Violation;
use kiln_settings::rules::{positive, probability, size};
use serde::{Deserialize, Serialize};

use super::scaling::RotaryScaling;
use crate::counting::TrainingCosts;
use crate::family::Family;

/// How a token knows where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PositionKind {
    /// A trained vector for each position, added to the token's.
    #[default]
    Learned,
    /// Queries and keys rotated by an angle proportional to the position (Su et al. 2021,
    /// <https://arxiv.org/abs/2104.09864>).
    Rotary,
}

/// How activations are brought to unit size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormKind {
    /// Mean 0 and variance 1 (Ba et al. 2016, <https://arxiv.org/abs/1607.06450>).
    #[default]
    Layer,
    /// Mean square 1 (Zhang and Sennrich 2019, <https://arxiv.org/abs/1910.07467>).
    Rms,
}

/// The function inside the feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FeedForwardActivation {
    /// x Phi(x), exact (Hendrycks and Gimpel 2016, <https://arxiv.org/abs/1606.08415>).
    #[default]
    Gelu,
    /// The same with Phi approximated by a tanh, as GPT-2 has it.
    GeluTanh,
    /// max(x, 0)^2 (So et al. 2021, <https://arxiv.org/abs/2109.08668>).
    ReluSquared,
    /// silu(x G) * (x U), with a third matrix (Shazeer 2020, <https://arxiv.org/abs/2002.05202>).
    Swiglu,
}

/// Which projections of the attention have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionBias {
    /// None.
    None,
    /// The ones that give queries, keys and values.
    QueryKeyValue,
    /// These and the last.
    All,
}

/// `[model.transformer]`: a decoder transformer. The defaults are nanoGPT's for characters, 10.8 million parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TransformerConfig {
    /// Blocks, one above the other. Default 6.
    pub layers: usize,
    /// Heads of attention; must divide `width`. Default 6.
    pub heads: usize,
    /// Heads that keys and values have; must divide `heads`. Fewer than `heads` is grouped-query attention
    /// (Ainslie et al. 2023, <https://arxiv.org/abs/2305.13245>). Default: the same as `heads`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_value_heads: Option<usize>,
    /// Width of the residual stream. Default 384.
    pub width: usize,
    /// Width of one head (Qwen 3, Gemma). Default `width` / `heads`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_width: Option<usize>,
    /// Width inside the feed-forward part. Default 4 `width`; with "swiglu" 8/3 `width` rounded up to a multiple of 8,
    /// which costs as many parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feed_forward: Option<usize>,
    /// "learned" or "rotary". Default "learned".
    pub position: PositionKind,
    /// Slowest wavelength of the rotation is 2 pi times about this many tokens; only with `position = "rotary"`.
    /// Default 10000.
    pub rotary_base: f64,
    /// How the wavelengths of the rotation are stretched for a longer context; only with `position = "rotary"`.
    /// Default: not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotary_scaling: Option<RotaryScaling>,
    /// "layer" or "rms". Default "layer".
    pub norm: NormKind,
    /// Added to the variance or mean square before its root. Default 1e-5.
    pub norm_epsilon: f64,
    /// "gelu", "gelu-tanh", "relu-squared" or "swiglu". Default "gelu".
    pub activation: FeedForwardActivation,
    /// Whether projections and layer norms have biases. Default false.
    pub bias: bool,
    /// Which projections of the attention have biases: "none", "query-key-value" (Qwen 2) or "all". Default: "all" with
    /// `bias`, "none" without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_bias: Option<AttentionBias>,
    /// Whether the head multiplies with the token embedding's table instead of its own weights. Default true.
    pub tied: bool,
    /// Whether queries and keys are normalised over each head before they meet (Dehghani et al. 2023,
    /// <https://arxiv.org/abs/2302.05442>), by an RMS norm with weights. Default false.
    pub query_key_norm: bool,
    /// c in s -> c tanh(s / c) on attention scores (Gemma 2, <https://arxiv.org/abs/2408.00118>). Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attention_soft_cap: Option<f64>,
    /// The same on the logits. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logit_soft_cap: Option<f64>,
    /// Probability that a number is dropped while training: after the embeddings, in the attention's weights, and at
    /// the end of each attention and feed-forward part. Default 0.
    pub dropout: f64,
}

impl Default for TransformerConfig {
    fn default() -> Self {
        Self {
            layers: 6,
            heads: 6,
            key_value_heads: None,
            width: 384,
            head_width: None,
            feed_forward: None,
            position: PositionKind::Learned,
            rotary_base: 10000.0,
            rotary_scaling: None,
            norm: NormKind::Layer,
            norm_epsilon: 1e-5,
            activation: FeedForwardActivation::Gelu,
            bias: false,
            attention_bias: None,
            tied: true,
            query_key_norm: false,
            attention_soft_cap: None,
            logit_soft_cap: None,
            dropout: 0.0,
        }
    }
}

impl TransformerConfig {
    fn check_heads(&self, violations: &mut Vec<Violation>) {
        let (heads, width) = (self.heads, self.width);
        if heads == 0 || width == 0 {
            return;
        }
        if self.head_width.is_none() && !width.is_multiple_of(heads) {
            let violation = Violation::new("heads", format!("must divide width ({width}), is {heads}"));
            violations.push(violation.with_help(divisors_help(width, heads)));
        } else if self.position == PositionKind::Rotary && !self.head_width().is_multiple_of(2) {
            let message =
                format!("gives heads of width {}, but rotary positions need an even width", self.head_width());
            violations.push(
                Violation::new("heads", message).with_help("change heads or width, or use position = \"learned\""),
            );
        }
        if let Some(key_value_heads) = self.key_value_heads
            && (key_value_heads == 0 || !heads.is_multiple_of(key_value_heads))
        {
            let violation =
                Violation::new("key-value-heads", format!("must divide heads ({heads}), is {key_value_heads}"));
            violations.push(violation.with_help(divisors_help(heads, key_value_heads)));
        }
    }

    /// Width of one head, D.
    pub fn head_width(&self) -> usize {
        self.head_width.unwrap_or(self.width / self.heads)
    }

    /// Width of all query heads side by side, which is what attention gives.
    pub fn attention_width(&self) -> usize {
        self.heads * self.head_width()
    }

    /// Whether the product that gives queries, keys and values has biases, and whether that at the end of attention.
    pub(crate) fn attention_biases(&self) -> [bool; 2] {
        match self.attention_bias {
            None => [self.bias, self.bias],
            Some(AttentionBias::None) => [false, false],
            Some(AttentionBias::QueryKeyValue) => [true, false],
            Some(AttentionBias::All) => [true, true],
        }
    }

    /// Heads of keys and values.
    pub fn key_value_heads(&self) -> usize {
        self.key_value_heads.unwrap_or(self.heads)
    }

    /// Width inside the feed-forward part, F.
    pub fn feed_forward_width(&self) -> usize {
        self.feed_forward.unwrap_or(match self.activation {
            FeedForwardActivation::Swiglu => (8 * self.width).div_ceil(3).next_multiple_of(8),
            _ => 4 * self.width,
        })
    }

    /// Columns of the feed-forward part's first matrix: with SwiGLU gate and up side by side.
    pub(super) fn feed_forward_columns(&self) -> usize {
        match self.activation {
            FeedForwardActivation::Swiglu => 2 * self.feed_forward_width(),
            _ => self.feed_forward_width(),
        }
    }

    /// Columns of the fused query, key and value product.
    pub(super) fn query_key_value_columns(&self) -> usize {
        (self.heads + 2 * self.key_value_heads()) * self.head_width()
    }
}

impl Family for TransformerConfig {
    fn name(&self) -> &'static str {
        "transformer"
    }

    fn validate(&self) -> Vec<Violation> {
        let sizes = [
            size("layers", self.layers, 1024),
            size("heads", self.heads, 1 << 12),
            size("width", self.width, 1 << 17),
            self.head_width.and_then(|width| size("head-width", width, 1 << 16)),
            self.feed_forward.and_then(|inner| size("feed-forward", inner, 1 << 20)),
            positive("rotary-base", self.rotary_base),
            positive("norm-epsilon", self.norm_epsilon),
            probability("dropout", self.dropout),
            self.attention_soft_cap.and_then(|cap| positive("attention-soft-cap", cap)),
            self.logit_soft_cap.and_then(|cap| positive("logit-soft-cap", cap)),
        ];
        let mut violations: Vec<Violation> = sizes.into_iter().flatten().collect();
        self.check_heads(&mut violations);
        if let Some(scaling) = &self.rotary_scaling {
            let learned = (self.position == PositionKind::Learned).then(|| {
                Violation::new("rotary-scaling", "stretches a rotation, but `position` is \"learned\"")
                    .with_help("write `position = \"rotary\"`")
            });
            violations.extend(learned);
            violations.extend(scaling.validate().into_iter().map(|violation| violation.under("rotary-scaling")));
        }
        violations
    }

    fn parameters(&self, vocabulary: usize, context: usize) -> Vec<PartCount> {
        let [layers, width, vocabulary, context] = [self.layers, self.width, vocabulary, context].map(|n| n as u64);
        let biases = |count: u64| if self.bias { count } else { 0 };
        let norm_bias = if self.norm == NormKind::Layer { biases(width) } else { 0 };
        let norm = [(Role::Gain, width), (Role::Bias, norm_bias)];
        let (columns, inner) = (self.query_key_value_columns() as u64, self.feed_forward_columns() as u64);
        let query_key_norms = if self.query_key_norm { 2 * self.head_width() as u64 } else { 0 };
        let heads = self.attention_width() as u64;
        let [biases_before, biases_after] = self.attention_biases().map(u64::from);
        let attention = [
            (Role::HiddenMatrix, width * (columns + heads)),
            (Role::Bias, biases_before * columns + biases_after * width),
            (Role::Gain, query_key_norms),
        ];
        let feed_forward = [
            (Role::HiddenMatrix, width * (inner + self.feed_forward_width() as u64)),
            (Role::Bias, biases(inner + width)),
        ];
        let block = |name: &str, roles: &[(Role, u64)]| {
            let roles: Vec<_> = roles.iter().map(|(role, count)| (*role, layers * count)).collect();
            PartCount::new(format!("blocks.*.{name}"), &roles)
        };
        let table = |name: &str, rows: u64| PartCount::new(name, &[(Role::Embedding, rows * width)]);
        let mut parts = vec![table("token_embedding", vocabulary)];
        if self.position == PositionKind::Learned {
            parts.push(table("position_embedding", context));
        }
        parts.push(block("attention_norm", &norm));
        parts.push(block("attention", &attention));
        parts.push(block("feed_forward_norm", &norm));
        parts.push(block("feed_forward", &feed_forward));
        parts.push(PartCount::new("final_norm", &norm));
        if !self.tied {
            parts.push(PartCount::new("output", &[(Role::Head, width * vocabulary)]));
        }
        parts
    }

    /// The projections, and for attention a query with `context` keys and `context` weights with values.
    fn multiply_additions(&self, vocabulary: usize, context: usize) -> u64 {
        let [layers, width, vocabulary, context] = [self.layers, self.width, vocabulary, context].map(|n| n as u64);
        let heads = self.attention_width() as u64;
        let attention = width * (self.query_key_value_columns() as u64 + heads) + 2 * context * heads;
        let feed_forward = width * (self.feed_forward_columns() + self.feed_forward_width()) as u64;
        layers * (attention + feed_forward) + width * vocabulary
    }

    fn carries_state_between_windows(&self) -> bool {
        false
    }

    fn has_dropout(&self) -> bool {
        self.dropout > 0.0
    }

    fn training_costs(&self, batch: usize, context: usize) -> TrainingCosts {
        let [layers, width, heads] = [self.layers, self.width, self.heads].map(|number| number as u64);
        let scores = 5 * heads.saturating_mul(context as u64);
        let head_columns = self.query_key_value_columns() as u64;
        let feed_forward = (self.feed_forward_columns() + self.feed_forward_width()) as u64;
        TrainingCosts {
            // Inputs before and after the norms, queries, keys, values, attention, both sides of the feed-forward
            // part's function and the residuals (Korthikanti et al. 2022, <https://arxiv.org/abs/2205.05198>, section
            // 4.1), and the weights of the attention.
            held_per_token: layers.saturating_mul((34 * width).saturating_add(scores)),
            // The same without the weights of the attention, which can be computed again.
            kept_per_token: layers.saturating_mul(5 * width + head_columns + feed_forward),
            typical_product: [batch.saturating_mul(context), self.width, 4 * self.width],
            operations: 40 * layers,
        }
    }
}

/// The divisors of `number` on both sides of `near`, as advice.
fn divisors_help(number: usize, near: usize) -> String {
    // Beyond what any model has, which a damaged file may say, the search would take minutes.
    const LARGEST: usize = 1 << 20;
    let below = (1..near.min(LARGEST)).rev().find(|&candidate| number.is_multiple_of(candidate));
    let above = (near.saturating_add(1)..=number.min(LARGEST)).find(|&candidate| number.is_multiple_of(candidate));
    let choices: Vec<String> = below.into_iter().chain(above).map(|choice| choice.to_string()).collect();
    format!("the nearest that do: {}", choices.join(" and "))
}
