//! Rotary positions for contexts longer than those that were trained on.

use std::f64::consts::TAU;

use kiln_settings::Violation;
use kiln_settings::rules::positive;
use serde::{Deserialize, Serialize};

/// `[model.transformer.rotary-scaling.*]`: how the angles of the rotation are made smaller, pair by pair.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum RotaryScaling {
    /// All alike (Chen et al. 2023, <https://arxiv.org/abs/2306.15595>).
    Linear(LinearScaling),
    /// Long wavelengths alone, as in Llama 3.1 (Grattafiori et al. 2024, <https://arxiv.org/abs/2407.21783>).
    Llama3(Llama3Scaling),
    /// Long wavelengths alone, and sharper attention (Peng et al. 2023, YaRN, <https://arxiv.org/abs/2309.00071>).
    Yarn(YarnScaling),
    /// Each pair by a number of its own (Ding et al. 2024, LongRoPE, <https://arxiv.org/abs/2402.13753>).
    LongRope(LongRopeScaling),
}

/// Every angle is divided by `factor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LinearScaling {
    /// How many times longer the context is, > 0.
    pub factor: f64,
}

/// Pairs that turn fewer than `low-frequency-factor` times within the original context are divided by `factor`, those
/// that turn more than `high-frequency-factor` times stay, and those between are mixed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Llama3Scaling {
    /// How many times longer the context is, > 0.
    pub factor: f64,
    /// Turns below which a pair is divided, > 0.
    pub low_frequency_factor: f64,
    /// Turns above which a pair stays, more than `low-frequency-factor`.
    pub high_frequency_factor: f64,
    /// The context before it was stretched, tokens, >= 1.
    pub original_context: usize,
}

/// Pairs that turn fewer than `slow` times within the original context are divided by `factor`, those that turn more
/// than `fast` times stay, and those between are mixed; cosines and sines are multiplied by `attention-factor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct YarnScaling {
    /// How many times longer the context is, > 0.
    pub factor: f64,
    /// The context before it was stretched, tokens, >= 1.
    pub original_context: usize,
    /// Turns above which a pair stays, more than `slow`. Default `32`.
    #[serde(default = "thirty_two")]
    pub fast: f64,
    /// Turns below which a pair is divided, > 0. Default `1`.
    #[serde(default = "one")]
    pub slow: f64,
    /// What cosines and sines are multiplied by, > 0. Default: 1 + 0.1 ln(factor), and 1 for a factor of at most 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention_factor: Option<f64>,
}

/// The angle of each pair is divided by a number of its own; cosines and sines are multiplied by `attention-factor`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LongRopeScaling {
    /// What the angles are divided by, a number > 0 for each pair of columns that is rotated.
    pub factors: Vec<f64>,
    /// What cosines and sines are multiplied by, > 0. Default `1`.
    #[serde(default = "one")]
    pub attention_factor: f64,
}

fn thirty_two() -> f64 {
    32.0
}

fn one() -> f64 {
    1.0
}

impl RotaryScaling {
    /// Every broken rule, where `pairs` are rotated.
    pub(super) fn validate(&self, pairs: usize) -> Vec<Violation> {
        let context =
            |tokens: usize| (tokens == 0).then(|| Violation::new("original-context", "must be 1 or more, is 0"));
        let above = |key: &str, larger: f64, smaller: f64| {
            (larger <= smaller).then(|| Violation::new(key, format!("must be above {smaller}, is {larger}")))
        };
        let (name, rules) = match self {
            Self::Linear(linear) => ("linear", vec![positive("factor", linear.factor)]),
            Self::Llama3(llama) => (
                "llama3",
                vec![
                    positive("factor", llama.factor),
                    positive("low-frequency-factor", llama.low_frequency_factor),
                    above("high-frequency-factor", llama.high_frequency_factor, llama.low_frequency_factor),
                    context(llama.original_context),
                ],
            ),
            Self::Yarn(yarn) => (
                "yarn",
                vec![
                    positive("factor", yarn.factor),
                    positive("slow", yarn.slow),
                    above("fast", yarn.fast, yarn.slow),
                    yarn.attention_factor.and_then(|factor| positive("attention-factor", factor)),
                    context(yarn.original_context),
                ],
            ),
            Self::LongRope(long) => (
                "long-rope",
                vec![
                    long.factors.iter().find_map(|factor| positive("factors", *factor)),
                    (long.factors.len() != pairs).then(|| {
                        let found = long.factors.len();
                        Violation::new("factors", format!("must have a number for each of {pairs} pairs, has {found}"))
                    }),
                    positive("attention-factor", long.attention_factor),
                ],
            ),
        };
        rules.into_iter().flatten().map(|violation| violation.under(name)).collect()
    }

    /// The angle that a pair turns by with each token; `angle` is that without scaling, base^(-2 pair / R).
    pub(crate) fn angle(&self, angle: f64, pair: usize, rotated: usize, base: f64) -> f64 {
        match self {
            Self::Linear(linear) => angle / linear.factor,
            Self::Llama3(llama) => llama.angle(angle),
            Self::Yarn(yarn) => yarn.angle(angle, pair, rotated, base),
            Self::LongRope(long) => angle / long.factors.get(pair).copied().unwrap_or(1.0),
        }
    }

    /// What cosines and sines are multiplied by.
    pub(super) fn attention_factor(&self) -> f64 {
        match self {
            Self::Linear(_) | Self::Llama3(_) => 1.0,
            Self::Yarn(yarn) => {
                yarn.attention_factor.unwrap_or(if yarn.factor <= 1.0 { 1.0 } else { 0.1 * yarn.factor.ln() + 1.0 })
            }
            Self::LongRope(long) => long.attention_factor,
        }
    }
}

impl Llama3Scaling {
    fn angle(&self, angle: f64) -> f64 {
        let turns = self.original_context as f64 * angle / TAU;
        let kept = (turns - self.low_frequency_factor) / (self.high_frequency_factor - self.low_frequency_factor);
        mixed(kept.clamp(0.0, 1.0), angle, self.factor)
    }
}

impl YarnScaling {
    /// The pair that turns `turns` times within the original context, as a number between pairs.
    fn pair_of(&self, turns: f64, rotated: usize, base: f64) -> f64 {
        rotated as f64 * (self.original_context as f64 / (turns * TAU)).ln() / (2.0 * base.ln())
    }

    fn angle(&self, angle: f64, pair: usize, rotated: usize, base: f64) -> f64 {
        let first = self.pair_of(self.fast, rotated, base).floor().max(0.0);
        let last = self.pair_of(self.slow, rotated, base).ceil().min(rotated as f64 - 1.0);
        // As the authors' code has it: a ramp of no width would divide by nothing.
        let width = if first == last { 0.001 } else { last - first };
        let divided = ((pair as f64 - first) / width).clamp(0.0, 1.0);
        mixed(1.0 - divided, angle, self.factor)
    }
}

/// `kept` parts of the angle, the others of the angle divided by `factor`.
fn mixed(kept: f64, angle: f64, factor: f64) -> f64 {
    kept * angle + (1.0 - kept) * angle / factor
}
