use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use super::{damage, verify, write_checkpoint};
use crate::layout::MANIFEST_FILE;
use crate::{Manifest, StorageError};

/// A sealed manifest with this JSON inside.
pub(super) fn forge(folder: &Path, manifest: &str) {
    let parsed: Result<Manifest, _> = serde_json::from_str(manifest);
    let text = parsed.map_or_else(|_| manifest.to_owned(), |manifest| serde_json::to_string(&manifest).unwrap());
    let seal = blake3::hash(text.as_bytes()).to_hex();
    fs::write(folder.join(MANIFEST_FILE), format!(r#"{{"manifest":{text},"blake3":"{seal}"}}"#)).unwrap();
}

#[test]
fn the_manifest_lists_every_file_with_its_size_and_hash() {
    let run = tempfile::tempdir().unwrap();
    let folder = write_checkpoint(run.path(), 7);

    let manifest = verify(&folder).unwrap();

    assert_eq!(manifest.step, 7);
    assert_eq!(manifest.kiln, env!("CARGO_PKG_VERSION"));
    let names: Vec<_> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["loop.json", "model.safetensors"]);
    assert!(manifest.lists("loop.json") && !manifest.lists("tokenizer.json"));
    assert_eq!(manifest.files[0].bytes, 10);
    assert_eq!(manifest.files[0].blake3, blake3::hash(b"{\"step\":7}").to_hex().to_string());
}

#[test]
fn every_flipped_bit_is_detected() {
    let run = tempfile::tempdir().unwrap();
    let folder = write_checkpoint(run.path(), 7);
    let mut flips = 0;
    for name in ["loop.json", "model.safetensors", MANIFEST_FILE] {
        let path = folder.join(name);
        let whole = fs::read(&path).unwrap();
        // Written in place: some file systems flush a file that is truncated and written anew, thousands of times here.
        let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        let mut put = |place: usize, byte: u8| {
            file.seek(SeekFrom::Start(place as u64)).unwrap();
            file.write_all(&[byte]).unwrap();
        };
        for (place, &byte) in whole.iter().enumerate() {
            for bit in 0..8 {
                put(place, byte ^ (1 << bit));
                assert!(verify(&folder).is_err(), "bit {bit} of byte {place} of {name} was flipped unnoticed");
                flips += 1;
            }
            put(place, byte);
        }
    }
    assert!(flips > 4000, "the files have only {flips} bits");
    verify(&folder).unwrap();
}

#[test]
fn every_truncation_is_detected() {
    let run = tempfile::tempdir().unwrap();
    let folder = write_checkpoint(run.path(), 7);
    for name in ["loop.json", "model.safetensors", MANIFEST_FILE] {
        let path = folder.join(name);
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert!(verify(&folder).is_err(), "{name} cut to {length} bytes and not noticed");
        }
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn the_message_says_which_file_and_how() {
    let run = tempfile::tempdir().unwrap();
    let folder = write_checkpoint(run.path(), 7);
    let path = folder.join("loop.json");

    fs::write(&path, "{\"step\":8}").unwrap();
    assert_eq!(damage(&folder), "`loop.json` was changed after it was written (its hash differs)");
    fs::write(&path, "{\"step\":70}").unwrap();
    assert_eq!(damage(&folder), "`loop.json` has 11 bytes instead of 10");
    fs::remove_file(&path).unwrap();
    assert_eq!(damage(&folder), "`loop.json` is missing");
    fs::create_dir(&path).unwrap();
    assert_eq!(damage(&folder), "`loop.json` is not a regular file");
}

#[test]
fn files_of_another_step_do_not_pass() {
    let run = tempfile::tempdir().unwrap();
    let (older, newer) = (write_checkpoint(run.path(), 7), write_checkpoint(run.path(), 8));
    fs::copy(older.join("model.safetensors"), newer.join("model.safetensors")).unwrap();
    assert!(damage(&newer).starts_with("`model.safetensors` was changed"));
}

#[test]
fn a_file_that_is_not_listed_is_no_part_of_the_checkpoint() {
    let run = tempfile::tempdir().unwrap();
    let folder = write_checkpoint(run.path(), 7);
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    assert!(!verify(&folder).unwrap().lists("notes.txt"));
}

#[cfg(unix)]
#[test]
fn a_link_to_the_right_content_is_refused() {
    let run = tempfile::tempdir().unwrap();
    let folder = write_checkpoint(run.path(), 7);
    let elsewhere = run.path().join("elsewhere");
    fs::rename(folder.join("loop.json"), &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, folder.join("loop.json")).unwrap();
    assert_eq!(damage(&folder), "`loop.json` is not a regular file");
}

#[test]
fn names_that_lead_out_of_the_folder_are_refused() {
    let run = tempfile::tempdir().unwrap();
    let folder = write_checkpoint(run.path(), 7);
    for name in
        ["../secret", "/etc/passwd", "..", ".", "", "a/b", "a\\\\b", ".hidden", "c:x", "nul\\u0000", "manifest.json"]
    {
        let hash = "0".repeat(64);
        forge(
            &folder,
            &format!(r#"{{"format":1,"kiln":"0","step":7,"files":[{{"name":"{name}","bytes":0,"blake3":"{hash}"}}]}}"#),
        );
        let problem = damage(&folder);
        assert!(problem.starts_with("`manifest.json` lists"), "{name:?} gave {problem:?}");
    }
}

#[test]
fn a_name_twice_a_foreign_key_and_a_newer_format_are_told_apart() {
    let run = tempfile::tempdir().unwrap();
    let folder = write_checkpoint(run.path(), 7);
    let file = format!(r#"{{"name":"loop.json","bytes":10,"blake3":"{}"}}"#, blake3::hash(b"{\"step\":7}").to_hex());

    forge(&folder, &format!(r#"{{"format":1,"kiln":"0","step":7,"files":[{file}]}}"#));
    assert_eq!(verify(&folder).unwrap().files.len(), 1);
    forge(&folder, &format!(r#"{{"format":1,"kiln":"0","step":7,"files":[{file},{file}]}}"#));
    assert_eq!(damage(&folder), "`manifest.json` lists `loop.json` twice");
    forge(&folder, r#"{"format":1,"kiln":"0","step":7,"files":[],"colour":"red"}"#);
    assert!(damage(&folder).contains("colour"));
    forge(&folder, r#"{"format":2,"kiln":"9","parts":[]}"#);
    assert!(matches!(verify(&folder), Err(StorageError::Newer { found: 2, known: 1, .. })));
}

#[test]
fn a_manifest_of_absurd_length_is_not_read() {
    let run = tempfile::tempdir().unwrap();
    let folder = write_checkpoint(run.path(), 7);
    fs::write(folder.join(MANIFEST_FILE), vec![b' '; (1 << 20) + 1]).unwrap();
    let error = verify(&folder).unwrap_err().to_string();
    assert!(error.contains("more than 1048576 bytes"), "{error}");
}
