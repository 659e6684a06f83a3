//! Why a device could not be had.

use super::name::UnknownName;

/// Why no device could be handed out. Each message says what is wrong, what is here, and what to write instead.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceError {
    /// Not the name of any device.
    #[error(transparent)]
    UnknownName(#[from] UnknownName),
    /// A backend that this build was made without.
    #[error(
        "device `{name}`: this build of kiln has no such backend\n  here: {here}\n  \
         help: build it with `cargo build --release --features {feature}`"
    )]
    NotCompiledIn {
        /// What was asked for.
        name: String,
        /// The cargo feature that brings it.
        feature: &'static str,
        /// What can be asked for instead.
        here: String,
    },
    /// A device that this machine does not have.
    #[error(
        "device `{name}` is not here: {reason}\n  here: {here}\n  help: `kiln devices` lists and tries all of them"
    )]
    NotHere {
        /// What was asked for.
        name: String,
        /// What was found in its place.
        reason: String,
        /// What can be asked for instead.
        here: String,
    },
    /// A device that is here and cannot be opened.
    #[error(
        "device `{name}` ({description}) does not start: {reason}\n  here: {here}\n  \
         help: `kiln devices` tries each of them; `--device cpu` always works"
    )]
    DoesNotStart {
        /// What was asked for.
        name: String,
        /// The hardware behind the name.
        description: String,
        /// What its driver said.
        reason: String,
        /// What can be asked for instead.
        here: String,
    },
    /// The processor's memory is too small, whatever is tried.
    #[error("{0}")]
    TooSmall(String),
}
