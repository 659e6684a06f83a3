//! What a parameter is for.

use serde::Serialize;

/// What a parameter is for, which decides how it is moved: decayed, orthogonalised, frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A table whose rows are looked up.
    Embedding,
    /// A matrix inside the network.
    HiddenMatrix,
    /// The matrix whose outputs are the tokens.
    Head,
    /// A factor of a norm.
    Gain,
    /// Something that is added.
    Bias,
    /// A matrix that is trained beside those that stay as they are.
    Adapter,
    /// A vector that is.
    AdapterVector,
}

impl Role {
    /// The role of the field `name`, with `axes` axes, in a struct, as Burn names it: `Struct:Norm`.
    ///
    /// A struct's name says what it is: the tables are `Embedding`s, the factors of a `Norm` are gains, the matrix of a
    /// `Head` makes logits, everything in an `Adapter` adapts. What is left is a hidden matrix with two axes or more,
    /// and a bias with one.
    pub(crate) fn of(container: &str, name: &str, axes: usize) -> Self {
        match (container.strip_prefix("Struct:").unwrap_or(container), name) {
            ("Adapter", _) if axes < 2 => Self::AdapterVector,
            ("Adapter", _) => Self::Adapter,
            ("Norm", "weight") => Self::Gain,
            _ if axes < 2 => Self::Bias,
            ("Embedding", _) => Self::Embedding,
            ("Head", _) => Self::Head,
            _ => Self::HiddenMatrix,
        }
    }

    /// Whether it belongs to an adapter.
    pub fn is_of_adapter(self) -> bool {
        matches!(self, Self::Adapter | Self::AdapterVector)
    }

    /// Whether it is a matrix: weight decay acts on these alone.
    pub fn is_matrix(self) -> bool {
        match self {
            Self::Embedding | Self::HiddenMatrix | Self::Head | Self::Adapter => true,
            Self::Gain | Self::Bias | Self::AdapterVector => false,
        }
    }
}
