//! Types of tensors, by their numbers in a file.

use burn::tensor::DType;
use kiln_packed::Format;

/// Types that are not read.
const UNREAD: [(u32, &str); 21] = [
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
];

/// The number of a format in a file.
pub(super) fn number(format: Format) -> u32 {
    match format {
        Format::F32 => 0,
        Format::F16 => 1,
        Format::Q4_0 => 2,
        Format::Q4_1 => 3,
        Format::Q5_0 => 6,
        Format::Q5_1 => 7,
        Format::Q8_0 => 8,
        Format::Q4K => 12,
        Format::Q5K => 13,
        Format::Q6K => 14,
        Format::Bf16 => 30,
    }
}

pub(super) fn from_number(wanted: u32) -> Option<Format> {
    Format::ALL.into_iter().find(|format| number(*format) == wanted)
}

/// What `llama.cpp` calls a type that isn't read, by its number.
pub(super) fn name_of_unread(number: u32) -> Option<&'static &'static str> {
    UNREAD.iter().find(|(known, _)| *known == number).map(|(_, name)| name)
}

/// The type of the numbers that are read.
pub(super) fn dtype(format: Format) -> DType {
    match format {
        Format::F16 => DType::F16,
        Format::Bf16 => DType::BF16,
        _ => DType::F32,
    }
}
