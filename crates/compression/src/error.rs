//! Why a model cannot be made smaller.

use kiln_packed::{Format, PackedError};

/// Why a model cannot be made smaller.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CompressionError {
    /// The rows of a part aren't whole blocks.
    #[error("`{part}` has rows of {inputs} numbers, and {} packs {} at a \
             time{}", format.name(), format.block(), fitting(*inputs))]
    Block {
        /// The part.
        part: String,
        /// Numbers of a row.
        inputs: usize,
        /// The format that was asked for.
        format: Format,
    },
    /// A pattern that no part matches.
    #[error("the pattern `{pattern}` matches no part; the parts are {parts}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Names of parts.
        parts: String,
    },
    /// A method needs a text.
    #[error("{what} weighs the numbers of a model by what they are multiplied with, and needs a text to see that on")]
    NoCalibration {
        /// The method.
        what: &'static str,
    },
    /// The text of the calibration is shorter than the model's context.
    #[error("the text of the calibration has {tokens} tokens, and a window of the model takes {context}")]
    ShortCalibration {
        /// Tokens of the text.
        tokens: u64,
        /// Tokens of a window.
        context: usize,
    },
    /// More than there is.
    #[error("{asked} {what} can't be left out of {there}: one must stay")]
    TooMuch {
        /// Parts of the model.
        what: &'static str,
        /// How many are to be left out.
        asked: usize,
        /// How many there are.
        there: usize,
    },
    /// The model has no such parts, or can't do without.
    #[error("a model of this kind can't be made smaller by its {what}")]
    NotOfThisFamily {
        /// The parts, and why.
        what: &'static str,
    },
    /// The rows of a part aren't whole groups of a pattern.
    #[error("`{part}` has rows of {inputs} numbers, which are no whole groups of {group}")]
    Group {
        /// The part.
        part: String,
        /// Numbers of a row.
        inputs: usize,
        /// Numbers of a group.
        group: usize,
    },
    /// No text that the model computes with.
    #[error("after the text of the calibration the inputs of `{part}` are not finite")]
    NotFinite {
        /// The part.
        part: String,
    },
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(String),
    /// Packing failed.
    #[error(transparent)]
    Packed(#[from] PackedError),
    /// `proceed` said so.
    #[error("it was stopped")]
    Stopped,
}

/// Which formats fit rows of this length.
fn fitting(inputs: usize) -> String {
    let fits = |format: &Format| !format.is_float() && format.row_bytes(inputs).is_some();
    let names: Vec<String> = Format::ALL.into_iter().filter(fits).map(|format| format.name().to_lowercase()).collect();
    match names.len() {
        0 => "; of floats f16 fits any row".to_owned(),
        _ => format!("; those that fit are {}", names.join(", ")),
    }
}
