//! The choices that `[model.transformer]` has.

use serde::{Deserialize, Serialize};

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
    /// max(x, 0), as Vaswani et al. 2017 have it.
    Relu,
    /// max(x, 0)^2 (So et al. 2021, <https://arxiv.org/abs/2109.08668>).
    ReluSquared,
    /// silu(x G) * (x U), with a third matrix (Shazeer 2020, <https://arxiv.org/abs/2002.05202>).
    Swiglu,
    /// The same with GPT-2's GELU in the place of silu, as Gemma has it.
    GegluTanh,
}

impl FeedForwardActivation {
    /// The usual width inside the feed-forward part of a stream of `width`: 4 times as much; with gates 8/3 times,
    /// rounded up to a multiple of 8, which costs as many parameters.
    pub(crate) fn usual_width(self, width: usize) -> usize {
        if self.has_gates() { (8 * width).div_ceil(3).next_multiple_of(8) } else { 4 * width }
    }

    /// Whether a third matrix makes gates.
    pub fn has_gates(self) -> bool {
        matches!(self, Self::Swiglu | Self::GegluTanh)
    }
}

/// Where a block's norms stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormPlacement {
    /// x + part(norm(x)) (Xiong et al. 2020, <https://arxiv.org/abs/2002.04745>).
    #[default]
    Before,
    /// x + norm(part(x)) (OLMo 2, <https://arxiv.org/abs/2501.00656>).
    After,
    /// x + norm(part(norm(x))) (Gemma 2, <https://arxiv.org/abs/2408.00118>).
    Both,
}

impl NormPlacement {
    /// Whether there is a norm before each part, and whether there is one after it.
    pub(crate) fn places(self) -> [bool; 2] {
        [self != Self::After, self != Self::Before]
    }
}

/// What the norms of queries and keys run over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QueryKeyNormSpan {
    /// Each head by itself, with the same weights (Qwen 3, Gemma 3).
    #[default]
    Head,
    /// All heads together, each with weights of its own (OLMo 2).
    AllHeads,
}

/// What the attention of a layer sees, and how it knows where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionLayer {
    /// All tokens up to its own.
    Global,
    /// As many of them as `attention-window` says.
    Local,
    /// All of them, without rotary positions (Kazemnejad et al. 2023, <https://arxiv.org/abs/2305.19466>; SmolLM 3).
    Unrotated,
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
