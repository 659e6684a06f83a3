//! The file of a sweep: one training configuration, and what each entrant does otherwise.
//!
//! ```toml
//! # The sections of a run, and then the entrants one by one, each with any keys of its own,
//! [[entrants]]
//! label = "cosine, SGD"
//! [entrants.schedule.cosine]
//! rate = 1.0
//! [entrants.optimizer.sgd]
//!
//! # or keys with several values, of which each combination is an entrant; or both.
//! [sweep]
//! seeds = 3
//! [sweep.set]
//! model.transformer.dropout = [0.0, 0.1, 0.2]
//! ```
//!
//! What is read is a list of entrants with whole configurations. [`Sweep::to_toml`] writes them in the same form.

mod axes;
mod common;
mod entrants;
mod schedules;
mod settings;

use std::path::Path;

use kiln_settings::{ConfigErrors, ConfigFileError, Override, Source, read_source};
use serde::Serialize;

pub use self::entrants::ONE_RUN;
pub use self::schedules::settings_at_rate;
pub use self::settings::{Search, SweepSettings};
use super::changes::{Change, changes};
use super::sections::Config;

/// Several runs that are compared: every entrant with every seed.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// `[sweep]`.
    pub settings: SweepSettings,
    /// Who takes part, at least one.
    pub entrants: Vec<Entrant>,
}

/// One of the configurations that are compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Entrant {
    /// Its name, different from the others' in more than case and punctuation.
    pub label: String,
    /// What its runs do; each has a seed of its own.
    pub config: Config,
}

/// A run of a sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepRun {
    /// The index of its entrant.
    pub entrant: usize,
    /// The name of its folder within that of the sweep.
    pub folder: String,
    /// What it does.
    pub config: Config,
}

impl Entrant {
    /// The name of the folder of its first run: the label in lower case, with `-` for what is no letter, no digit and
    /// none of `.`, `=`, `_` and `+`.
    pub fn folder_name(&self) -> String {
        let is_kept = |c: char| c.is_alphanumeric() || ".=_+-".contains(c);
        let words = self.label.split(|c| !is_kept(c)).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
    }

    /// Its runs, one for each seed from that of its configuration on.
    fn runs(&self, entrant: usize, seeds: u64) -> impl Iterator<Item = SweepRun> {
        (0..seeds).map(move |more| {
            let seed = self.config.seed.saturating_add(more);
            let name = self.folder_name();
            let folder = if more == 0 { name } else { format!("{name}-seed-{seed}") };
            SweepRun { entrant, folder, config: Config { seed, ..self.config.clone() } }
        })
    }
}

impl Sweep {
    /// Reads a sweep from its text, with what is set on the command line: keys of `[sweep]` as `sweep.KEY`, and keys of
    /// the configuration with a value or several.
    ///
    /// # Errors
    /// Every problem that the text and the overrides have.
    pub fn read(source: &Source, overrides: &[Override]) -> Result<Self, ConfigErrors> {
        entrants::read(source, overrides)
    }

    /// Reads the file of a sweep, with what is set on the command line.
    ///
    /// # Errors
    /// When the file cannot be read, isn't UTF-8, or is wrong.
    pub fn open(path: &Path, overrides: &[Override]) -> Result<Self, ConfigFileError> {
        Ok(Self::read(&read_source(path)?, overrides)?)
    }

    /// Looks for relative paths beside the sweep's file, as [`Config::look_beside`] does.
    #[must_use]
    pub fn look_beside(mut self, file: &Path, overrides: &[Override]) -> Self {
        for entrant in &mut self.entrants {
            entrant.config = entrant.config.clone().look_beside(file, overrides);
        }
        self
    }

    /// Every run: all entrants with the first seed, then with the second, and so on, so that a sweep that is stopped
    /// has something of everyone.
    pub fn runs(&self) -> Vec<SweepRun> {
        let of_entrant = |(index, entrant): (usize, &'_ Entrant)| entrant.runs(index, self.settings.seeds).collect();
        let by_entrant: Vec<Vec<SweepRun>> = self.entrants.iter().enumerate().map(of_entrant).collect();
        let seeds = by_entrant.first().map_or(0, Vec::len);
        (0..seeds).flat_map(|seed| by_entrant.iter().filter_map(move |runs| runs.get(seed)).cloned()).collect()
    }

    /// How the runs of another sweep differ from those of this one, and whether they all take part; there may be more
    /// entrants and seeds there.
    pub fn changes(&self, now: &Self) -> Vec<Change> {
        let mut found = Vec::new();
        let mut compare = |key: &str, before: toml::Value, now: toml::Value| {
            if before != now {
                found.push(Change { key: format!("sweep.{key}"), from: Some(before), to: Some(now) });
            }
        };
        let (old, new) = (&self.settings, &now.settings);
        compare("search", old.search.name().into(), new.search.name().into());
        compare("reduction-factor", whole(old.reduction_factor), whole(new.reduction_factor));
        if new.seeds < old.seeds {
            compare("seeds", whole(old.seeds), whole(new.seeds));
        }
        // Each change with the entrants that it is one of.
        let mut of_entrants: Vec<(Change, Vec<&str>)> = Vec::new();
        let mut compared = 0;
        for entrant in &self.entrants {
            let Some(other) = now.entrants.iter().find(|other| other.label == entrant.label) else {
                let from = Some(entrant.label.clone().into());
                found.push(Change { key: "entrants".to_owned(), from, to: None });
                continue;
            };
            compared += 1;
            for (change, _) in changes(&entrant.config, &other.config) {
                match of_entrants.iter_mut().find(|(known, _)| *known == change) {
                    Some((_, labels)) => labels.push(&entrant.label),
                    None => of_entrants.push((change, vec![&entrant.label])),
                }
            }
        }
        for (change, labels) in of_entrants {
            if labels.len() == compared {
                found.push(change);
                continue;
            }
            let own = |label| Change { key: format!("entrants[{label:?}].{}", change.key), ..change.clone() };
            found.extend(labels.into_iter().map(own));
        }
        found
    }

    /// The sweep as TOML with every default spelled out: what all entrants share, and then what each has of its own.
    /// Reading it gives an equal sweep.
    pub fn to_toml(&self) -> String {
        common::to_toml(self).unwrap_or_else(|error| format!("# this sweep has no form in TOML: {error}\n"))
    }
}

fn whole(number: u64) -> toml::Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}

/// The value as a table of TOML.
fn table(value: &impl Serialize) -> Result<toml::Table, toml::ser::Error> {
    toml::Table::try_from(value)
}
