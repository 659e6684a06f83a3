//! What `kiln inspect` says of a model that another program wrote.

use std::collections::BTreeMap;
use std::path::Path;

use kiln_models::ModelConfig;
use kiln_models::saved::{has_weights_alone, inspect_foreign};
use serde::Serialize;

use super::report::Report;
use crate::sizes::bytes;
use crate::training_display::grouped;

/// A model in Hugging Face's form, in GGUF, or without a run.
#[derive(Debug, Serialize)]
pub(super) struct ForeignReport {
    path: String,
    form: &'static str,
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
    license: Option<String>,
    has_chat_template: bool,
    warning: Option<String>,
    /// What was done to make it smaller, where Kiln did.
    compressed: Vec<String>,
    /// As in `[model]`.
    options: ModelConfig,
}

/// Looks into the headers of the folder's files.
///
/// # Errors
/// As those of opening the model.
pub(super) fn report(path: &Path) -> anyhow::Result<ForeignReport> {
    let model = inspect_foreign(path)?;
    let (tokens, tokenizer_problem) = match model.tokens {
        Ok(tokens) => (Some(tokens), None),
        Err(problem) => (None, Some(problem)),
    };
    let form = match path {
        path if has_weights_alone(path) => "a model without a run",
        path if path.is_dir() => "a model in Hugging Face's form",
        _ => "a model in GGUF",
    };
    let bytes = if path.is_dir() {
        let files = std::fs::read_dir(path)?.flatten().filter_map(|entry| std::fs::metadata(entry.path()).ok());
        files.filter(std::fs::Metadata::is_file).map(|file| file.len()).sum()
    } else {
        std::fs::metadata(path)?.len()
    };
    Ok(ForeignReport {
        path: path.display().to_string(),
        form,
        family: model.family,
        parameters: model.parameters,
        types: model.types,
        vocabulary: model.vocabulary,
        context: model.context,
        tokens,
        tokenizer_problem,
        bytes,
        license: model.license,
        has_chat_template: model.has_chat_template,
        warning: model.warning,
        compressed: model.compressed,
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
            format!("{}: {}, {}", self.path, self.form, bytes(self.bytes)),
            String::new(),
            format!("family       {}", self.family),
            format!("parameters   {}; in its files {}", grouped(self.parameters), types.join(", ")),
            format!("vocabulary   {} rows; tokenizer: {tokenizer}", grouped(self.vocabulary as u64)),
            format!("context      {} tokens", grouped(self.context as u64)),
        ];
        lines.extend(self.compressed.iter().map(|step| format!("compressed   {step}")));
        if self.has_chat_template {
            lines.push("conversation it has a template; `kiln chat` holds one".to_owned());
        }
        lines.extend(self.license.iter().map(|license| format!("licence      {license}")));
        lines.extend(self.warning.iter().map(|warning| format!("warning      {warning}")));
        lines.push(String::new());
        lines.push("as a configuration it would be:".to_owned());
        lines.extend(toml::to_string(&Model { model: self.options.clone() }).ok());
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
