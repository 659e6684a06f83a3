//! How the program ends: the one place that turns an error into an exit code.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use kiln_compression::CompressionError;
use kiln_convergence::LabError;
use kiln_inference::{GenerateError, ScoreError, TaskError};
use kiln_models::saved::SavedModelError;
use kiln_settings::{ConfigErrors, ConfigFileError};
use kiln_study::StudyError;
use kiln_training::config::RefusedChanges;
use kiln_training::evaluation::EvaluationError;
use kiln_training::learning::{TeacherError, TrainError};
use kiln_training::parts::PartsError;
use kiln_training::run::FolderError;
use kiln_training::start::StartError;

use crate::arguments::NoInput;
use crate::device::DeviceError;
use crate::runs::LostConfig;

/// The exit codes, as the README documents them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Success; also when stdout was closed early (`kiln ... | head`).
    Done = 0,
    /// Bad usage or configuration.
    Usage = 2,
    /// Bad file or data.
    Data = 3,
    /// The training diverged, or a descent broke its theorem.
    Diverged = 4,
    /// No such device, or it failed, or computes something else.
    Device = 5,
    /// A defect of the program itself.
    Internal = 70,
    /// Stopped by Ctrl-C.
    Interrupted = 130,
    /// Stopped by SIGTERM.
    Terminated = 143,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command line that is well formed and makes no sense.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// The device, or a body for it, computes something else.
#[derive(Debug, thiserror::Error)]
#[error("{0}: something else comes out than on the CPU in double precision")]
pub(crate) struct Disagreement(pub(crate) String);

impl Exit {
    /// The code that an error ends the program with: the first in its chain that says what kind it is.
    pub(crate) fn of(error: &anyhow::Error) -> Self {
        if is_broken_pipe(error) {
            return Self::Done;
        }
        error.chain().find_map(Self::of_one).unwrap_or(Self::Data)
    }

    fn of_one(error: &(dyn Error + 'static)) -> Option<Self> {
        if error.is::<ConfigErrors>()
            || error.is::<ConfigFileError>()
            || error.is::<UsageError>()
            || error.is::<RefusedChanges>()
            || error.is::<LostConfig>()
            || error.is::<NoInput>()
            || error.is::<PartsError>()
            || error.is::<TeacherError>()
        {
            return Some(Self::Usage);
        }
        if error.downcast_ref().is_some_and(|error| !matches!(error, StartError::Model(_))) {
            return Some(Self::Usage);
        }
        match error.downcast_ref() {
            // A name that no machine has; the other errors are about this one.
            Some(DeviceError::UnknownName(_)) => return Some(Self::Usage),
            Some(_) => return Some(Self::Device),
            None => {}
        }
        if error.is::<Disagreement>() {
            return Some(Self::Device);
        }
        match error.downcast_ref() {
            Some(LabError::BatchTooLarge { .. } | LabError::TooLarge { .. }) => return Some(Self::Usage),
            Some(LabError::Device(_)) => return Some(Self::Device),
            _ => {}
        }
        match error.downcast_ref() {
            Some(CompressionError::Device(_)) => return Some(Self::Device),
            Some(
                CompressionError::Block { .. }
                | CompressionError::Pattern { .. }
                | CompressionError::NoCalibration { .. }
                | CompressionError::TooMuch { .. }
                | CompressionError::NotOfThisFamily { .. }
                | CompressionError::Group { .. },
            ) => return Some(Self::Usage),
            _ => {}
        }
        match error.downcast_ref() {
            Some(StudyError::Size { .. } | StudyError::Text { .. }) => return Some(Self::Usage),
            Some(StudyError::Device(_)) => return Some(Self::Device),
            Some(StudyError::Training { source, .. }) => return Self::of_one(source.as_ref()),
            _ => {}
        }
        if let Some(FolderError::Exists { .. } | FolderError::NotOurs { .. }) = error.downcast_ref() {
            return Some(Self::Usage);
        }
        match error.downcast_ref() {
            Some(TrainError::Diverged(_)) => return Some(Self::Diverged),
            Some(TrainError::Device(_) | TrainError::NoMixedPrecision(_)) => return Some(Self::Device),
            _ => {}
        }
        if let Some(EvaluationError::Device(_)) = error.downcast_ref() {
            return Some(Self::Device);
        }
        if let Some(SavedModelError::Device { .. }) = error.downcast_ref() {
            return Some(Self::Device);
        }
        match error.downcast_ref() {
            Some(GenerateError::Device(_)) => return Some(Self::Device),
            Some(GenerateError::Grammar(_)) => return Some(Self::Usage),
            _ => {}
        }
        if let Some(ScoreError::Device(_)) = error.downcast_ref() {
            return Some(Self::Device);
        }
        if let Some(TaskError::Score(ScoreError::Device(_)) | TaskError::Generate(GenerateError::Device(_))) =
            error.downcast_ref()
        {
            return Some(Self::Device);
        }
        None
    }
}

/// Whether the error is that stdout is closed. A broken pipe further down the chain, of a download say, is an error.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    of_stdout(error) == Some(io::ErrorKind::BrokenPipe)
}

/// What kind of error the system gave where stdout was written: an error that says no more of itself than the system
/// does is one of stdout.
pub(crate) fn of_stdout(error: &anyhow::Error) -> Option<io::ErrorKind> {
    match (error.downcast_ref::<io::Error>(), error.downcast_ref::<serde_json::Error>()) {
        (Some(error), _) => Some(error.kind()),
        (_, Some(error)) => error.io_error_kind(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::choose;

    #[test]
    fn a_name_that_no_machine_has_is_a_usage_error_and_a_device_that_this_one_lacks_is_not() {
        let unknown = choose("quantum").expect_err("no machine has it");
        assert_eq!(Exit::of(&unknown.into()), Exit::Usage);
        let (name, here) = ("cuda".to_owned(), "cpu".to_owned());
        let missing = DeviceError::NotCompiledIn { name, feature: "cuda", here };
        assert_eq!(Exit::of(&missing.into()), Exit::Device);
    }
}
