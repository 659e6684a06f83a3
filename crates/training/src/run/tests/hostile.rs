//! Mutants of the state of the loop and of the log, and logs that are not text, not a file, or one line without an end.

use std::fs;
use std::io::Write;
use std::path::Path;

use kiln_hostile::{Fate, Form, each_mutant, in_a_process, within_bounds};
use kiln_storage::{CheckpointReader, DiskFiles, StorageError, write_folder_atomically};

use super::{LoopState, Metrics, MetricsLog, entry};
use crate::run::{Best, Checkpoint, CheckpointError, EvaluationEntry, RunRecord, RunSurvey, ScheduleEntry, history};

fn state() -> LoopState {
    LoopState {
        step: 7,
        evaluated: Some(5),
        tokens: 1 << 60,
        best: Some(Best { step: 5, loss: 0.25 }),
        schedule: ScheduleEntry(serde_json::json!({ "step": 7, "kind": "constant", "rates": [0.1, 0.01] })),
        averaging: None,
        noise: None,
        ..LoopState::default()
    }
}

/// Writes a whole checkpoint whose state of the loop is `bytes`, and reads it.
fn read_state(folder: &Path, bytes: &[u8]) -> Result<Checkpoint, CheckpointError> {
    let checkpoint = folder.join("checkpoint");
    write_folder_atomically::<StorageError>(&DiskFiles, &checkpoint, 7, |staged| {
        staged.write("training.json", bytes)?;
        staged.write_tensors("optimizer.safetensors", &Default::default(), &Default::default())
    })?;
    Checkpoint::read(&mut CheckpointReader::open(&DiskFiles, folder, &checkpoint)?)
}

#[test]
fn every_mutant_of_the_loops_state_is_refused_by_name_or_reads_back_equal() {
    let folder = super::fixture::scratch();
    let path = folder.path().join("checkpoint/training.json");
    let valid = serde_json::to_vec_pretty(&state()).unwrap();
    let tally = each_mutant(&[valid], Form::Text, |bytes| match read_state(folder.path(), bytes) {
        Ok(checkpoint) => {
            let again = serde_json::to_vec(&checkpoint.state).unwrap();
            assert_eq!(serde_json::from_slice::<LoopState>(&again).unwrap(), checkpoint.state);
            Fate::Read
        }
        Err(error) => {
            assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
            Fate::Refused
        }
    });
    assert!(tally.read > 500 && tally.refused > 5000, "{tally:?}");
}

fn log() -> Vec<u8> {
    let evaluation = EvaluationEntry {
        step: 2,
        valid_loss: 0.5,
        perplexity: f64::INFINITY,
        bits_per_byte: 2.0,
        tokens: 3,
        translation: None,
        margin: None,
        accuracy: None,
    };
    let steps = (1..=4).map(|step| serde_json::to_string(&entry(step)).unwrap());
    let lines: Vec<String> = steps.chain([serde_json::to_string(&evaluation).unwrap()]).collect();
    (lines.join("\n") + "\n").into_bytes()
}

#[test]
fn every_mutant_of_a_log_is_read_line_by_line_or_refused_with_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let tally = each_mutant(&[log()], Form::Text, |bytes| {
        fs::write(&path, bytes).unwrap();
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        let fate = match Metrics::read(&path) {
            Ok(metrics) => {
                assert_eq!(metrics.steps.len() + metrics.evaluations.len(), lines);
                Fate::Read
            }
            Err(error) => {
                let error = error.to_string();
                let (_, rest) = error.split_once("metrics.jsonl`: line ").expect("the file and the line are named");
                let line: usize = rest.split(' ').next().unwrap().parse().unwrap();
                assert!((1..=lines).contains(&line), "{error}");
                Fate::Refused
            }
        };
        // Going on cuts off what cannot be gone on from, and what is left is the start of the file.
        drop(MetricsLog::open(&path, 3).unwrap());
        assert!(bytes.starts_with(&fs::read(&path).unwrap()));
        fate
    });
    assert!(tally.read > 1000 && tally.refused > 3000, "{tally:?}");
}

fn refused(path: &Path, bytes: &[u8]) -> String {
    fs::write(path, bytes).unwrap();
    Metrics::read(path).expect_err("it is damaged").to_string()
}

#[test]
fn what_is_no_line_of_a_log_is_told_with_its_line_and_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let whole = log();
    let with = |line: &[u8]| [&whole[..], line, b"\n"].concat();
    let cases: [(&[u8], &str); 6] = [
        (b"{\"step\":\xFF}", "line 6 is damaged: byte 9 is not UTF-8"),
        (b"\0", "line 6 is damaged: expected value at line 1 column 1"),
        (b"\xEF\xBB\xBF{}", "line 6 is damaged: expected value at line 1 column 1"),
        (b"", "line 6 is damaged: EOF while parsing a value"),
        (b"{\"step\":3}", "line 6 is damaged: missing field `tokens`"),
        (b"{\"step\":3,\"valid_loss\":1.0}", "line 6 is damaged: missing field `perplexity`"),
    ];
    for (line, words) in cases {
        let error = refused(&path, &with(line));
        assert!(error.contains("metrics.jsonl") && error.contains(words), "{error:?} lacks {words:?}");
    }
    // Lines may end as they do on Windows.
    fs::write(&path, String::from_utf8(whole).unwrap().replace('\n', "\r\n")).unwrap();
    assert_eq!(Metrics::read(&path).unwrap().steps.len(), 4);
}

#[test]
fn a_line_of_a_gibibyte_is_refused_in_bounded_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(&log()).unwrap();
    file.set_len(1 << 30).unwrap();
    let said = in_a_process("run::tests::hostile::a_process_reads_a_log", &path);
    assert!(said.contains("line 6 is damaged: it is longer than 1048576 bytes"), "{said}");
    drop(MetricsLog::open(&path, 9).unwrap());
    assert_eq!(fs::read(&path).unwrap(), log());
}

#[test]
#[ignore = "started by the test above"]
fn a_process_reads_a_log() {
    let before = kiln_hostile::peak_memory().unwrap_or_default();
    let read = within_bounds(Metrics::read);
    // Not twice the file: a line is all that is held.
    assert!(kiln_hostile::peak_memory().unwrap_or_default() < before + (64 << 20));
    println!("{}", read.expect_err("it has a line without an end"));
}

#[cfg(unix)]
#[test]
fn a_log_that_is_no_file_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    for path in kiln_hostile::no_files(folder.path()) {
        let name = path.display().to_string();
        let (read, opened) = kiln_hostile::in_time(&name, move || {
            let opened = MetricsLog::open(&path, 1).map(drop);
            (Metrics::read(&path).expect_err("it is not a file"), opened.expect_err("it is not a file"))
        });
        for error in [read, opened] {
            let error = error.to_string();
            assert!(error.contains(&name) && error.contains("not a regular file"), "{error}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_file_that_a_log_is_linked_to_is_not_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (other, link) = (folder.path().join("other"), folder.path().join("metrics.jsonl"));
    fs::write(&other, "not a log\n").unwrap();
    std::os::unix::fs::symlink(&other, &link).unwrap();
    let error = MetricsLog::open(&link, 0).map(drop).expect_err("it is a link").to_string();
    assert!(error.contains("metrics.jsonl") && error.contains("not a regular file"), "{error}");
    assert_eq!(fs::read_to_string(&other).unwrap(), "not a log\n");
}

/// A folder, a pipe, a device and a link in the place of each small file of a run that is looked at, also by `kiln ls`.
#[cfg(unix)]
#[test]
fn small_files_of_a_run_that_are_no_files_are_not_read() {
    let elsewhere = tempfile::tempdir().unwrap();
    for other in kiln_hostile::no_files(elsewhere.path()) {
        let run = tempfile::tempdir().unwrap();
        for name in ["run.json", "history.jsonl", "training.json", "lock"] {
            std::os::unix::fs::symlink(&other, run.path().join(name)).unwrap();
        }
        let path = run.path().to_path_buf();
        let errors = kiln_hostile::in_time(&other.display().to_string(), move || {
            assert!(RunSurvey::of(&path).unwrap().trainer.is_none());
            [
                ("run.json", RunRecord::read(&path).expect_err("it is not a file").to_string()),
                ("history.jsonl", history(&path).expect_err("it is not a file").to_string()),
                ("training.json", LoopState::read(&path).expect_err("it is not a file").to_string()),
            ]
        });
        for (name, error) in errors {
            assert!(error.contains(name) && error.contains("not a regular file"), "{error}");
        }
    }
}

#[test]
fn small_files_of_a_run_of_absurd_length_are_not_read() {
    let run = tempfile::tempdir().unwrap();
    for name in ["run.json", "history.jsonl", "training.json"] {
        fs::File::create(run.path().join(name)).unwrap().set_len(1 << 40).unwrap();
    }
    let errors = [
        ("run.json", RunRecord::read(run.path()).expect_err("it is too long").to_string()),
        ("history.jsonl", history(run.path()).expect_err("it is too long").to_string()),
        ("training.json", LoopState::read(run.path()).expect_err("it is too long").to_string()),
    ];
    for (name, error) in errors {
        assert!(error.contains(name) && (error.contains("longer than any") || error.contains("more than")), "{error}");
    }
}
