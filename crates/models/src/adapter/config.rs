//! `[adapter.*]`: what is trained beside matrices that stay as they are.

use kiln_settings::{Violation, rules};
use serde::{Deserialize, Serialize};

/// The adapters of a model: one table under `[adapter]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AdapterConfig {
    /// Products of two thin matrices.
    Lora(LoraConfig),
}

/// `[adapter.lora]`: y = x W + b becomes y = x W + b + s x A B, of which A `[in, r]` and B `[r, out]` are trained (Hu
/// et al. 2021, <https://arxiv.org/abs/2106.09685>).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LoraConfig {
    /// r, at least 1 and at most the smaller side of each matrix.
    pub rank: usize,
    /// alpha, above 0; s is alpha / r. Default: 2 r.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alpha: Option<f64>,
    /// How likely a number of x is dropped before A while training, in [0, 1). Default `0.0`.
    #[serde(default)]
    pub dropout: f64,
    /// Patterns of the matrices that get an adapter, `*` standing for any characters. Default `["*"]`: those of all
    /// layers that aren't multiplied with a layer's own state.
    #[serde(default = "all")]
    pub targets: Vec<String>,
    /// Whether s is alpha / sqrt(r) (Kalajdzievski 2023, <https://arxiv.org/abs/2312.03732>). Default `false`.
    #[serde(default)]
    pub rank_stabilised: bool,
    /// Whether the length of each column of W + s A B is trained by itself (DoRA; Liu et al. 2024,
    /// <https://arxiv.org/abs/2402.09353>). Default `false`.
    #[serde(default)]
    pub dora: bool,
}

fn all() -> Vec<String> {
    vec!["*".to_owned()]
}

impl AdapterConfig {
    /// Every broken rule, keys relative to `[adapter]`.
    pub fn validate(&self) -> Vec<Violation> {
        let Self::Lora(lora) = self;
        lora.validate().into_iter().map(|violation| violation.under("lora")).collect()
    }

    /// Whether anything is dropped while training.
    pub fn has_dropout(&self) -> bool {
        let Self::Lora(lora) = self;
        lora.dropout > 0.0
    }
}

impl LoraConfig {
    /// That of adapters of this rank at any matrix.
    pub(crate) fn of_rank(rank: usize) -> Self {
        Self { rank, alpha: None, dropout: 0.0, targets: all(), rank_stabilised: false, dora: false }
    }

    fn validate(&self) -> Vec<Violation> {
        let rank = (self.rank == 0).then(|| Violation::new("rank", "must be at least 1, is 0"));
        let alpha = self.alpha.and_then(|alpha| rules::positive("alpha", alpha));
        let dropout = rules::below_one("dropout", &[self.dropout]);
        let nothing = self.targets.is_empty().then(|| {
            Violation::new("targets", "is empty, so that nothing would be trained").with_help("targets = [\"*\"]")
        });
        let empty = self.targets.iter().enumerate().filter(|(_, pattern)| pattern.is_empty());
        let empty = empty.map(|(index, _)| Violation::new(format!("targets[{index}]"), "is empty, and fits no matrix"));
        [rank, alpha, dropout, nothing].into_iter().flatten().chain(empty).collect()
    }

    /// s.
    pub(crate) fn scale(&self) -> f64 {
        let rank = self.rank as f64;
        self.alpha.unwrap_or(2.0 * rank) / if self.rank_stabilised { rank.sqrt() } else { rank }
    }
}
