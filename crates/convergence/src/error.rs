//! Why an experiment could not be made.

use std::path::PathBuf;

use crate::numbers::number;

/// Why an experiment could not be made.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The data file cannot be read.
    #[error("cannot read the data `{}`: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The data file is wrong in a place.
    #[error("{}:{line}: {message}", path.display())]
    Data {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// What is wrong there.
        message: String,
    },
    /// The data have nothing to learn from.
    #[error(
        "the data are flat: the largest eigenvalue of the Hessian is {largest:.3e}, so that F is the same \
         everywhere. Give features that are not 0, or set `l2` above 0"
    )]
    Flat {
        /// The largest eigenvalue.
        largest: f64,
    },
    /// A mini-batch with more samples than there are.
    #[error("curve `{label}`: a mini-batch of {batch} is larger than the data, which has {samples} samples")]
    BatchTooLarge {
        /// The curve.
        label: String,
        /// b.
        batch: usize,
        /// n.
        samples: usize,
    },
    /// A curve would take more memory than is allowed.
    #[error("curve `{label}` {what}; {help}")]
    TooLarge {
        /// The curve.
        label: String,
        /// What would be too large.
        what: String,
        /// What helps.
        help: &'static str,
    },
    /// Newton's method did not come to the minimum.
    #[error("no minimum was found: after {steps} steps of Newton's method the gradient's norm is still {norm:.3e}")]
    NoMinimum {
        /// Steps made.
        steps: usize,
        /// The norm of the gradient.
        norm: f64,
    },
    /// The minimum is not known well enough for errors F - F* to mean something.
    #[error(
        "the minimum is known to within {} only, so that F* may be {} lower and errors mean nothing: L/c is {}, more \
         than double precision can carry. Standardise the features, or raise `l2`",
        number(*distance), number(*minimum), number(*condition)
    )]
    Uncertain {
        /// How far the w* that was found may be from the true one.
        distance: f64,
        /// How much lower F* may be.
        minimum: f64,
        /// L / c.
        condition: f64,
    },
    /// The caller asked for a stop.
    #[error("stopped")]
    Stopped,
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(String),
}
