//! The models of a report: found, or trained first.

use std::path::{Path, PathBuf};

use anyhow::Context;
use kiln_training::config::Config;
use kiln_training::run::{RunState, RunSurvey};

use super::config::{ReportConfig, ReportedModel};
use crate::arguments::{DeviceArguments, NoInput, RunsArguments, open_run};
use crate::commands::train_to_end;
use crate::exit::{Exit, UsageError};
use crate::runs;
use crate::terminal::say;

/// A model of a report.
pub(super) struct Subject {
    pub(super) model: ReportedModel,
    pub(super) path: PathBuf,
    /// What is still to be trained.
    training: Option<Box<Config>>,
}

impl Subject {
    /// All models that are there or can be trained. Nothing is written.
    ///
    /// # Errors
    /// A model, a text or a configuration is not there or is wrong.
    pub(super) fn all(config: &ReportConfig, runs: &RunsArguments) -> anyhow::Result<Vec<Self>> {
        let variants = config.variants.iter().filter_map(|variant| variant.calibration.as_ref().map(PathBuf::from));
        for path in variants {
            NoInput::check(&path)?;
        }
        let mut subjects = Vec::new();
        for model in &config.models {
            let found = Self::find(model, runs).with_context(|| format!("the model `{}`", model.name))?;
            match found {
                Some(subject) => subjects.push(subject),
                None => say(&format!("`{}` is left out: its file isn't there", model.name)),
            }
        }
        if subjects.is_empty() {
            return Err(UsageError("none of the models is there".to_owned()).into());
        }
        Ok(subjects)
    }

    /// Nothing where it is optional and isn't there.
    fn find(model: &ReportedModel, runs: &RunsArguments) -> anyhow::Result<Option<Self>> {
        for text in model.texts() {
            NoInput::check(&text)?;
        }
        if let (Some(file), Some(run)) = (&model.train, &model.run) {
            let file = Path::new(file);
            NoInput::check(file)?;
            let config = open_run(file, &[])?;
            let path = runs::run_path(&runs.folder(), file, Some(run), false)?;
            runs::changes(&path, true, &config)?;
            let is_done = path.exists() && matches!(RunSurvey::of(&path)?.state(), RunState::Done);
            let training = (!is_done).then(|| Box::new(config));
            return Ok(Some(Self { model: model.clone(), path, training }));
        }
        let given = model.path.as_ref().or(model.run.as_ref()).map(PathBuf::from).unwrap_or_default();
        let path = match runs.find(&given) {
            Err(_) if model.optional => return Ok(None),
            // What a file ends with says that it would be a model.
            Ok(path) if !path.exists() && model.optional => return Ok(None),
            Ok(path) if !path.exists() => {
                return Err(UsageError(format!("there is no file `{}`", path.display())).into());
            }
            found => found?,
        };
        runs::refuse_no_model(&path, "compress")?;
        Ok(Some(Self { model: model.clone(), path, training: None }))
    }

    /// Trains it, if it isn't trained.
    ///
    /// # Errors
    /// As `kiln train --resume`.
    pub(super) fn train(&mut self, device: &DeviceArguments) -> anyhow::Result<Exit> {
        let Some(config) = self.training.take() else { return Ok(Exit::Done) };
        say(&format!("training `{}` first", self.model.name));
        train_to_end(&config, &self.path, device).with_context(|| format!("the model `{}`", self.model.name))
    }
}
