//! Mistakes in an experiment's file, the shipped files, and the list of keys.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kiln_settings::{Kind, Schema, Source};

use super::support::{curve, read};
use crate::{Experiment, LabFile};

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/convergence")
}

/// A right experiment with `old` replaced by `new`.
fn replaced(old: &str, new: &str) -> String {
    let schedule = curve(4, "constant]\nrate = 0.1");
    let right = format!(
        "title = \"test\"\nseed = 1\nrepeats = 20\nsteps = 50\nvalidate-every = 5\niterations-to = [0.1, 0.01]\n\
         [problem.quadratic]\nspectrum = [0.5, 1.0]\nvariance = 1.0\nstart-error = 1.0\n{schedule}"
    );
    assert!(right.contains(old), "{old} is not in\n{right}");
    read(&right).unwrap_or_else(|errors| panic!("{errors}"));
    right.replace(old, new)
}

#[test]
fn every_mistake_is_told_with_its_line_and_what_is_wrong() {
    let cases = [
        ("repeats = 20", "repeats = 0", "lab.toml:3:11: `repeats` must be 1 or more, is 0"),
        ("steps = 50", "steps = 5", "lab.toml:4:9: `steps` must be from 10 to 1000000, is 5"),
        ("validate-every = 5", "validate-every = 0", "lab.toml:5:18: `validate-every` must be 1 or more, is 0"),
        ("[0.1, 0.01]", "[0.01, 0.1]", "`iterations-to` must be errors above 0, each below the one before"),
        ("[0.5, 1.0]", "[0.5, 0.0]", "lab.toml:8:18: `problem.quadratic.spectrum[1]` must be above 0, is 0"),
        ("[0.5, 1.0]", "[]", "`problem.quadratic.spectrum` must have 1 to 1000 eigenvalues, has 0"),
        ("variance = 1.0", "variance = -1.0", "`problem.quadratic.variance` must be 0 or more, up to 1e12, is -1"),
        ("start-error = 1.0", "start-error = 0.0", "`problem.quadratic.start-error` must be from 1e-12 to 1e12, is 0"),
        ("batch = 4", "batch = 0", "lab.toml:13:9: `curves[0].batch` must be 1 or more, is 0"),
        ("rate = 0.1", "rate = 0.0", "lab.toml:15:8: `curves[0].schedule.constant.rate` must be above 0, is 0"),
        ("rate = 0.1", "rte = 0.1", "unknown key `rte` in [curves.schedule.constant]"),
        ("label", "lable", "unknown key `lable` in [[curves]]"),
        ("label = \"curve\"", "label = \" \"", "`curves[0].label` is empty"),
        ("constant]", "konstant]", "unknown `[curves.schedule.konstant]`"),
        (
            "rate = 0.1",
            "rate = 0.1\n[curves.optimizer.muon]",
            "`curves[0].optimizer.muon` is for the matrices of a network; the weights of a problem are a vector",
        ),
    ];
    for (old, new, expected) in cases {
        let errors = read(&replaced(old, new)).unwrap_err().to_string();
        assert!(errors.contains(expected), "{new}: {errors}");
    }
}

#[test]
fn a_batch_larger_than_generated_data_is_a_mistake_of_the_file() {
    let text = format!(
        "title = \"test\"\nsteps = 10\n[problem.linear-regression.data.generated]\nsamples = 3\n{}",
        curve(4, "constant]\nrate = 0.1")
    );
    let errors = read(&text).unwrap_err().to_string();
    assert!(errors.contains("`curves[0].batch` must be at most the number of samples (3), is 4"), "{errors}");
}

#[test]
fn two_curves_of_one_label_are_a_mistake() {
    let text = replaced("seed = 1", "seed = 1") + &curve(1, "constant]\nrate = 0.1").replace("curve\"", "same\"");
    let text = text.replacen("label = \"curve\"", "label = \"same\"", 1);
    let errors = read(&text).unwrap_err().to_string();
    assert!(errors.contains("`curves[1].label` is that of another curve, `same`"), "{errors}");
}

#[test]
fn a_curve_without_a_problem_is_a_mistake() {
    let text = format!("title = \"test\"\nsteps = 10\n{}", curve(4, "constant]\nrate = 0.1"));
    let errors = read(&text).unwrap_err().to_string();
    assert!(errors.contains("`curves[0].problem` is missing"), "{errors}");
}

#[test]
fn all_mistakes_come_at_once() {
    let text =
        replaced("repeats = 20", "repeats = 0").replace("[0.5, 1.0]", "[-1.0, 1.0]").replace("rate = 0.1", "rate = -1");
    assert_eq!(read(&text).unwrap_err().problems.len(), 3);
}

#[test]
fn every_shipped_file_is_right_and_the_lecture_has_them_all() {
    let mut experiments = BTreeSet::new();
    let mut of_the_lecture = BTreeSet::new();
    for entry in std::fs::read_dir(configs()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        match LabFile::open(&path, &[]).unwrap_or_else(|error| panic!("{error}")) {
            LabFile::Experiment(experiment) => {
                assert!(experiments.insert(path.file_name().unwrap().to_str().unwrap().to_string()));
                let resolved = Source::new("resolved", experiment.to_toml());
                assert_eq!(Experiment::read(&resolved, &[]).unwrap_or_else(|errors| panic!("{errors}")), *experiment);
            }
            LabFile::Lecture(lecture) => of_the_lecture.extend(lecture.experiments),
        }
    }
    assert_eq!(experiments, of_the_lecture);
    assert!(experiments.len() >= 14);
}

/// The keys of an experiment that are its own: schedules and optimizers are listed in configs/README.md.
fn own_keys() -> BTreeSet<String> {
    let shared = |path: &str| path.starts_with("curves[].schedule.") || path.starts_with("curves[].optimizer.");
    // A curve's own problem has the keys of `[problem]`.
    let repeated = |path: &str| path.starts_with("curves[].problem.");
    let is_value = |kind: &Kind| !matches!(kind, Kind::Table(_) | Kind::Choice(_));
    let is_list_of_tables = |path: &str| path == "curves";
    let schema = Schema::of::<Experiment>();
    let keys = schema.entries().filter(|(path, entry)| {
        is_value(&entry.kind) && !path.ends_with("[]") && !shared(path) && !repeated(path) && !is_list_of_tables(path)
    });
    keys.map(|(path, _)| path.to_owned()).collect()
}

#[test]
fn every_key_is_in_the_readme_and_nothing_else() {
    let readme = std::fs::read_to_string(configs().join("README.md")).unwrap();
    let mut table = None;
    let mut documented = BTreeSet::new();
    for line in readme.lines() {
        if let Some(heading) = line.strip_prefix('#') {
            let heading = heading.trim_start_matches('#').trim();
            let name = heading.strip_prefix("`[").and_then(|heading| heading.strip_suffix("]`"));
            table = match name {
                Some("[curves]") => Some("curves[].".to_owned()),
                Some(name) => Some(format!("{name}.")),
                None => (heading == "Top level").then(String::new),
            };
        }
        let key = line.strip_prefix("| `").and_then(|rest| rest.split_once('`')).map(|(key, _)| key);
        if let (Some(table), Some(key)) = (&table, key) {
            // The data of one problem have the keys of the others' too.
            if let Some(of_data) = table.strip_prefix("problem.*.") {
                for problem in ["linear-regression", "logistic-regression", "robust-regression", "neural-network"] {
                    documented.insert(format!("problem.{problem}.{of_data}{key}"));
                }
            } else {
                documented.insert(format!("{table}{key}"));
            }
        }
    }
    assert_eq!(documented, own_keys());
}
