//! The lab: gradient descent and mini-batch stochastic gradient descent on problems whose constants are known, with
//! the very schedules and optimizers that train the language models, compared with their theorems.
//!
//! An [`Experiment`] is one TOML file: a problem and some curves. Data goes one way: [`data`] to a [`problem`], its
//! [`Constants`] and a descent in R independent repeats to a mean with its band; the bound that the theorems give and
//! the [`exact`] expectation where it can be computed; fits, each beside the same fit to the exact curve; a [`Verdict`]
//! on the bound and an [`Agreement`] with the expectation, both on all updates at once; and a [`CurveOutcome`] with all
//! of it. Nothing here prints or draws.
//!
//! ```
//! use burn::tensor::Device;
//! use kiln_convergence::{Arithmetic, Experiment, Verdict, run};
//! use kiln_settings::Source;
//!
//! let experiment = "
//!     title = 'Gradient descent'
//!     steps = 50
//!     [problem.quadratic]
//!     spectrum = [0.5, 1.0]
//!     variance = 0.0
//!     [[curves]]
//!     label = 'rate 1/L'
//!     [curves.schedule.constant]
//!     rate = 1.0
//! ";
//! let experiment = Experiment::read(&Source::new("experiment", experiment.to_string()), &[])?;
//! let outcome = run(&experiment, &Arithmetic::of(Device::flex()), &mut |_| true)?;
//! // In the slow direction the distance is multiplied by 1 - 0.5, so that F falls by a factor of a quarter.
//! let factor = outcome.curves[0].factor_per_step.as_ref().ok_or("it is measured")?;
//! assert!((factor.value - 0.25).abs() < 1e-6);
//! // The theorem promises a factor of 1 - 0.5, which holds and isn't tight.
//! let Ok(bound) = &outcome.curves[0].bound else { panic!("the problem is convex") };
//! assert_eq!(bound.at(1), bound.at(0) / 2.0);
//! assert!(matches!(outcome.curves[0].verdict, Verdict::Holds { .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod agreement;
mod config;
mod constants;
pub mod data;
mod descent;
mod device;
mod error;
pub mod exact;
mod first_repeat;
mod fits;
mod gradients;
mod iterations;
mod lemma;
mod memory;
mod numbers;
mod outcome;
pub mod problem;
mod range;
mod sharpness;
mod stationarity;
mod statistics;
#[cfg(test)]
mod tests;
mod theorems;
mod verdict;
mod windows;

pub use agreement::{Agreement, FewRepeats};
pub use config::{Axes, CurveConfig, Experiment, Horizontal, LabFile, Lecture, Sampling};
pub use constants::{Constants, Convexity, Variance};
pub use descent::Trace;
pub use device::Arithmetic;
pub use error::LabError;
pub use first_repeat::{FirstRepeat, Plane};
pub use fits::Fit;
pub use gradients::Gradients;
pub use iterations::IterationsTo;
pub use lemma::DescentLemma;
pub use memory::Footprint;
pub use numbers::{apart, number};
pub use outcome::{CurveOutcome, ExperimentOutcome, Progress, run};
pub use stationarity::Stationarity;
pub use statistics::Band;
pub use theorems::{Bound, BoundChoice, Known, Theorem};
pub use verdict::Verdict;
pub use windows::Window;
