//! The weights of a folder: one file, or shards with an index.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;

use burn::tensor::TensorData;
use kiln_packed::{Format, Piece};
use kiln_settings::files::{Content, Links, read_regular};
use kiln_storage::formats::{SafetensorsReader, TensorFileError, TensorInfo, TensorSource};
use kiln_storage::layout::WEIGHTS_FILE;
use kiln_storage::{StorageError, open_tensors};
use serde::Deserialize;

use super::error::HuggingFaceError;

/// The names of all tensors, each with that of its file.
const INDEX: &str = "model.safetensors.index.json";

/// The longest index that is read, bytes.
const LONGEST_INDEX: u64 = 64 << 20;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Why the weights of a folder cannot be opened.
pub(super) enum ShardsError {
    /// A file.
    Storage(StorageError),
    /// The folder.
    Folder(HuggingFaceError),
}

impl From<HuggingFaceError> for ShardsError {
    fn from(error: HuggingFaceError) -> Self {
        Self::Folder(error)
    }
}

/// The tensors of several files as one source.
pub(super) struct Shards {
    files: Vec<SafetensorsReader<File>>,
    /// The file of each tensor, in the order of the files.
    places: BTreeMap<String, usize>,
    metadata: BTreeMap<String, String>,
}

impl Shards {
    pub(super) fn open(folder: &Path) -> Result<Self, ShardsError> {
        let has = |name: &str| folder.join(name).exists();
        let open = |name: &str| open_tensors(&folder.join(name), Links::Followed).map_err(ShardsError::Storage);
        if has(WEIGHTS_FILE) {
            return Ok(Self::new(vec![open(WEIGHTS_FILE)?]));
        }
        if !has(INDEX) {
            let pickles = ["pytorch_model.bin", "pytorch_model.bin.index.json"].into_iter().find(|name| has(name));
            return Err(pickles.map_or(HuggingFaceError::NoWeights, HuggingFaceError::Pickles).into());
        }
        let index = index(folder)?;
        let names: BTreeSet<&String> = index.weight_map.values().collect();
        // A name that leads out of the folder isn't that of a shard.
        let is_name = |name: &str| Path::new(name).file_name().is_some_and(|file| file.to_str() == Some(name));
        if let Some(name) = names.iter().find(|name| !is_name(name)) {
            return Err(HuggingFaceError::Index(format!("names `{name}`, which is no name of a file")).into());
        }
        if let Some(name) = names.iter().find(|name| !has(name)) {
            let is_link = folder.join(name).symlink_metadata().is_ok();
            return Err(HuggingFaceError::MissingShard { name: (*name).clone(), is_link }.into());
        }
        let files = names.iter().map(|name| open(name)).collect::<Result<Vec<_>, _>>()?;
        for (name, file) in names.iter().zip(&files) {
            let mut own = index.weight_map.iter().filter(|(_, shard)| shard == name).map(|(tensor, _)| tensor);
            if let Some(tensor) = own.find(|tensor| file.info(tensor).is_none()) {
                return Err(
                    HuggingFaceError::Index(format!("says that `{tensor}` is in `{name}`, where it is not")).into()
                );
            }
        }
        Ok(Self::new(files))
    }

    fn new(files: Vec<SafetensorsReader<File>>) -> Self {
        let names =
            files.iter().zip(0..).flat_map(|(file, index)| file.names().into_iter().map(move |name| (name, index)));
        Self { places: names.collect(), files, metadata: BTreeMap::new() }
    }
}

fn index(folder: &Path) -> Result<Index, HuggingFaceError> {
    let problem = |problem: String| HuggingFaceError::Index(problem);
    match read_regular(&folder.join(INDEX), Links::Followed, LONGEST_INDEX)
        .map_err(|error| problem(error.to_string()))?
    {
        Content::Bytes(bytes) => {
            serde_json::from_slice(&bytes).map_err(|error| problem(format!("is no index of shards: {error}")))
        }
        Content::TooLong => Err(problem(format!("has more than {LONGEST_INDEX} bytes"))),
        Content::NotRegular => Err(problem("is no file".to_owned())),
    }
}

impl TensorSource for Shards {
    fn names(&self) -> Vec<String> {
        self.files.iter().flat_map(TensorSource::names).collect()
    }

    fn info(&self, name: &str) -> Option<TensorInfo> {
        self.files[*self.places.get(name)?].info(name)
    }

    fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    fn read(&mut self, name: &str) -> Result<TensorData, TensorFileError> {
        let index = self.places.get(name).ok_or_else(|| TensorFileError::Missing(name.to_owned()))?;
        self.files[*index].read(name)
    }

    fn read_packed(&mut self, name: &str, axis: usize) -> Result<Option<Vec<Piece>>, TensorFileError> {
        let index = self.places.get(name).ok_or_else(|| TensorFileError::Missing(name.to_owned()))?;
        self.files[*index].read_packed(name, axis)
    }

    fn format(&self, name: &str) -> Option<Format> {
        self.files[*self.places.get(name)?].format(name)
    }
}
