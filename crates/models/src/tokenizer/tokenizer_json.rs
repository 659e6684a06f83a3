//! Reading `tokenizer.json`: whatever a file holds, the result is a tokenizer or an error.

use std::collections::HashSet;
use std::panic::catch_unwind;
use std::path::Path;

use super::error::TokenizerError;
use super::outline::Outline;
use kiln_settings::files::{Content, Links, read_regular};

/// The largest tokenizer file that is read; the largest published ones are about 40 MB.
const LARGEST_FILE: u64 = 128 << 20;

/// The text of the file at `path`, if it is a plain file of a sane size.
pub(super) fn read(path: &Path) -> Result<String, TokenizerError> {
    let failed = |source| TokenizerError::Read { path: path.to_owned(), source };
    let invalid = |reason: String| TokenizerError::Invalid { place: path.display().to_string(), reason };
    let json = match read_regular(path, Links::Followed, LARGEST_FILE).map_err(failed)? {
        Content::Bytes(json) => json,
        Content::NotRegular => return Err(invalid("it is not a file".to_owned())),
        Content::TooLong => return Err(invalid(format!("it is larger than {} MiB", LARGEST_FILE >> 20))),
    };
    String::from_utf8(json).map_err(|error| {
        invalid(format!("it is not UTF-8 (first wrong byte at offset {})", error.utf8_error().valid_up_to()))
    })
}

/// The tokenizer that `json` describes, with the number of tokens its model can give.
pub(super) fn parse(json: &str, place: &str) -> Result<(tokenizers::Tokenizer, usize), TokenizerError> {
    let invalid = |reason: String| TokenizerError::Invalid { place: place.to_owned(), reason };
    let outline: Outline = serde_json::from_str(json).map_err(|error| invalid(error.to_string()))?;
    outline.check().map_err(invalid)?;
    // The crate has panicked on malformed files in several versions.
    let library = catch_unwind(|| tokenizers::Tokenizer::from_bytes(json))
        .map_err(|_| invalid("the tokenizer library gave up on it".to_owned()))?
        .map_err(|error| invalid(error.to_string()))?;
    let vocabulary_size = check_ids(&library, &outline).map_err(invalid)?;
    Ok((library, vocabulary_size))
}

/// The size of the vocabulary, which is one more than the largest token. Tables are as large, so holes are bounded.
fn check_ids(library: &tokenizers::Tokenizer, outline: &Outline) -> Result<usize, String> {
    for added in outline.added_tokens.iter().filter(|added| !added.content.is_empty()) {
        let id = library.token_to_id(&added.content);
        if id != Some(added.id) {
            let given = id.map_or("none".to_owned(), |id| id.to_string());
            return Err(format!("the added token {:?} says it is token {}, but is {given}", added.content, added.id));
        }
    }
    let (entries, known) = (outline.model.vocab.entries, library.get_vocab_size(false));
    if entries != known {
        return Err(format!("`model.vocab` has {entries} entries for {known} tokens, so some stand there twice"));
    }
    let vocabulary = library.get_vocab(true);
    let distinct = vocabulary.values().collect::<HashSet<_>>().len();
    if distinct != vocabulary.len() {
        return Err(format!("{} tokens share {distinct} numbers", vocabulary.len()));
    }
    let size = vocabulary.values().max().map_or(0, |largest| *largest as usize + 1);
    if size == 0 {
        return Err("its vocabulary is empty".to_owned());
    }
    if size > 2 * vocabulary.len() + 1024 {
        return Err(format!("its {} tokens are numbered up to {}", vocabulary.len(), size - 1));
    }
    Ok(size)
}
