//! A study from its configuration to its findings.

use burn::tensor::Device;
use kiln_data::shards::PreparedData;

use crate::attention::{self, AttentionFindings};
use crate::behaviour::{self, BehaviourFindings};
use crate::config::{Experiment, Study};
use crate::context::{self, ContextFindings};
use crate::error::StudyError;
use crate::explosion::{self, ExplosionFindings};
use crate::families::{self, FamilyFindings};
use crate::gradients::{self, GradientFindings};
use crate::recall::{self, RecallFindings};
use crate::scaling::{self, ScalingFindings};

/// What was found.
#[derive(Debug, Clone)]
pub enum Findings {
    /// Gradients over distance.
    Gradients(Vec<GradientFindings>),
    /// Recall over distance.
    Recall(Vec<RecallFindings>),
    /// The use of context.
    Context(Vec<ContextFindings>),
    /// Divergence with and without clipping.
    Explosion(ExplosionFindings),
    /// Heads.
    Attention(Vec<AttentionFindings>),
    /// Models at equal budgets.
    Families(Vec<FamilyFindings>),
    /// Loss over size.
    Scaling(Vec<ScalingFindings>),
    /// Writing and calibration.
    Behaviour(Vec<BehaviourFindings>),
}

/// How far a study is, in models that are trained.
pub(crate) struct Progress<'a> {
    done: f64,
    all: f64,
    report: &'a mut dyn FnMut(f64) -> bool,
}

impl<'a> Progress<'a> {
    pub(crate) fn new(all: usize, report: &'a mut dyn FnMut(f64) -> bool) -> Self {
        Self { done: 0.0, all: all.max(1) as f64, report }
    }

    /// The model at hand is trained by this share.
    ///
    /// # Errors
    /// The study is to stop.
    pub(crate) fn within(&mut self, share: f64) -> Result<(), StudyError> {
        if (self.report)((self.done + share.min(1.0)) / self.all) { Ok(()) } else { Err(StudyError::Stopped) }
    }

    /// The model at hand is done.
    ///
    /// # Errors
    /// The study is to stop.
    pub(crate) fn next(&mut self) -> Result<(), StudyError> {
        self.done += 1.0;
        self.within(0.0)
    }
}

/// Makes a study on its text, if it needs one. `progress` gets the share that is done and may stop it.
///
/// # Errors
/// A model cannot be trained or measured, or the study was stopped.
///
/// # Panics
/// When a study that needs a text is given none.
pub fn run(
    study: &Study,
    text: Option<&PreparedData>,
    device: &Device,
    progress: &mut dyn FnMut(f64) -> bool,
) -> Result<Findings, StudyError> {
    let text = || match text {
        Some(text) => text,
        None => panic!("the study `{}` needs a text", study.study.name()),
    };
    Ok(match &study.study {
        Experiment::Gradients(config) => {
            Findings::Gradients(gradients::study(study, config, text(), device, progress)?)
        }
        Experiment::Recall(config) => Findings::Recall(recall::study(study, config, device, progress)?),
        Experiment::Context(config) => Findings::Context(context::study(study, config, text(), device, progress)?),
        Experiment::Explosion(config) => {
            Findings::Explosion(explosion::study(study, config, text(), device, progress)?)
        }
        Experiment::Attention(config) => {
            Findings::Attention(attention::study(study, config, text(), device, progress)?)
        }
        Experiment::Families(config) => Findings::Families(families::study(study, config, text(), device, progress)?),
        Experiment::Scaling(config) => Findings::Scaling(scaling::study(study, config, text(), device, progress)?),
        Experiment::Behaviour(config) => {
            Findings::Behaviour(behaviour::study(study, config, text(), device, progress)?)
        }
    })
}
