//! Models of other programs made models of Kiln: published ones as they are, recurrent ones by a table of names.

mod matrices;
mod names;
#[cfg(test)]
mod tests;

use std::path::Path;

use burn::tensor::Device;
use kiln_settings::files::Links;
use kiln_storage::layout::{CHECKPOINTS, CONFIG_FILE, RECORD_FILE, TOKENIZER_FILE, WEIGHTS_FILE};
use kiln_storage::{
    DiskFiles, StorageError, TensorFileError, checkpoint_folder, create_folder_durably, name_best, open_tensors,
    read_small, write_file_atomically, write_folder_atomically,
};

use self::matrices::parameters;
pub use self::names::{Gate, MatrixLayout, RecurrentFamily, RecurrentNames, TokenTexts};
use super::description::ModelDescription;
use super::error::SavedModelError;
use super::host::HostModel;
use super::open::SavedModel;
use super::weights::{apply_tensors, check_finite};

/// Windows of a recurrent model, which reads texts of any length.
const CONTEXT: usize = 256;
/// The longest record of a run, bytes.
const LONGEST_RECORD: u64 = 1 << 20;

/// Why a recurrent model cannot be made of a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// A tensor that the names call for.
    #[error("it has no tensor `{tensor}`, which `{key}` names; it has {there}")]
    Missing {
        /// The key of the table of names.
        key: &'static str,
        /// The tensor.
        tensor: String,
        /// Some that are there.
        there: String,
    },
    /// Shapes that make no model.
    #[error("its tensor `{tensor}` has the shape {found:?}, and {expected} is expected")]
    Shape {
        /// The tensor.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// In words.
        expected: String,
    },
    /// The order of the gates isn't one.
    #[error("`gates` must name each of {expected} once")]
    Gates {
        /// The gates of the family.
        expected: &'static str,
    },
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] TensorFileError),
    /// The tokens cannot be used.
    #[error("its tokens cannot be used: {0}")]
    Tokens(String),
}

/// The recurrent model whose weights are in the safetensors file at `path` under these names.
///
/// # Errors
/// See [`ImportError`]; nothing is ever loaded in part.
pub fn import_recurrent(
    path: &Path,
    names: &RecurrentNames,
    tokens: &TokenTexts,
    device: &Device,
) -> Result<SavedModel, SavedModelError> {
    let wrong = |problem| match problem {
        ImportError::File(problem) => StorageError::tensors(problem, path, "read").into(),
        problem => SavedModelError::Import { path: path.to_path_buf(), problem },
    };
    let (tokenizer, start, end) = tokens.tokenizer().map_err(wrong)?;
    let mut source = open_tensors(path, Links::Followed)?;
    let (config, rows, tensors) = parameters(&mut source, names).map_err(wrong)?;
    if tokenizer.vocabulary_size() > rows {
        let words = format!("there are {}, and the model knows {rows}", tokenizer.vocabulary_size());
        return Err(wrong(ImportError::Tokens(words)));
    }
    check_finite(&tensors, path)?;
    let model = apply_tensors(config.blank(rows, CONTEXT, device), tensors, path)?;
    let mut description = ModelDescription::new(config, &tokenizer, CONTEXT);
    description.vocabulary_size = rows;
    description.start_tokens.clone_from(&start);
    description.end_tokens.clone_from(&end);
    let (folder, run) = (path.to_path_buf(), path.to_path_buf());
    Ok(SavedModel {
        model,
        tokenizer,
        description,
        folder,
        run,
        step: None,
        start,
        end,
        chat_template: None,
        warning: None,
    })
}

/// Writes a model into `folder`, which is there, as Kiln keeps one: `model.safetensors` and `tokenizer.json`. Packed
/// matrices stay packed.
///
/// # Errors
/// A value that is not finite, a device that fails, or what the system says.
pub fn write_model(saved: &SavedModel, folder: &Path) -> Result<(), SavedModelError> {
    let description = ModelDescription { imported: true, ..saved.description.clone() };
    let weights = HostModel::of(&saved.model, &description)?.to_bytes()?;
    let tokenizer = saved.tokenizer.to_json();
    write_file_atomically(&DiskFiles, &folder.join(TOKENIZER_FILE), tokenizer.as_bytes())?;
    Ok(write_file_atomically(&DiskFiles, &folder.join(WEIGHTS_FILE), &weights)?)
}

/// Writes a model that a run of Kiln's trained into `folder`, which is there, as a run whose one checkpoint has no more
/// than weights. Packed matrices stay packed; `config` is the text of its configuration.
///
/// # Errors
/// As [`write_model`].
pub fn write_as_run(saved: &SavedModel, step: u64, config: &str, folder: &Path) -> Result<(), SavedModelError> {
    let weights = HostModel::of(&saved.model, &saved.description)?;
    for (name, content) in [(CONFIG_FILE, config), (TOKENIZER_FILE, &saved.tokenizer.to_json())] {
        write_file_atomically(&DiskFiles, &folder.join(name), content.as_bytes())?;
    }
    let record = saved.run.join(RECORD_FILE);
    if record.exists() {
        let content = read_small(&DiskFiles, &record, LONGEST_RECORD)?;
        write_file_atomically(&DiskFiles, &folder.join(RECORD_FILE), &content)?;
    }
    create_folder_durably(&DiskFiles, &folder.join(CHECKPOINTS))?;
    write_folder_atomically(&DiskFiles, &checkpoint_folder(folder, step), step, |staged| weights.write(staged))?;
    Ok(name_best(&DiskFiles, folder, step)?)
}
