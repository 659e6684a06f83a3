//! What can be wrong with a saved state.

/// A saved optimizer state that does not belong to this model or this optimizer.
#[derive(Debug, thiserror::Error)]
pub enum OptimizerStateError {
    /// A tensor that belongs to no parameter of the model.
    #[error("the optimizer state holds `{0}`, which is no slot of a parameter of this model")]
    Unexpected(String),
    /// A parameter without its state.
    #[error("the optimizer state lacks `{0}`")]
    Missing(String),
    /// A state of another size than it must have.
    #[error("the optimizer state `{name}` has {found} numbers instead of {expected}")]
    Length {
        /// Which slot.
        name: String,
        /// The length in the file.
        found: usize,
        /// The parameter's number of elements, or 1.
        expected: usize,
    },
    /// Scales of numbers in 8 bits that can't be right.
    #[error("the optimizer state `{0}` has a scale that is negative or not finite")]
    Scales(String),
    /// Another type of numbers.
    #[error("the optimizer state `{name}` does not hold {expected}-bit numbers")]
    NumberType {
        /// Which slot.
        name: String,
        /// How many bits the numbers must have.
        expected: u32,
    },
}
