use std::collections::BTreeMap;
use std::fs;

use burn::tensor::{BoolStore, DType, TensorData};
use proptest::prelude::*;
use safetensors::SafeTensors;

use super::{some_tensors, write_with};
use crate::formats::{tensors_from_safetensors, tensors_to_safetensors};
use crate::{StorageError, TensorFileError, read_safetensors};

fn metadata() -> BTreeMap<String, String> {
    BTreeMap::from([("format".to_owned(), "pt".to_owned()), ("note".to_owned(), "with \"quotes\" and ü".to_owned())])
}

/// A file with the header `header` and `data` after it, whatever they say.
pub(super) fn file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

pub(super) fn refuse(bytes: &[u8]) -> String {
    tensors_from_safetensors(bytes).expect_err("must be refused").to_string()
}

#[test]
fn tensors_of_every_type_come_back_bit_for_bit() {
    let bytes: Vec<u8> = (0..48).collect();
    let types = [
        DType::F64,
        DType::F32,
        DType::F16,
        DType::BF16,
        DType::I64,
        DType::I32,
        DType::I16,
        DType::I8,
        DType::U64,
        DType::U32,
        DType::U16,
        DType::U8,
    ];
    let mut tensors = some_tensors();
    for dtype in types {
        let length = 48 / dtype.size();
        let data = TensorData::from_bytes_vec(bytes.clone(), [2, length / 2], dtype);
        tensors.insert(format!("{dtype:?}"), data);
    }
    let truth = TensorData::from_bytes_vec(vec![0, 1, 1], [3], DType::Bool(BoolStore::Native));
    tensors.insert("truth".to_owned(), truth);
    tensors.insert("empty".to_owned(), TensorData::new(Vec::<f32>::new(), [0, 4]));
    tensors.insert("scalar".to_owned(), TensorData::new(vec![5_i64], [0_usize; 0]));

    let written = tensors_to_safetensors(&tensors, &metadata()).unwrap();
    let read = tensors_from_safetensors(&written).unwrap();

    assert_eq!(read.tensors, tensors);
    assert_eq!(read.metadata, metadata());
}

#[test]
fn the_reference_reader_finds_the_same_names_shapes_and_bytes() {
    let written = tensors_to_safetensors(&some_tensors(), &metadata()).unwrap();
    let reference = SafeTensors::deserialize(&written).unwrap();

    assert_eq!(reference.len(), 2);
    for (name, data) in some_tensors() {
        let tensor = reference.tensor(&name).unwrap();
        assert_eq!(tensor.dtype(), safetensors::Dtype::F32);
        assert_eq!(tensor.shape(), &data.shape()[..]);
        assert_eq!(tensor.data(), data.as_bytes());
    }
    let (_, header) = SafeTensors::read_metadata(&written).unwrap();
    assert_eq!(header.metadata().as_ref().unwrap()["note"], "with \"quotes\" and ü");
}

#[test]
fn a_file_of_the_reference_writer_is_read() {
    let value = 2.5_f32.to_le_bytes();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1, 1], &value).unwrap();
    let written = safetensors::serialize([("x", view)], None).unwrap();

    let read = tensors_from_safetensors(&written).unwrap();

    assert_eq!(read.tensors["x"], TensorData::new(vec![2.5_f32], [1, 1]));
    assert!(read.metadata.is_empty());
}

#[test]
fn the_same_content_gives_the_same_bytes_and_aligned_values() {
    let mut tensors = some_tensors();
    tensors.insert("a byte".to_owned(), TensorData::new(vec![1_u8], [1]));
    tensors.insert("wide".to_owned(), TensorData::new(vec![1.0_f64], [1]));
    let written = tensors_to_safetensors(&tensors, &metadata()).unwrap();

    assert_eq!(written, tensors_to_safetensors(&tensors.clone(), &metadata()).unwrap());
    let reference = SafeTensors::deserialize(&written).unwrap();
    for (name, tensor) in reference.tensors() {
        let start = tensor.data().as_ptr() as usize - written.as_ptr() as usize;
        assert_eq!(start * 8 % tensor.dtype().bitsize(), 0, "{name} is not aligned");
    }
}

#[test]
fn what_the_format_cannot_hold_is_refused_when_written() {
    let reserved = BTreeMap::from([("__metadata__".to_owned(), TensorData::new(vec![1_u8], [1]))]);
    assert!(matches!(tensors_to_safetensors(&reserved, &metadata()), Err(TensorFileError::ReservedName)));

    let wide_truth = TensorData::from_bytes_vec(vec![1, 0, 0, 0], [1], DType::Bool(BoolStore::U32));
    let unknown = BTreeMap::from([("x".to_owned(), wide_truth)]);
    assert!(matches!(tensors_to_safetensors(&unknown, &metadata()), Err(TensorFileError::UnknownType { .. })));
}

#[test]
fn hostile_headers_are_refused_by_name() {
    let entry = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"x":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    let cases = [
        (vec![], "too few"),
        (vec![1, 0, 0], "too few"),
        (u64::MAX.to_le_bytes().to_vec(), "claims 18446744073709551615 bytes"),
        (file(&entry("F32", "[1]", "[0,4]"), &[0; 4])[..40].to_vec(), "claims"),
        (file("", &[]), "not valid"),
        (file("[]", &[]), "not valid"),
        (file(&"[".repeat(5000), &[]), "not valid"),
        (file(r#"{"x":5}"#, &[]), "not valid"),
        (file(&entry("F31", "[1]", "[0,4]"), &[0; 4]), "not valid"),
        (file(&entry("F32", "[2]", "[0,4]"), &[0; 4]), "not valid"),
        (file(&entry("F32", "[-1]", "[0,4]"), &[0; 4]), "not valid"),
        (file(&entry("F32", "[1]", "[4,0]"), &[0; 4]), "not valid"),
        (file(&entry("F32", "[1]", "[4,8]"), &[0; 8]), "not valid"),
        (file(&entry("F32", "[4294967296,4294967296]", "[0,0]"), &[]), "not valid"),
        (file(&entry("F32", "[4611686018427387904]", "[0,18446744073709551615]"), &[0; 4]), "not valid"),
        (file(&entry("U8", "[18446744073709551615]", "[0,18446744073709551615]"), &[0; 4]), "not valid"),
        (file(&entry("F32", "[1]", "[0,4]"), &[0; 5]), "describes"),
        (file(&entry("F32", "[1]", "[0,4]"), &[0; 3]), "describes"),
        (file(&entry("F32", "[1000000000]", "[0,4000000000]"), &[0; 4]), "describes"),
        (file(&entry("F8_E4M3", "[4]", "[0,4]"), &[0; 4]), "cannot be kept"),
    ];
    for (bytes, words) in cases {
        let message = refuse(&bytes);
        assert!(message.contains(words), "{message:?} does not contain {words:?}");
    }
}

#[test]
fn a_header_longer_than_any_real_one_is_not_read() {
    let message = refuse(&file(&" ".repeat((8 << 20) + 1), &[]));
    assert!(message.contains("at most"), "{message}");
}

#[test]
fn overlapping_tensors_are_refused() {
    let place = r#"{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
    let header = format!(r#"{{"x":{place},"y":{place}}}"#);
    assert!(refuse(&file(&header, &[0; 4])).contains("not valid"));
}

/// Every byte of the header set to every value: what is read then fits the file, or there is an error. Never a panic.
#[test]
fn no_changed_byte_of_the_header_makes_reading_panic() {
    let written = tensors_to_safetensors(&some_tensors(), &metadata()).unwrap();
    let header = 8 + u64::from_le_bytes(*written.first_chunk().unwrap()) as usize;
    let mut bytes = written.clone();
    let mut refused = 0;
    for place in 0..header {
        for value in 0..=255 {
            bytes[place] = value;
            match tensors_from_safetensors(&bytes) {
                Ok(read) => assert!(read.tensors.values().all(|data| data.as_bytes().len() <= written.len())),
                Err(_) => refused += 1,
            }
        }
        bytes[place] = written[place];
    }
    assert!(refused > header * 100, "only {refused} changes were noticed");
}

#[test]
fn every_truncation_is_refused() {
    let written = tensors_to_safetensors(&some_tensors(), &metadata()).unwrap();
    for length in 0..written.len() {
        assert!(tensors_from_safetensors(&written[..length]).is_err(), "cut to {length} bytes and accepted");
    }
}

proptest! {
    #[test]
    fn no_spliced_file_makes_reading_panic(
        start in 0_usize..400,
        length in 0_usize..64,
        splice in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut bytes = tensors_to_safetensors(&some_tensors(), &metadata()).unwrap();
        let start = start.min(bytes.len());
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, splice);
        let _ = tensors_from_safetensors(&bytes);
    }
}

#[test]
fn a_written_file_is_read_and_errors_name_their_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.safetensors");
    let written =
        write_with(folder.path(), 1, |staging| staging.write_tensors("x", &some_tensors(), &metadata())).unwrap();
    fs::rename(written.join("x"), &path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), tensors_to_safetensors(&some_tensors(), &metadata()).unwrap());
    assert_eq!(read_safetensors(&path).unwrap().tensors, some_tensors());

    fs::write(&path, b"not a safetensors file at all").unwrap();
    let error = read_safetensors(&path).unwrap_err();
    assert!(error.to_string().contains("x.safetensors"), "{error}");
    assert!(matches!(error, StorageError::TensorFile { .. }));
    assert!(matches!(read_safetensors(folder.path()), Err(StorageError::NotAFile { .. })));
    assert!(matches!(read_safetensors(&folder.path().join("none")), Err(StorageError::Io { .. })));
}

#[cfg(unix)]
#[test]
fn a_device_or_a_link_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("link");
    std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
    assert!(matches!(read_safetensors(&link), Err(StorageError::NotAFile { .. })));
    assert!(matches!(read_safetensors("/dev/zero".as_ref()), Err(StorageError::NotAFile { .. })));
}
