//! GGUF: numbers to the bit of the reference, and files that are written and read again.
//!
//! `scripts/reference/gguf_numbers.py` made the fixtures.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use kiln_hostile::{Fate, Form, each_mutant};
use kiln_settings::files::Links;

use crate::formats::gguf::{GgufArray, GgufReader, GgufTensor, GgufValue, write_gguf};
use crate::formats::{TensorFile, TensorSource};
use crate::{open_gguf, read_safetensors};
use kiln_packed::Format;

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/gguf")).join(name)
}

fn bits(data: &TensorData) -> Vec<u32> {
    let data = data.clone().try_cast(DType::F32).unwrap();
    data.as_slice::<f32>().unwrap().iter().map(|number| number.to_bits()).collect()
}

#[test]
fn packed_numbers_are_those_of_the_reference_to_the_bit() {
    let mut file = open_gguf(&fixture("packed.gguf"), Links::Refused).unwrap();
    let expected = read_safetensors(&fixture("packed.safetensors")).unwrap().tensors;
    let names = file.names();
    assert_eq!(names.len(), Format::ALL.len());
    for name in names {
        let (kind, info) = (file.kind(&name).unwrap(), file.info(&name).unwrap());
        let data = file.read(&name).unwrap();
        assert_eq!((data.dtype(), data.shape().to_vec()), (info.dtype, info.shape), "{name}");
        assert_eq!(kind.name().to_lowercase(), name);
        assert_eq!(data.shape(), expected[&name].shape(), "{name}");
        assert_eq!(bits(&data), bits(&expected[&name]), "{name}");
    }
}

#[test]
fn the_table_holds_values_of_every_type() {
    let file = open_gguf(&fixture("packed.gguf"), Links::Refused).unwrap();
    let values = file.values();
    assert_eq!(values["general.architecture"].as_text(), Some("llama"));
    assert_eq!(values["a.u32"].as_u64(), Some(4_000_000_000));
    assert_eq!((values["a.i8"].as_u64(), values["a.i8"].as_f64()), (None, Some(-3.0)));
    assert_eq!(values["a.f64"].as_f64(), Some(0.1));
    assert_eq!(values["a.bool"].as_bool(), Some(true));
    assert_eq!(values["a.texts"].as_texts().unwrap(), ["", "Grüße", "a\nb"]);
    assert_eq!(values["a.numbers"].as_whole_numbers().unwrap(), [1, -2, 3]);
    assert_eq!(values["a.floats"].as_floats().unwrap(), [0.5, -1.25]);
}

fn written(values: &BTreeMap<String, GgufValue>, tensors: &[GgufTensor], source: &TensorFile) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_gguf(&mut bytes, values, tensors, &mut source.clone()).unwrap();
    bytes
}

fn tensor(name: &str, kind: Format) -> GgufTensor {
    GgufTensor { name: name.to_owned(), kind }
}

#[test]
fn numbers_are_packed_into_eight_bits_as_the_reference_packs_them() {
    let expected = read_safetensors(&fixture("packed.safetensors")).unwrap();
    let bytes = written(&BTreeMap::new(), &[tensor("q8.source", Format::Q8_0)], &expected);
    let packed = expected.tensors["q8.packed"].as_bytes();
    assert!(bytes.windows(packed.len()).any(|window| window == packed));
}

#[test]
fn a_written_file_is_read_again() {
    let values = BTreeMap::from([
        ("general.architecture".to_owned(), GgufValue::Text("llama".to_owned())),
        ("llama.block_count".to_owned(), GgufValue::U32(2)),
        ("tokens".to_owned(), GgufValue::Array(GgufArray::Texts(vec!["a".to_owned(), "ü".to_owned()]))),
        ("types".to_owned(), GgufValue::Array(GgufArray::Whole(vec![1, -3]))),
        ("scores".to_owned(), GgufValue::Array(GgufArray::Floats(vec![0.5]))),
        ("flags".to_owned(), GgufValue::Array(GgufArray::Flags(vec![true, false]))),
    ]);
    let numbers: Vec<f32> = (0..15).map(|index| index as f32 / 8.0).collect();
    let source = TensorFile {
        tensors: [
            ("one".to_owned(), TensorData::new(numbers.clone(), [3, 5])),
            ("two".to_owned(), TensorData::new(numbers, [15])),
        ]
        .into(),
        ..TensorFile::default()
    };
    for kind in [Format::F32, Format::F16, Format::Bf16] {
        let bytes = written(&values, &[tensor("two", kind), tensor("one", Format::F32)], &source);
        let mut read = GgufReader::new(Cursor::new(&bytes), bytes.len() as u64).unwrap();
        assert_eq!(read.values(), &values);
        assert_eq!(read.names(), ["two", "one"]);
        for name in ["one", "two"] {
            assert_eq!(read.read(name).unwrap().shape(), source.tensors[name].shape());
            // Eighths below two have seven bits.
            assert_eq!(bits(&read.read(name).unwrap()), bits(&source.tensors[name]), "{kind:?} {name}");
        }
    }
    let mut none = Vec::new();
    let unfit = write_gguf(&mut none, &values, &[tensor("one", Format::Q8_0)], &mut source.clone()).unwrap_err();
    assert!(unfit.to_string().contains("no multiple of 32"), "{unfit}");
    assert!(none.is_empty(), "nothing is written before every tensor is known to fit");
}

#[test]
fn what_is_no_gguf_file_is_refused_with_the_reason() {
    let whole = fs::read(fixture("packed.gguf")).unwrap();
    let refused = |bytes: &[u8]| GgufReader::new(Cursor::new(bytes), bytes.len() as u64).unwrap_err().to_string();
    let changed = |at: usize, to: &[u8]| {
        let mut bytes = whole.clone();
        bytes[at..at + to.len()].copy_from_slice(to);
        bytes
    };
    assert_eq!(refused(b"GGML"), "it does not begin with `GGUF`");
    assert!(refused(b"GG").contains("it ends within its header"));
    assert!(refused(&changed(4, &1_u32.to_le_bytes())).contains("version 1"));
    assert!(refused(&changed(8, &u64::MAX.to_le_bytes())).contains("at most 65536 are read"));
    assert!(refused(&whole[..100]).contains("it ends within its header"));
    assert!(refused(&whole[..whole.len() - 64]).contains("and the file has"));
}

#[test]
fn every_mutant_is_refused_or_read() {
    let whole = fs::read(fixture("packed.gguf")).unwrap();
    let tally =
        each_mutant(&[whole], Form::Bytes, |bytes| match GgufReader::new(Cursor::new(bytes), bytes.len() as u64) {
            Ok(mut read) => {
                for name in read.names() {
                    let _ = read.read(&name);
                }
                Fate::Read
            }
            Err(_) => Fate::Refused,
        });
    assert!(tally.read > 500 && tally.refused > 500, "{tally:?}");
}
