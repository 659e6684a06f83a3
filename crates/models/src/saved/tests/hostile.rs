//! Damaged and hostile files in a run: refused by an error that names the file, or read as something valid. Never a
//! panic, an abort or a hang, and no memory on the word of a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use kiln_hostile::{Fate, Form, each_mutant};
use kiln_storage::formats::{tensors_from_safetensors, tensors_to_safetensors};
use kiln_storage::layout::{MANIFEST_FILE, WEIGHTS_FILE};

use super::super::{SavedModelError, state_from_tensors, state_tensors};
use super::open::{a_run, open};
use crate::{LayerState, RecurrentState, State};

/// Puts a sealed manifest that lists one file into a checkpoint folder.
fn forge(folder: &Path, listed: &str) {
    let text = format!(r#"{{"format":1,"kiln":"0","step":3,"files":[{listed}]}}"#);
    let seal = blake3::hash(text.as_bytes()).to_hex();
    fs::write(folder.join(MANIFEST_FILE), format!(r#"{{"manifest":{text},"blake3":"{seal}"}}"#)).unwrap();
}

/// What became of a file, whose path an error must hold.
fn fate<T>(result: Result<T, SavedModelError>, path: &Path) -> (Fate, Option<T>) {
    match result {
        Ok(read) => (Fate::Read, Some(read)),
        Err(error) => {
            assert!(error.to_string().contains(&*path.to_string_lossy()), "{error} does not name {}", path.display());
            (Fate::Refused, None)
        }
    }
}

#[test]
fn every_mutant_of_the_weights_is_refused_or_is_a_model() {
    let run = tempfile::tempdir().unwrap();
    let (_, description, folder) = a_run(run.path());
    let path = folder.join(WEIGHTS_FILE);
    let whole = fs::read(&path).unwrap();
    let tally = each_mutant(&[whole], Form::Bytes, |bytes| {
        fs::write(&path, bytes).unwrap();
        let (length, hash) = (bytes.len(), blake3::hash(bytes).to_hex());
        let listed = format!(r#"{{"name":"{WEIGHTS_FILE}","bytes":{length},"blake3":"{hash}"}}"#);
        forge(&folder, &listed);
        let (fate, opened) = fate(open(run.path()), run.path());
        if let Some(opened) = opened {
            assert_eq!(opened.description.tokenizer_hash, description.tokenizer_hash);
            assert_eq!(opened.description.vocabulary_size, description.vocabulary_size);
        }
        fate
    });
    assert!(tally.read > 100 && tally.refused > 5000, "{tally:?}");
}

#[test]
fn every_mutant_of_a_recurrent_state_is_refused_or_has_the_shape_of_the_model() {
    let device = Device::flex();
    let layer = |width| LayerState {
        hidden: Tensor::zeros([2, width], &device),
        cell: Some(Tensor::ones([2, width], &device)),
    };
    let fresh = State::Recurrent(RecurrentState::new(vec![layer(3), layer(2)]));
    let data = |state: &State| -> BTreeMap<_, _> {
        state_tensors(state).into_iter().map(|(name, tensor)| (name, tensor.into_data())).collect()
    };
    let whole = tensors_to_safetensors(&data(&fresh), &BTreeMap::new()).unwrap();
    let tally = each_mutant(&[whole], Form::Bytes, |bytes| {
        let Ok(file) = tensors_from_safetensors(bytes) else { return Fate::Refused };
        match state_from_tensors(fresh.clone(), file.tensors.clone(), &device) {
            Ok(state) => {
                assert_eq!(data(&state), file.tensors);
                Fate::Read
            }
            Err(problem) => {
                assert!(problem.to_string().starts_with('`'), "{problem} names no tensor");
                Fate::Refused
            }
        }
    });
    assert!(tally.read > 100 && tally.refused > 5000, "{tally:?}");
}

/// A folder, a pipe, a device and a link in the place of every file of a run.
#[cfg(unix)]
#[test]
fn what_is_no_file_is_not_read() {
    let run = tempfile::tempdir().unwrap();
    let (.., folder) = a_run(run.path());
    let elsewhere = tempfile::tempdir().unwrap();
    let outside = elsewhere.path().join("outside");
    let mut others = kiln_hostile::no_files(elsewhere.path());
    for place in [folder.join(WEIGHTS_FILE), folder.join(MANIFEST_FILE), run.path().join("tokenizer.json")] {
        // Even the file itself is none where a link leads out of the folder; only the tokenizer may be shared by runs.
        fs::rename(&place, &outside).unwrap();
        if !place.ends_with("tokenizer.json") {
            others.push(outside.clone());
        }
        for other in &others {
            std::os::unix::fs::symlink(other, &place).unwrap();
            let error = refused_in_time(run.path(), other);
            assert!(error.contains(&*run.path().to_string_lossy()), "{error}");
            fs::remove_file(&place).unwrap();
            if fs::symlink_metadata(other).unwrap().is_dir() || other.ends_with("pipe") {
                fs::rename(other, &place).unwrap();
                refused_in_time(run.path(), &place);
                fs::rename(&place, other).unwrap();
            }
        }
        others.retain(|other| *other != outside);
        fs::rename(&outside, &place).unwrap();
        assert!(open(run.path()).is_ok());
    }
}

#[cfg(unix)]
fn refused_in_time(run: &Path, what: &Path) -> String {
    let run: PathBuf = run.to_path_buf();
    kiln_hostile::in_time(&what.display().to_string(), move || match open(&run) {
        Ok(_) => panic!("was opened and must not be"),
        Err(error) => error.to_string(),
    })
}
