//! Cutting text into the words of GPT-2, inside which byte pairs are merged.
//!
//! The rule is the regular expression of Radford et al. 2019, which `tokenizers` calls `ByteLevel`:
//! `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
//! Here it is a scanner by hand, many times as fast; the classes of characters are asked from the same expression
//! engine, once for each character, so that both know the same Unicode.

use std::collections::HashMap;
use std::sync::LazyLock;

use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior};

/// What the expression distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Number,
    Space,
    Other,
}

const CONTRACTIONS: [&str; 7] = ["'s", "'t", "'re", "'ve", "'m", "'ll", "'d"];

static ASCII: LazyLock<[Class; 128]> =
    LazyLock::new(|| std::array::from_fn(|code| ask(char::from_u32(code as u32).unwrap_or('\0'))));

/// The class of `character` as the expression engine sees it.
fn ask(character: char) -> Class {
    static CLASSES: LazyLock<Vec<(Split, Class)>> = LazyLock::new(|| {
        let matcher = |pattern: &str, class| {
            let pattern = SplitPattern::Regex(pattern.to_owned());
            Split::new(pattern, SplitDelimiterBehavior::Removed, false).ok().map(|split| (split, class))
        };
        [(r"\p{L}", Class::Letter), (r"\p{N}", Class::Number), (r"\s", Class::Space)]
            .into_iter()
            .filter_map(|(pattern, class)| matcher(pattern, class))
            .collect()
    });
    let matches = |split: &Split| {
        let mut text = PreTokenizedString::from(character.to_string());
        let cut = split.pre_tokenize(&mut text);
        cut.is_ok() && text.get_splits(OffsetReferential::Original, OffsetType::None).is_empty()
    };
    CLASSES.iter().find(|(split, _)| matches(split)).map_or(Class::Other, |(_, class)| *class)
}

/// The scanner, with what it learned about characters beyond ASCII.
#[derive(Debug, Clone, Default)]
pub(super) struct Words {
    classes: HashMap<char, Class>,
}

impl Words {
    /// Calls `word` with each word of `text` in order; joined, they are the text.
    pub(super) fn each<'a, E>(
        &mut self,
        text: &'a str,
        mut word: impl FnMut(usize, &'a str) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut start = 0;
        while start < text.len() {
            let length = self.first_length(&text[start..]);
            word(start, &text[start..start + length])?;
            start += length;
        }
        Ok(())
    }

    /// The last position in `text` where a word ends whatever follows: after something seen and before white space.
    pub(super) fn last_boundary(&mut self, text: &str) -> Option<usize> {
        let bytes = text.as_bytes();
        (1..bytes.len()).rev().filter(|position| bytes[*position].is_ascii_whitespace()).find(|position| {
            text[..*position].chars().next_back().is_some_and(|before| self.class(before) != Class::Space)
        })
    }

    fn class(&mut self, character: char) -> Class {
        match ASCII.get(character as usize) {
            Some(class) => *class,
            None => *self.classes.entry(character).or_insert_with(|| ask(character)),
        }
    }

    /// Length in bytes of the first word of `text`, which is not empty.
    fn first_length(&mut self, text: &str) -> usize {
        let bytes = text.as_bytes();
        if bytes[0] == b'\''
            && let Some(contraction) = CONTRACTIONS.iter().find(|contraction| text.starts_with(**contraction))
        {
            return contraction.len();
        }
        // A single space goes with the word behind it.
        let space = usize::from(bytes[0] == b' ');
        let Some(first) = text[space..].chars().next() else { return text.len() };
        let class = self.class(first);
        if class != Class::Space {
            return space + self.run(&text[space..], class);
        }
        let run = self.run(text, Class::Space);
        let last = text[..run].chars().next_back().map_or(0, char::len_utf8);
        // Of white space before something seen, all but the last character is one word.
        if run == text.len() || run == last { run } else { run - last }
    }

    /// Length in bytes of the characters of `class` that `text` starts with.
    fn run(&mut self, text: &str, class: Class) -> usize {
        let ascii = text.bytes().take_while(|byte| byte.is_ascii() && ASCII[usize::from(*byte)] == class).count();
        if text.as_bytes().get(ascii).is_none_or(u8::is_ascii) {
            return ascii;
        }
        let rest = text[ascii..].char_indices().find(|(_, character)| self.class(*character) != class);
        rest.map_or(text.len(), |(index, _)| ascii + index)
    }
}
