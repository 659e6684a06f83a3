//! What to do about a model that another program saved.

use std::path::Path;

use kiln_models::saved::{GgufModelError, HuggingFaceError, SavedModelError, WeightProblem, is_foreign};
use kiln_storage::StorageError;

use crate::runs::quoted;

/// Where the files of a model belong together.
const FROM_ONE_PLACE: &str = "download `config.json` and the weights again, both from one place";

/// What helps, if the error is of such a model.
pub(super) fn advice(error: &SavedModelError) -> Option<String> {
    match error {
        SavedModelError::HuggingFace { folder, problem } => of_folder(problem, folder),
        SavedModelError::Gguf { problem, .. } => Some(of_gguf(problem).to_owned()),
        SavedModelError::Weights { path, problems } if is_foreign(path) => {
            Some(if problems.iter().any(WeightProblem::is_not_finite) {
                "its numbers are of no use: download it again, and if they stay so, take another model".to_owned()
            } else {
                FROM_ONE_PLACE.to_owned()
            })
        }
        SavedModelError::Storage(StorageError::TensorFile { path, .. }) if of_foreign_folder(path) => {
            Some(format!("the file was cut or changed: download `{}` again", path.display()))
        }
        SavedModelError::Tokenizer { path, .. } if of_foreign_folder(path) => Some(format!(
            "download `{}` again, or let transformers write a `tokenizer.json`: {}",
            path.file_name().unwrap_or_default().to_string_lossy(),
            written_again("AutoTokenizer", path.parent().unwrap_or(path))
        )),
        _ => None,
    }
}

/// Whether a file is in a folder of such a model, or is the folder itself.
fn of_foreign_folder(path: &Path) -> bool {
    is_foreign(path) || path.parent().is_some_and(is_foreign)
}

fn of_folder(problem: &HuggingFaceError, folder: &Path) -> Option<String> {
    Some(match problem {
        HuggingFaceError::Config(_) | HuggingFaceError::MissingKey(_) | HuggingFaceError::Value { .. } => {
            "download `config.json` again; what it says can only be changed together with the weights".to_owned()
        }
        HuggingFaceError::UnknownArchitecture { .. } => {
            "take a model of one of these, or train one of your own: `kiln new NAME --text FILE`".to_owned()
        }
        HuggingFaceError::UnknownKey(key) => format!(
            "if the model computes the same without `{key}`, take the key out of `config.json`; otherwise Kiln can't \
             compute this model yet"
        ),
        HuggingFaceError::EndTokens { file, .. } => of_file_beside(file),
        HuggingFaceError::Beside { file, .. } => of_file_beside(file),
        HuggingFaceError::NoTokenizer => {
            "download the tokenizer from where the model is from, and put it into the folder".to_owned()
        }
        HuggingFaceError::NoWeights => "download the weights, and put them into the folder".to_owned(),
        HuggingFaceError::Pickles(_) => {
            let command = written_again("AutoModelForCausalLM", folder);
            format!("if you trust where they are from, write them as safetensors: {command}")
        }
        HuggingFaceError::MissingShard { name, .. } => format!("download `{name}` into the folder"),
        HuggingFaceError::Index(_) => {
            "download `model.safetensors.index.json` again; every shard that it names is in its own folder".to_owned()
        }
        HuggingFaceError::UnknownTensor(_)
        | HuggingFaceError::OtherSize { .. }
        | HuggingFaceError::FewerTensors { .. } => FROM_ONE_PLACE.to_owned(),
        HuggingFaceError::OtherTokenizer { .. } => {
            "put the tokenizer of this model into the folder, from where the weights are from".to_owned()
        }
        _ => return None,
    })
}

/// The command that opens what is in a folder with `transformers`, and writes it into it.
fn written_again(class: &str, folder: &Path) -> String {
    let folder = quoted(&folder.to_string_lossy());
    format!(
        "`python -c \"import sys; from transformers import {class} as T; \
         T.from_pretrained(sys.argv[1]).save_pretrained(sys.argv[1])\" {folder}`"
    )
}

fn of_file_beside(file: &str) -> String {
    format!("download `{file}` again, or take it out of the folder")
}

fn of_gguf(problem: &GgufModelError) -> &'static str {
    match problem {
        GgufModelError::UnknownArchitecture { .. } => {
            "take a model of one of these, or train one of your own: `kiln new NAME --text FILE`"
        }
        GgufModelError::Value { .. } | GgufModelError::UnknownKey(_) | GgufModelError::Tokenizer(_) => {
            "this Kiln can't compute it as it was meant: take the model's folder in Hugging Face's form, or another \
             model"
        }
        GgufModelError::MissingKey(_) | GgufModelError::Model(_) => {
            "the file is damaged or no language model: download it again, or make it again with llama.cpp's \
             `convert_hf_to_gguf.py`"
        }
        _ => "download the file again",
    }
}
