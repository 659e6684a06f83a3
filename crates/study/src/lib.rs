//! What language models do and why, measured: how fast gradients vanish over distance and when they explode, what is
//! recalled at which distance, where attention looks, and which family is the better one at an equal budget, with the
//! intervals and tests that say what chance explains. Numbers in, numbers out: nothing is printed, drawn or written.
//!
//! A [`Study`] comes from a file; [`run`] gives its [`Findings`]. Each measurement is also a function on a model:
//!
//! ```
//! use burn::tensor::Device;
//! use kiln_models::{LstmConfig, ModelConfig};
//! use kiln_study::gradients::{Curve, norms};
//!
//! let config = ModelConfig::Lstm(LstmConfig { layers: 1, hidden: 8, ..LstmConfig::default() });
//! let model = config.init(5, 16, 1, &Device::flex());
//! // Two windows of four tokens, with the token after each.
//! let windows = [vec![0, 1, 2, 3, 4], vec![4, 3, 2, 1, 0]];
//! let found = norms(&model, &windows)?;
//! // Of the inputs, of the layer's output, and of its memory: a norm for each window and each distance.
//! assert_eq!(found.len(), 3);
//! let curve = Curve::of_windows(&found[2]);
//! assert_eq!(curve.lags.len(), 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod attention;
pub mod behaviour;
mod config;
pub mod context;
mod error;
pub mod explosion;
pub mod families;
pub mod gradients;
mod learner;
pub mod recall;
pub mod scaling;
mod sizes;
pub mod statistics;
mod studies;
pub mod tasks;
#[cfg(test)]
mod testing;
mod trained;
mod windows;

pub use config::{
    AttentionConfig, BehaviourConfig, ContextConfig, Equal, Experiment, ExplosionConfig, FamiliesConfig,
    GradientsConfig, Lecture, NamedModel, RecallConfig, ScalingConfig, Study, StudyFile,
};
pub use error::StudyError;
pub use sizes::sized;
pub use studies::{Findings, run};
