//! Damaged and hostile files in a run: refused by an error that names the file, or read as something valid. Never a
//! panic, an abort or a hang, and no memory on the word of a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use burn::tensor::{BoolStore, DType, TensorData};
use kiln_hostile::{Fate, Form, each_mutant, in_a_process, within_bounds};

use super::manifest::forge;
use super::tensors::{file, refuse};
use super::{some_tensors, verify, write_checkpoint};
use crate::formats::{tensors_from_safetensors, tensors_to_safetensors};
use crate::layout::MANIFEST_FILE;
use crate::{StorageError, read_safetensors};

/// What became of a file, whose path an error must hold.
fn fate<T>(result: Result<T, StorageError>, path: &Path) -> (Fate, Option<T>) {
    match result {
        Ok(read) => (Fate::Read, Some(read)),
        Err(error) => {
            assert!(error.to_string().contains(&*path.to_string_lossy()), "{error} does not name {}", path.display());
            (Fate::Refused, None)
        }
    }
}

fn tensor_files() -> Vec<Vec<u8>> {
    let note = BTreeMap::from([("format".to_owned(), "pt".to_owned()), ("kiln".to_owned(), "{\"a\":1}".to_owned())]);
    let mut mixed = some_tensors();
    mixed.insert("truth".into(), TensorData::from_bytes_vec(vec![0, 1, 1], [3], DType::Bool(BoolStore::Native)));
    mixed.insert("empty".into(), TensorData::new(Vec::<f32>::new(), [0, 4]));
    mixed.insert("half".into(), TensorData::from_bytes_vec(vec![0; 4], [2], DType::F16));
    let files = [(some_tensors(), &note), (mixed, &note), (BTreeMap::new(), &BTreeMap::new())];
    files.map(|(tensors, note)| tensors_to_safetensors(&tensors, note).unwrap()).to_vec()
}

#[test]
fn every_mutant_of_a_tensor_file_is_refused_or_reads_as_it_would_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let tally = each_mutant(&tensor_files(), Form::Bytes, |bytes| {
        fs::write(&path, bytes).unwrap();
        let (fate, read) = fate(read_safetensors(&path), &path);
        if let Some(read) = read {
            let written = tensors_to_safetensors(&read.tensors, &read.metadata).unwrap();
            assert_eq!(tensors_from_safetensors(&written).unwrap(), read);
            assert!(read.tensors.values().map(|data| data.as_bytes().len()).sum::<usize>() <= bytes.len());
        }
        fate
    });
    assert!(tally.read > 500 && tally.refused > 5000, "{tally:?}");
}

/// The manifest's own hash lets no change through, so what is behind it is tried with a hash that was made right.
#[test]
fn every_mutant_of_a_manifest_is_refused_or_lists_what_is_there() {
    let run = tempfile::tempdir().unwrap();
    let folder = write_checkpoint(run.path(), 7);
    let path = folder.join(MANIFEST_FILE);
    let sealed = fs::read(&path).unwrap();
    let tally = each_mutant(std::slice::from_ref(&sealed), Form::Text, |bytes| {
        fs::write(&path, bytes).unwrap();
        fate(verify(&folder), &folder).0
    });
    assert!(tally.refused > 9000, "{tally:?}");

    fs::write(&path, &sealed).unwrap();
    let inner = serde_json::to_vec_pretty(&verify(&folder).unwrap()).unwrap();
    let tally = each_mutant(&[inner], Form::Text, |bytes| {
        forge(&folder, &String::from_utf8_lossy(bytes));
        let (fate, manifest) = fate(verify(&folder), &folder);
        for file in manifest.iter().flat_map(|manifest| &manifest.files) {
            let content = fs::read(folder.join(&file.name)).unwrap();
            assert_eq!((file.bytes, &*file.blake3), (content.len() as u64, &*blake3::hash(&content).to_hex()));
        }
        fate
    });
    assert!(tally.read > 100 && tally.refused > 3000, "{tally:?}");
}

fn entry(name: &str, shape: &str, offsets: &str) -> String {
    format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}"#)
}

#[test]
fn contradictions_within_a_header_are_named() {
    let twice = format!("{{{},{}}}", entry("x", "[1]", "[0,4]"), entry("x", "[1]", "[0,4]"));
    let apart = format!("{{{},{}}}", entry("x", "[1]", "[0,4]"), entry("x", "[1]", "[4,8]"));
    let truth = r#"{"x":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}}"#;
    let texts = r#"{"__metadata__":{"format":"pt","format":"np"}}"#;
    let tables = r#"{"__metadata__":{"format":"pt"},"__metadata__":{}}"#;
    let key = r#"{"x":{"dtype":"F32","shape":[1],"shape":[2],"data_offsets":[0,4]}}"#;
    let cases = [
        (file(&twice, &[0; 4]), "the tensor `x` stands there twice"),
        (file(&apart, &[0; 8]), "the tensor `x` stands there twice"),
        (file(key, &[0; 4]), "duplicate field `shape`"),
        (file(texts, &[]), "the text `format` stands there twice"),
        (file(tables, &[]), "`__metadata__` stands there twice"),
        (file(truth, &[0, 1, 2]), "the tensor `x` holds a truth value that is neither 0 nor 1, at index 2"),
        (
            file(&format!("{{{}}}", entry("x", "[2]", "[0,4]")), &[0; 4]),
            "the tensor `x` takes 4 bytes, which is not F32",
        ),
        (file(&format!("{{{}}}", entry("x", "[1]", "[8,12]")), &[0; 12]), "the tensor `x` takes the bytes 8 to 12"),
        (
            file(&format!("{{{}}}", entry("x", &format!("[{}1]", "1,".repeat(64)), "[0,4]")), &[0; 4]),
            "more than 64 axes",
        ),
        (file(&format!("{{{}}}", entry("x", "[1]", "[0,4]")), b"\0\0\0\0PK\x05\x06"), "describes"),
    ];
    for (bytes, words) in cases {
        let message = refuse(&bytes);
        assert!(message.contains(words), "{message:?} does not contain {words:?}");
    }
}

/// Headers that are all in order but for their size, each read in a process of its own that counts its memory.
#[test]
fn the_largest_headers_take_bounded_time_and_memory() {
    let folder = tempfile::tempdir().unwrap();
    let empty = |count: usize| {
        let entries: Vec<String> = (0..count).map(|index| entry(&index.to_string(), "[0]", "[0,0]")).collect();
        file(&format!("{{{}}}", entries.join(",")), &[])
    };
    let axes = file(&format!("{{{}}}", entry("x", &format!("[{}0]", "0,".repeat(4_000_000)), "[0,0]")), &[]);
    let texts = file(&format!("{{\"__metadata__\":{{\"a\":\"{}\"}}}}", "\\u0041".repeat(1_300_000)), &[]);
    let cases = [
        ("most", empty(50_000), "read"),
        ("too many", empty(50_001), "more than 50000 tensors"),
        ("a hundred thousand", empty(100_000), "more than 50000 tensors"),
        ("axes", axes, "more than 64 axes"),
        ("texts", texts, "read"),
        ("nested", file(&"{\"a\":".repeat(1_000_000), &[]), "not valid"),
    ];
    for (name, bytes, words) in cases {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let said = in_a_process("tests::hostile::a_process_reads_tensors", &path);
        assert!(said.contains(words), "{name}: {said}");
    }
}

#[test]
#[ignore = "started by the test above"]
fn a_process_reads_tensors() {
    match within_bounds(read_safetensors) {
        Ok(_) => println!("read"),
        Err(error) => println!("{error}"),
    }
}
