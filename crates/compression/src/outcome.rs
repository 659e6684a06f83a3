//! What was done to each matrix.

use kiln_packed::Format;
use serde::Serialize;

/// What became of a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// Which share of each pruned matrix is 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub zeros: Vec<(String, f64)>,
    /// The products that are with two thin matrices now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ranks: Vec<RankOutcome>,
    /// The matrices that were packed, in the order of the model.
    pub parts: Vec<PartOutcome>,
}

/// What became of a product.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RankOutcome {
    /// The path of the parameter.
    pub name: String,
    /// Numbers between the two matrices.
    pub rank: usize,
    /// Its inputs.
    pub inputs: usize,
    /// Its outputs.
    pub outputs: usize,
    /// The root of the mean squared error of its outputs over that of the outputs themselves, on the inputs of the
    /// calibration if there was one.
    pub relative_error: f64,
}

/// What became of a matrix.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartOutcome {
    /// The path of the parameter.
    pub name: String,
    /// How it is packed.
    #[serde(serialize_with = "by_name")]
    pub format: Format,
    /// Its numbers.
    pub elements: usize,
    /// Its bytes.
    pub bytes: usize,
    /// The root of the mean squared error of its outputs over that of the outputs themselves: on the inputs of the
    /// calibration, or, where there was none, on inputs that are all of one size and have nothing to do with each
    /// other.
    pub relative_error: f64,
}

fn by_name<S: serde::Serializer>(format: &Format, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(format.name())
}

/// Where the work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage<'a> {
    /// What is done.
    pub what: &'a str,
    /// Parts that are done.
    pub done: usize,
    /// All parts.
    pub all: usize,
}
