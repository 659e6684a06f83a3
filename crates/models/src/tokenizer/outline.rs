//! What is looked at in a `tokenizer.json` before the crate sees it: what would make the crate abort, take memory
//! without bound or believe one of two contradicting entries. None of that is a panic, which could be caught.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// Longest token of a unigram model, in bytes. The crate frees the tree of its tokens by recursion, one call a byte.
const LONGEST_PIECE: usize = 1024;
/// Most values in the description of a stage, and most levels.
const MOST_VALUES: usize = 10_000;
const MOST_LEVELS: usize = 32;

/// A tokenizer file as far as it is checked here. Every key is named, since only then is one that comes twice an error.
#[derive(Deserialize)]
pub(super) struct Outline {
    #[serde(default)]
    pub(super) added_tokens: Vec<AddedToken>,
    #[serde(default)]
    normalizer: Stage,
    #[serde(default)]
    pre_tokenizer: Stage,
    #[serde(default)]
    post_processor: Stage,
    #[serde(default)]
    decoder: Stage,
    pub(super) model: Model,
    #[serde(default, rename = "version")]
    _version: IgnoredAny,
    #[serde(default, rename = "truncation")]
    _truncation: IgnoredAny,
    #[serde(default, rename = "padding")]
    _padding: IgnoredAny,
}

#[derive(Deserialize)]
pub(super) struct AddedToken {
    pub(super) id: u32,
    pub(super) content: String,
}

#[derive(Deserialize)]
pub(super) struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    dropout: Option<f64>,
    continuing_subword_prefix: Option<String>,
    #[serde(default)]
    pub(super) vocab: Vocabulary,
    #[serde(default, rename = "merges")]
    _merges: IgnoredAny,
    #[serde(default, rename = "unk_token")]
    _unk_token: IgnoredAny,
    #[serde(default, rename = "unk_id")]
    _unk_id: IgnoredAny,
}

impl Outline {
    pub(super) fn check(&self) -> Result<(), String> {
        let model = &self.model;
        if model.dropout.is_some_and(|dropout| dropout != 0.0) {
            return Err("its `dropout` makes the same text different tokens each time; set it to null".to_owned());
        }
        let byte_pairs = model.kind.as_deref().is_none_or(|kind| kind == "BPE");
        if byte_pairs && model.continuing_subword_prefix.as_ref().is_some_and(|prefix| !prefix.is_empty()) {
            return Err("byte pairs with a `continuing_subword_prefix` are not supported".to_owned());
        }
        if model.vocab.scored && model.vocab.longest > LONGEST_PIECE {
            let longest = model.vocab.longest;
            return Err(format!("`model.vocab` holds a token of {longest} bytes, more than {LONGEST_PIECE}"));
        }
        let stages = [
            ("normalizer", &self.normalizer),
            ("pre_tokenizer", &self.pre_tokenizer),
            ("post_processor", &self.post_processor),
            ("decoder", &self.decoder),
        ];
        for (key, stage) in stages {
            if stage.levels > MOST_LEVELS {
                return Err(format!("`{key}` has {} levels, more than {MOST_LEVELS}", stage.levels));
            }
        }
        Ok(())
    }
}

/// The vocabulary: tokens with their numbers, or in a unigram model with their scores in a list.
#[derive(Default)]
pub(super) struct Vocabulary {
    /// How many entries there are, twice the same ones counted twice.
    pub(super) entries: usize,
    /// The longest token, in bytes.
    longest: usize,
    /// Whether it is the list of a unigram model.
    scored: bool,
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VocabularyVisitor)
    }
}

struct VocabularyVisitor;

impl<'de> Visitor<'de> for VocabularyVisitor {
    type Value = Vocabulary;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a vocabulary")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocabulary, A::Error> {
        let mut vocabulary = Vocabulary::default();
        while map.next_entry::<IgnoredAny, u32>()?.is_some() {
            vocabulary.entries += 1;
        }
        Ok(vocabulary)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vocabulary, A::Error> {
        let mut vocabulary = Vocabulary { scored: true, ..Vocabulary::default() };
        while let Some((token, _)) = items.next_element::<(String, f64)>()? {
            vocabulary.entries += 1;
            vocabulary.longest = vocabulary.longest.max(token.len());
        }
        Ok(vocabulary)
    }
}

/// The description of a stage: any JSON of bounded size, in which no key comes twice in one table.
#[derive(Default)]
struct Stage {
    values: usize,
    levels: usize,
    text: Option<String>,
}

impl Stage {
    fn add<E: Error>(&mut self, inner: &Self) -> Result<(), E> {
        self.values += inner.values;
        self.levels = self.levels.max(inner.levels + 1);
        if self.values > MOST_VALUES {
            return Err(E::custom(format!("a stage is described by more than {MOST_VALUES} values")));
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Stage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StageVisitor)
    }
}

struct StageVisitor;

/// A single value.
const ONE: Stage = Stage { values: 1, levels: 0, text: None };

impl<'de> Visitor<'de> for StageVisitor {
    type Value = Stage;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the description of a stage")
    }

    fn visit_unit<E: Error>(self) -> Result<Stage, E> {
        Ok(ONE)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Stage, E> {
        Ok(ONE)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Stage, E> {
        Ok(ONE)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Stage, E> {
        Ok(ONE)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Stage, E> {
        Ok(ONE)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Stage, E> {
        Ok(Stage { text: Some(text.to_owned()), ..ONE })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Stage, A::Error> {
        let mut stage = ONE;
        while let Some(item) = items.next_element::<Stage>()? {
            stage.add(&item)?;
        }
        Ok(stage)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Stage, A::Error> {
        let (mut stage, mut keys) = (ONE, HashSet::new());
        while let Some((key, value)) = map.next_entry::<String, Stage>()? {
            stage.add(&value)?;
            if key == "precompiled_charsmap" && value.text.as_deref().is_some_and(overstates_its_length) {
                return Err(A::Error::custom("`precompiled_charsmap` is shorter than it says"));
            }
            if let Some(twice) = keys.replace(key) {
                return Err(A::Error::custom(format!("the key `{twice}` stands there twice")));
            }
        }
        Ok(stage)
    }
}

/// Whether a table of characters in base64 is longer by its first four bytes than it is: the crate takes as much memory
/// as those say, up to eight gigabytes.
fn overstates_its_length(base64: &str) -> bool {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    // The first 32 of 36 bits, the highest first, are the four bytes.
    let bits = base64.bytes().take(6).fold(0_u64, |bits, byte| bits << 6 | u64::from(digit(byte)));
    let said = ((bits >> 4) as u32).swap_bytes();
    base64.len() < 6 || u64::from(said) > base64.len() as u64
}
