//! What both examples begin with.

use std::path::Path;

use burn::tensor::Device;
use kiln_models::saved::SavedModel;
use kiln_models::{ByteTokenizerConfig, LanguageModel, LstmConfig, ModelConfig, Tokenizer, TokenizerConfig};

/// The best checkpoint of the run at `path`; without a path a tiny model with fresh weights, which knows nothing yet.
pub(crate) fn open(path: Option<String>) -> Result<(LanguageModel, Tokenizer), Box<dyn std::error::Error>> {
    if let Some(path) = path {
        let saved = SavedModel::open(Path::new(&path), Default::default(), &Device::flex())?;
        return Ok((saved.model, saved.tokenizer));
    }
    let config = TokenizerConfig::Byte(ByteTokenizerConfig::default());
    let tokenizer = Tokenizer::train(&config, &mut std::iter::empty())?;
    let config = ModelConfig::Lstm(LstmConfig { layers: 1, hidden: 16, ..LstmConfig::default() });
    Ok((config.init(tokenizer.vocabulary_size(), 64, 1, &Device::flex()), tokenizer))
}
