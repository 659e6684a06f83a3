//! What a saved model is: weights that say what they are, beside a tokenizer. How files and checkpoints are written,
//! found and verified is `kiln-storage`'s affair.

mod base;
mod description;
mod error;
mod export;
mod foreign;
mod gguf;
mod host;
mod hugging_face;
mod imported;
mod lineage;
mod open;
mod packed;
mod problem;
mod state;
#[cfg(test)]
mod tests;
mod weights;

pub use kiln_storage::Which;

pub use base::BaseProblem;
pub use description::ModelDescription;
pub use error::SavedModelError;
pub use export::{Written, export_gguf, export_hugging_face};
pub use foreign::{ChatTemplate, Conversing, ForeignModel};
pub use gguf::GgufModelError;
pub use host::HostModel;
pub use hugging_face::HuggingFaceError;
pub use imported::{
    Gate, ImportError, MatrixLayout, RecurrentFamily, RecurrentNames, TokenTexts, import_recurrent, write_as_run,
    write_model,
};
pub use lineage::Lineage;
pub use open::{
    Opening, SavedModel, config_of, conversing_of, describe, has_weights_alone, inspect_foreign, is_foreign,
    load_weights, read_description, read_formats, read_weights, tokenizer_of,
};
pub use problem::{LoadError, WeightProblem};
pub use state::{StateProblem, state_from_tensors, state_tensors};
pub use weights::{apply_adapters, apply_tensors, check_finite, collect_tensors, load};
