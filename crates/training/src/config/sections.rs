//! The sections of a run's configuration.

use kiln_data::corpus::DataConfig;
use kiln_models::{AdapterConfig, ModelConfig, TokenizerConfig};
use kiln_optimization::averaging::AveragingConfig;
use kiln_optimization::optimizers::OptimizerConfig;
use kiln_optimization::schedules::ScheduleConfig;
use serde::{Deserialize, Serialize};

use super::finetuning::{DistillationConfig, PreferenceConfig, RatesConfig, StartConfig, TrainOnlyConfig};
use super::run::RunConfig;
use crate::gradient_measurements::EstimatesConfig;

/// The configuration of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Config {
    /// Seed of everything random: weights, data order, dropout, samples; at most 2^63 - 1. Default `1337`.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// Which text, and how it is split.
    pub data: DataConfig,
    /// How text becomes tokens.
    pub tokenizer: TokenizerConfig,
    /// Which model.
    pub model: ModelConfig,
    /// The weights that training starts from. Default: none, they are drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<StartConfig>,
    /// What is learned from beside the text. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distillation: Option<DistillationConfig>,
    /// How preferences are learned. Default: the text is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preference: Option<PreferenceConfig>,
    /// What is trained beside the start model's weights, in their place. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<AdapterConfig>,
    /// Which parameters are trained. Default: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_only: Option<TrainOnlyConfig>,
    /// Which parameters have other rates than the schedule's. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rates: Option<RatesConfig>,
    /// How gradients become updates.
    pub optimizer: OptimizerConfig,
    /// The learning rate over time.
    pub schedule: ScheduleConfig,
    /// Which average of the weights is evaluated, sampled and saved. Default: none, the weights themselves are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub averaging: Option<AveragingConfig>,
    /// How long, in which portions, and what is looked at and kept on the way.
    pub run: RunConfig,
    /// What is measured while training. Default: nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimates: Option<EstimatesConfig>,
}

pub(super) fn default_seed() -> u64 {
    1337
}
