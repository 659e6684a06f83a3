//! What tests share.

use kiln_data::shards::{PreparedData, TokenFile};
use kiln_models::{CharacterTokenizerConfig, Tokenizer, TokenizerConfig};
use kiln_settings::Source;

use crate::config::Study;

/// A study of one repeat with Adam at a constant rate: its models and what is measured, and what is in `[run]`.
pub(crate) fn study_of(body: &str, run: &str) -> Study {
    let text = if body.contains("[study.recall]") { "" } else { "[data.builtin]\n[tokenizer.character]\n" };
    let text = format!(
        "title = \"a study\"\nseeds = 1\n{text}[optimizer.adamw]\n[schedule.constant]\nrate = 0.01\n\
         [run]\n{run}\n{body}"
    );
    Study::read(&Source::new("study.toml", text), &[]).unwrap_or_else(|errors| panic!("{errors}"))
}

/// A text of a few words over and over, of which the last part is kept for validation.
pub(crate) fn text() -> PreparedData {
    let text = "so much depends upon a red wheel barrow glazed with rain water ".repeat(40);
    let config = TokenizerConfig::Character(CharacterTokenizerConfig::default());
    let tokenizer = Tokenizer::train(&config, &mut std::iter::once(Ok(text.clone()))).expect("it is a text");
    let file = |text: &str| TokenFile::in_memory(text, &tokenizer).expect("it was made of it");
    let (train, validation) = (file(&text[..2000]), file(&text[2000..]));
    PreparedData { train, validation, floor: None, conversations: None, documents: 1, separators: 0, tokenizer }
}
