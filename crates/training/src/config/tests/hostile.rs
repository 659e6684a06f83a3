//! Mutants of configurations, and files full of mistakes.

use std::fs;

use kiln_hostile::{Fate, Form, each_mutant};

use super::support::{choices, right_text};
use crate::config::{Config, Sweep};
use kiln_settings::{ConfigFileError, Source};

const ENTRANTS: &str = "\n[[entrants]]\nlabel = \"one\"\n[entrants.schedule.constant]\nrate = 0.001\n\n[[entrants]]\n\
    label = \"two\"\n[entrants.schedule.cosine]\nrate = 2.0\n[entrants.optimizer.sgd]\nmomentum = 0.5\n";

const SWEEP: &str = "\n[sweep]\nseeds = 2\nsearch = \"halving\"\ntrials = 4\n[sweep.set]\nrun.batch = [2, 4]\n\
    schedule.constant.rate = \"1e-4..1e-2\"\n";

/// A file of a configuration, read: refused with the name of the file, and its place unless it is none at all, or
/// right.
fn fate<T>(result: Result<T, ConfigFileError>, name: &str, again: impl FnOnce(T)) -> Fate {
    match result {
        Ok(config) => {
            again(config);
            Fate::Read
        }
        Err(ConfigFileError::Wrong(errors)) => {
            assert!(!errors.problems.is_empty());
            for problem in &errors.problems {
                let (line, column) = errors.position_of(problem);
                assert!(line >= 1 && column >= 1 && problem.span.start <= errors.source.text.len());
            }
            assert!(errors.to_string().starts_with(&format!("{name}:")), "{errors}");
            Fate::Refused
        }
        Err(error) => {
            assert!(error.to_string().contains(name), "{error}");
            Fate::Refused
        }
    }
}

#[test]
fn every_mutant_of_a_run_is_refused_with_its_place_or_reads_back_equal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("run.toml");
    let name = path.display().to_string();
    let valid: Vec<Vec<u8>> = choices().map(|choice| right_text(choice).into_bytes()).collect();
    let tally = each_mutant(&valid, Form::Text, |bytes| {
        fs::write(&path, bytes).expect("the folder can be written");
        fate(Config::open(&path, &[]), &name, |config| {
            assert_eq!(Config::read(&Source::new("again", config.to_toml()), &[]), Ok(config));
        })
    });
    assert!(tally.read > 500 && tally.refused > 5000, "{tally:?}");
}

#[test]
fn every_mutant_of_a_sweep_is_refused_with_its_place_or_reads_back_equal() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("sweep.toml");
    let name = path.display().to_string();
    let race = right_text("run").replace("[schedule.constant]\nrate = 0.001\n", "") + ENTRANTS;
    let sweep = right_text("run") + SWEEP;
    let tally = each_mutant(&[race.into_bytes(), sweep.into_bytes()], Form::Text, |bytes| {
        fs::write(&path, bytes).expect("the folder can be written");
        fate(Sweep::open(&path, &[]), &name, |sweep| {
            assert_eq!(Sweep::read(&Source::new("again", sweep.to_toml()), &[]), Ok(sweep));
        })
    });
    assert!(tally.read > 500 && tally.refused > 5000, "{tally:?}");
}

/// The largest file that is read, full of mistakes: read and reported in a process of its own, within bounds of
/// time and memory.
#[test]
fn a_file_full_of_mistakes_is_told_in_bounded_time_and_memory() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let numbered = |line: fn(usize) -> String| {
        (0..).map(line).scan(0, |length, line| {
            *length += line.len();
            (*length < 64 << 10).then_some(line)
        })
    };
    let cases: [(&str, String); 7] = [
        ("unknown keys", numbered(|index| format!("k{index} = 1\n")).collect()),
        ("unknown tables", numbered(|index| format!("[t{index}]\n")).collect()),
        ("equals signs", "=".repeat(64 << 10)),
        ("broken lines", "=\n".repeat(32 << 10)),
        ("open lists", format!("a = {}", "[".repeat((64 << 10) - 4))),
        ("dotted", format!("{}a = 1", "a.".repeat((32 << 10) - 8))),
        ("a long list", format!("[data.file]\npaths = [{}]", "1,".repeat((32 << 10) - 20))),
    ];
    for (name, text) in cases {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("the folder can be written");
        kiln_hostile::in_a_process("config::tests::hostile::a_process_reads_a_configuration", &path);
    }
}

#[test]
#[ignore = "started by the test above"]
fn a_process_reads_a_configuration() {
    let reported = kiln_hostile::within_bounds(|path| Config::open(path, &[]).expect_err("it is wrong").to_string());
    assert!(reported.len() < 1 << 20);
}
