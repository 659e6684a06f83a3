//! How much is read: of a file no more than was asked for, and nothing twice.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::rc::Rc;

use burn::tensor::TensorData;

use super::{write_checkpoint, write_with};
use crate::formats::{Mapped, SafetensorsReader, TensorFile, tensors_to_safetensors};
use crate::testing::CountingFiles;
use crate::{
    DiskFiles, StorageError, TensorSource, VerifiedSteps, Which, list_checkpoints, open_checkpoint, open_newest_whole,
    read_safetensors, verify_checkpoint,
};

/// Every reading: where it began, and how many bytes it asked for.
type Readings = Rc<RefCell<Vec<(u64, usize)>>>;

struct Counting(Cursor<Vec<u8>>, Readings);

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1.borrow_mut().push((self.0.position(), buffer.len()));
        self.0.read(buffer)
    }
}

impl Seek for Counting {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

/// A file of eight tensors of 4 KiB each, and what is read of it.
fn eight() -> (SafetensorsReader<Counting>, Readings, usize) {
    let tensor = |index: u32| (format!("t{index}"), TensorData::new(vec![index as f32; 1024], [32, 32]));
    let tensors: BTreeMap<String, TensorData> = (0..8).map(tensor).collect();
    let bytes = tensors_to_safetensors(&tensors, &BTreeMap::new()).unwrap();
    let (length, readings) = (bytes.len(), Readings::default());
    let reader = Counting(Cursor::new(bytes), Rc::clone(&readings));
    (SafetensorsReader::new(reader, length as u64).unwrap(), readings, length)
}

fn read_so_far(readings: &Readings) -> usize {
    readings.borrow().iter().map(|(_, bytes)| bytes).sum()
}

#[test]
fn a_header_is_learned_without_the_tensors_and_a_tensor_without_the_others() {
    let (mut source, readings, length) = eight();
    assert_eq!(read_so_far(&readings), length - 8 * 4096);
    assert_eq!(source.info("t5").unwrap().shape, [32, 32]);
    assert_eq!(source.names().len(), 8);
    assert_eq!(read_so_far(&readings), length - 8 * 4096);
    for name in ["t5", "t2"] {
        let before = read_so_far(&readings);
        assert_eq!(source.read(name).unwrap().as_slice::<f32>().unwrap()[0], name[1..].parse::<f32>().unwrap());
        assert_eq!(read_so_far(&readings), before + 4096);
    }
    assert!(matches!(source.read("t9"), Err(crate::TensorFileError::Missing(name)) if name == "t9"));
}

#[test]
fn all_tensors_are_read_once_and_one_at_a_time() {
    let (source, readings, length) = eight();
    let mut source = Mapped::converted(source, burn::tensor::DType::F64).unwrap();
    for name in source.names() {
        source.read(&name).unwrap();
    }
    assert_eq!(read_so_far(&readings), length);
    let readings = readings.borrow();
    assert!(readings.iter().all(|(_, bytes)| *bytes <= 4096), "{readings:?}");
    assert!(readings.is_sorted(), "{readings:?}");
}

#[test]
fn opening_a_checkpoint_reads_every_byte_once_whatever_is_read_of_it() {
    let run = tempfile::tempdir().unwrap();
    let folder = write_checkpoint(run.path(), 7);
    let manifest = verify_checkpoint(&DiskFiles, &folder).unwrap();
    let once: Vec<(String, u64)> = manifest.files.iter().map(|file| (file.name.clone(), file.bytes)).collect();
    let whole = read_safetensors(&folder.join("model.safetensors")).unwrap();
    let counts = |files: &CountingFiles| {
        let read = files.bytes_read().into_iter();
        let read = read.map(|(path, bytes)| (path.file_name().unwrap().to_str().unwrap().to_owned(), bytes));
        read.filter(|(name, _)| name != "manifest.json").collect::<Vec<_>>()
    };
    // Nothing, all tensors in the order of the file, and everything.
    let files = CountingFiles::default();
    open_checkpoint(&files, run.path(), Which::Last, |_| Ok::<_, StorageError>(())).unwrap();
    assert_eq!(counts(&files), once);
    let files = CountingFiles::default();
    let (_, read) =
        open_checkpoint(&files, run.path(), Which::Last, |reader| reader.read_all_tensors("model.safetensors"))
            .unwrap();
    assert_eq!((read, counts(&files)), (whole.clone(), once.clone()));
    let files = CountingFiles::default();
    let read = |reader: &mut crate::CheckpointReader<'_>| {
        let text = reader.read_small("loop.json", 100)?;
        Ok::<_, StorageError>((reader.read_all_tensors("model.safetensors")?, text))
    };
    let (found, (tensors, text)) = open_newest_whole(&files, run.path(), read).unwrap();
    assert_eq!((found.manifest, tensors, &*text), (manifest, whole, &b"{\"step\":7}"[..]));
    assert_eq!(counts(&files), once);
}

#[test]
fn a_tensor_that_is_read_out_of_order_is_verified_too() {
    let run = tempfile::tempdir().unwrap();
    let folder = write_checkpoint(run.path(), 7);
    let backwards = |source: &mut dyn TensorSource| -> Result<TensorFile, StorageError> {
        let mut file = TensorFile::default();
        for name in source.names().into_iter().rev() {
            let data = source.read(&name).map_err(|error| StorageError::tensors(error, run.path(), "read"))?;
            file.tensors.insert(name, data);
        }
        Ok(file)
    };
    let open = || {
        open_checkpoint(&DiskFiles, run.path(), Which::Last, |reader| {
            reader.read_tensors("model.safetensors", backwards)
        })
    };
    let path = folder.join("model.safetensors");
    assert_eq!(open().unwrap().1.tensors, read_safetensors(&path).unwrap().tensors);
    let whole = std::fs::read(&path).unwrap();
    let header = 8 + u64::from_le_bytes(*whole.first_chunk().unwrap()) as usize;
    for place in header..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let error = open().unwrap_err().to_string();
        assert!(error.contains("`model.safetensors` was changed after it was written"), "{error}");
    }
}

#[test]
fn what_was_read_of_a_damaged_file_is_never_given_out_and_the_next_older_one_is_taken() {
    let run = tempfile::tempdir().unwrap();
    write_checkpoint(run.path(), 1);
    let newer = write_checkpoint(run.path(), 2);
    let path = newer.join("loop.json");
    std::fs::write(&path, "{\"step\":3}").unwrap();
    let (found, text) =
        open_newest_whole(&DiskFiles, run.path(), |reader| reader.read_small("loop.json", 100)).unwrap();
    assert_eq!((found.manifest.step, &*text), (1, &b"{\"step\":1}"[..]));
    // What cannot be read of a whole one is an error, not a reason to take an older one.
    std::fs::write(&path, "{\"step\":2}").unwrap();
    let error = open_newest_whole(&DiskFiles, run.path(), |reader| reader.read_small("loop.json", 3)).unwrap_err();
    assert!(error.to_string().contains("more than 3 bytes"), "{error}");
    let error = open_newest_whole(&DiskFiles, run.path(), |reader| reader.read_small("none", 3)).unwrap_err();
    assert!(error.to_string().contains("lists no `none`"), "{error}");
}

#[test]
fn what_is_known_to_be_whole_is_not_read_again_and_a_change_is_noticed_when_it_is_opened() {
    let run = tempfile::tempdir().unwrap();
    for step in [1, 2, 3] {
        write_checkpoint(run.path(), step);
    }
    let (files, known) = (CountingFiles::default(), VerifiedSteps::default());
    known.note(verify_checkpoint(&DiskFiles, &crate::checkpoint_folder(run.path(), 3)).unwrap());
    assert!(known.is_whole(&files, run.path(), 3));
    assert!(files.bytes_read().is_empty());
    // One that this process did not write is read once.
    assert!(known.is_whole(&files, run.path(), 2));
    let once = files.bytes_read();
    assert!(once.len() == 3 && known.is_whole(&files, run.path(), 2));
    assert_eq!(files.bytes_read(), once);
    // Another length is seen without reading, another content when the checkpoint is opened.
    let loop_file = |step| crate::checkpoint_folder(run.path(), step).join("loop.json");
    std::fs::write(loop_file(2), "{}").unwrap();
    std::fs::write(loop_file(3), "{\"step\":4}").unwrap();
    assert!(!known.is_whole(&files, run.path(), 2));
    assert!(known.is_whole(&files, run.path(), 3));
    assert_eq!(files.bytes_read(), once);
    assert!(matches!(
        open_checkpoint(&files, run.path(), Which::Last, |_| Ok::<_, StorageError>(())),
        Err(StorageError::Damaged { other: Some(1), .. })
    ));
    // One that is written anew is whole again.
    write_with(run.path(), 2, |staged| staged.write("loop.json", b"{}")).unwrap();
    known.note(list_checkpoints(run.path()).unwrap().swap_remove(1).valid.unwrap());
    assert!(known.is_whole(&files, run.path(), 2));
}
