//! The report of a file of studies: what is trained, and how often.

use std::path::Path;

use annotate_snippets::normalize_untrusted_str;
use comfy_table::{ContentArrangement, Table, presets};
use kiln_settings::Override;
use kiln_study::{Experiment, Study};
use serde::Serialize;

use crate::commands::studies;
use crate::training_display::grouped;

/// What a file of studies holds.
#[derive(Debug, Serialize)]
pub(super) struct StudyReport {
    config: String,
    title: String,
    /// Models that are trained, by all studies.
    trainings: usize,
    studies: Vec<OneStudy>,
}

#[derive(Debug, Serialize)]
struct OneStudy {
    name: String,
    title: String,
    /// Which table of `[study]`.
    study: &'static str,
    models: usize,
    repeats: usize,
    trainings: usize,
    steps: u64,
}

impl StudyReport {
    /// # Errors
    /// Every mistake of the file, or those of the first of its studies which has some.
    pub(super) fn of(path: &Path, overrides: &[Override]) -> anyhow::Result<Self> {
        let (title, studies) = studies(path, overrides)?;
        let studies: Vec<OneStudy> = studies.into_iter().map(|(name, study)| OneStudy::of(name, &study)).collect();
        let trainings = studies.iter().map(|study| study.trainings).sum();
        Ok(Self { config: path.display().to_string(), title, trainings, studies })
    }

    /// For people.
    pub(super) fn words(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(["study", "measures", "models", "trainings", "updates of each"]);
        for study in &self.studies {
            table.add_row([
                normalize_untrusted_str(&study.name),
                study.study.to_owned(),
                study.models.to_string(),
                study.trainings.to_string(),
                grouped(study.steps),
            ]);
        }
        let config = &self.config;
        let title = normalize_untrusted_str(&self.title);
        format!("{config} is valid: {title}\n\n{table}\n\ntrainings: {}\n", grouped(self.trainings as u64))
    }
}

impl OneStudy {
    fn of(name: String, study: &Study) -> Self {
        let models = study.models.len();
        let trainings = match &study.study {
            Experiment::Gradients(_) | Experiment::Context(_) => models * study.seeds,
            Experiment::Recall(config) => models * study.seeds * config.tasks.len(),
            Experiment::Explosion(config) => models * study.seeds * config.scales.len() * config.rates.len() * 3,
            Experiment::Attention(_) | Experiment::Behaviour(_) => models,
            Experiment::Families(config) => models * study.seeds * config.equal.len(),
            Experiment::Scaling(config) => models * study.seeds * config.parameters.len(),
        };
        Self {
            name,
            title: study.title.clone(),
            study: study.study.name(),
            models,
            repeats: study.seeds,
            trainings,
            steps: study.run.steps,
        }
    }
}
