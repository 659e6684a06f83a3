//! One file or folder a command: its arguments, and the function that runs it.

mod bench;
mod cache;
mod check;
mod completions;
mod converge;
mod devices;
mod eval;
mod find_rate;
mod inspect;
mod log;
mod ls;
mod manual;
mod prune;
mod race;
mod rm;
mod sample;
mod train;
mod verify_resume;

pub(crate) use bench::{BenchArguments, bench};
pub(crate) use cache::{CacheArguments, cache};
pub(crate) use check::{CheckArguments, check};
pub(crate) use completions::{CompletionsArguments, completions};
pub(crate) use converge::{ConvergeArguments, converge};
pub(crate) use devices::{DevicesArguments, devices};
pub(crate) use eval::{EvalArguments, eval};
pub(crate) use find_rate::{FindRateArguments, find_rate};
pub(crate) use inspect::{InspectArguments, inspect};
pub(crate) use log::{LogArguments, log};
pub(crate) use ls::{LsArguments, ls};
pub(crate) use manual::{ManualArguments, manual};
pub(crate) use prune::{PruneArguments, prune};
pub(crate) use race::{RaceArguments, race};
pub(crate) use rm::{RmArguments, rm};
pub(crate) use sample::{SampleArguments, sample};
pub(crate) use train::{ResumeArguments, TrainArguments, resume, train};
pub(crate) use verify_resume::{VerifyResumeArguments, verify_resume};
