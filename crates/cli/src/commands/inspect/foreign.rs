//! What `kiln inspect` says of a model that another program wrote.

use std::collections::BTreeMap;
use std::path::Path;

use kiln_models::saved::inspect_hugging_face;
use kiln_models::{ModelConfig, Tokenizer, TransformerConfig};
use kiln_storage::layout::TOKENIZER_FILE;
use serde::Serialize;

use super::report::Report;
use crate::sizes::bytes;
use crate::training_display::grouped;

/// A model in Hugging Face's form.
#[derive(Debug, Serialize)]
pub(super) struct ForeignReport {
    path: String,
    family: String,
    parameters: u64,
    /// Numbers by type, as the files have them.
    types: BTreeMap<String, u64>,
    vocabulary: usize,
    context: usize,
    /// Tokens of the tokenizer; none where there is none that can be read.
    tokens: Option<usize>,
    tokenizer_problem: Option<String>,
    bytes: u64,
    warning: Option<String>,
    /// As in `[model.transformer]`.
    options: TransformerConfig,
}

/// Looks into the headers of the folder's files.
///
/// # Errors
/// As those of opening the model.
pub(super) fn report(path: &Path) -> anyhow::Result<ForeignReport> {
    let model = inspect_hugging_face(path)?;
    let tokenizer = Tokenizer::from_file(&path.join(TOKENIZER_FILE));
    let (tokens, tokenizer_problem) = match tokenizer {
        Ok(tokenizer) => (Some(tokenizer.vocabulary_size()), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let files = std::fs::read_dir(path)?.flatten().filter_map(|entry| std::fs::metadata(entry.path()).ok());
    Ok(ForeignReport {
        path: path.display().to_string(),
        family: model.family,
        parameters: model.parameters,
        types: model.types,
        vocabulary: model.vocabulary,
        context: model.context,
        tokens,
        tokenizer_problem,
        bytes: files.filter(std::fs::Metadata::is_file).map(|file| file.len()).sum(),
        warning: model.warning,
        options: model.config,
    })
}

impl Report for ForeignReport {
    fn words(&self) -> String {
        let types: Vec<String> = self.types.iter().map(|(kind, count)| format!("{} {kind}", grouped(*count))).collect();
        let tokenizer = match (&self.tokens, &self.tokenizer_problem) {
            (Some(tokens), _) => format!("{} tokens", grouped(*tokens as u64)),
            (None, problem) => format!("not usable: {}", problem.as_deref().unwrap_or_default()),
        };
        let mut lines = vec![
            format!("{}: a model in Hugging Face's form, {}", self.path, bytes(self.bytes)),
            String::new(),
            format!("family       {}", self.family),
            format!("parameters   {}; in its files {}", grouped(self.parameters), types.join(", ")),
            format!("vocabulary   {} rows; tokenizer: {tokenizer}", grouped(self.vocabulary as u64)),
            format!("context      {} tokens", grouped(self.context as u64)),
        ];
        lines.extend(self.warning.iter().map(|warning| format!("warning      {warning}")));
        lines.push(String::new());
        lines.push("as a configuration it would be:".to_owned());
        lines.extend(toml::to_string(&Model { model: ModelConfig::Transformer(self.options.clone()) }).ok());
        lines.join("\n") + "\n"
    }

    fn is_whole(&self) -> bool {
        self.tokens.is_some()
    }
}

#[derive(Serialize)]
struct Model {
    model: ModelConfig,
}
