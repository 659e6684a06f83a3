//! What can be wrong with the tensors of a model.

use burn::tensor::DType;
use kiln_storage::TensorFileError;

/// One tensor that does not fit its parameter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WeightProblem {
    /// The model has the parameter and the file doesn't.
    #[error("the tensor `{name}` is missing")]
    Missing {
        /// The name.
        name: String,
    },
    /// The file has the tensor and the model has no such parameter.
    #[error("the tensor `{name}` belongs to no parameter of the model")]
    Unexpected {
        /// The name.
        name: String,
    },
    /// Two parameters of the model have this name.
    #[error("two parameters of the model are named `{name}`")]
    Ambiguous {
        /// The name.
        name: String,
    },
    /// The shapes differ.
    #[error("the tensor `{name}` has the shape {found:?} instead of {expected:?}")]
    Shape {
        /// The name.
        name: String,
        /// The parameter's shape.
        expected: Vec<usize>,
        /// The tensor's shape.
        found: Vec<usize>,
    },
    /// The types of the numbers differ.
    #[error("the tensor `{name}` holds {found:?} instead of {expected:?}")]
    Type {
        /// The name.
        name: String,
        /// The parameter's type.
        expected: DType,
        /// The tensor's type.
        found: DType,
    },
    /// A value is infinite or not a number.
    #[error("the tensor `{name}` holds a value that is not finite, at index {index}")]
    NotFinite {
        /// The name.
        name: String,
        /// The first such element, counted through the tensor in rows.
        index: usize,
    },
}

impl WeightProblem {
    /// The tensor, or the parameter.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Missing { name }
            | Self::Unexpected { name }
            | Self::Ambiguous { name }
            | Self::Shape { name, .. }
            | Self::Type { name, .. }
            | Self::NotFinite { name, .. } => name,
        }
    }

    /// Whether the numbers are wrong, not their place.
    pub fn is_not_finite(&self) -> bool {
        matches!(self, Self::NotFinite { .. })
    }
}

/// Why a module cannot be loaded from a source.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The tensors of the source are not those of the module.
    #[error("the tensors do not fit the model: {}", summary(.0))]
    Problems(Vec<WeightProblem>),
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] TensorFileError),
}

/// The first problems in words, and how many more there are.
pub(super) fn summary(problems: &[WeightProblem]) -> String {
    const SHOWN: usize = 3;
    let mut words: Vec<String> = problems.iter().take(SHOWN).map(ToString::to_string).collect();
    if problems.len() > SHOWN {
        words.push(format!("and {} more", problems.len() - SHOWN));
    }
    words.join("; ")
}
