//! Mutants of experiments and of tables, and tables that are no files.

use std::fs;

use kiln_hostile::{Fate, Form, each_mutant};
use kiln_settings::{ConfigFileError, Source};

use super::support::curve;
use crate::data::{CsvConfig, DataConfig, Targets};
use crate::{Experiment, LabFile};

#[test]
fn every_mutant_of_an_experiment_is_refused_with_its_place_or_reads_back_equal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("lab.toml");
    let name = path.display().to_string();
    let quadratic = format!(
        "title = \"test\"\nseed = 1\nrepeats = 20\nsteps = 50\niterations-to = [0.1, 0.01]\n[problem.quadratic]\n\
         spectrum = [0.5, 1.0]\nvariance = 1.0\n{}",
        curve(4, "constant]\nrate = 0.1")
    );
    let generated = format!(
        "title = \"test\"\nsteps = 10\naxes = \"logarithmic\"\n[problem.linear-regression.data.generated]\nsamples = \
         30\n{}",
        curve(4, "cosine]\nrate = 0.1")
    );
    let lecture = "title = \"lecture\"\nexperiments = [\"one.toml\", \"two.toml\"]\n".to_owned();
    let valid = [quadratic, generated, lecture].map(String::into_bytes);
    let tally = each_mutant(&valid, Form::Text, |bytes| {
        fs::write(&path, bytes).expect("the folder can be written");
        match LabFile::open(&path, &[]) {
            Ok(LabFile::Experiment(experiment)) => {
                assert_eq!(Experiment::read(&Source::new("again", experiment.to_toml()), &[]), Ok(*experiment));
                Fate::Read
            }
            Ok(LabFile::Lecture(lecture)) => {
                assert!(!lecture.experiments.is_empty());
                Fate::Read
            }
            Err(ConfigFileError::Wrong(errors)) => {
                assert!(errors.to_string().starts_with(&format!("{name}:")), "{errors}");
                Fate::Refused
            }
            Err(error) => {
                assert!(error.to_string().contains(&name), "{error}");
                Fate::Refused
            }
        }
    });
    assert!(tally.read > 500 && tally.refused > 5000, "{tally:?}");
}

#[cfg(unix)]
#[test]
fn a_table_that_is_no_file_is_not_read() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for path in kiln_hostile::no_files(folder.path()) {
        let name = path.display().to_string();
        let config = DataConfig::Csv(CsvConfig { path: name.clone(), target: None, standardise: true });
        let error =
            kiln_hostile::in_time(&name, move || config.samples(Targets::Numbers, 1).map(drop).expect_err("no file"));
        assert!(error.to_string().contains(&name) && error.to_string().contains("not a regular file"), "{error}");
    }
}
