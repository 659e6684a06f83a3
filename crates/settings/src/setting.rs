//! A key with a value that is put over a file: from an option of a program, or from the file itself.

use toml::de::DeValue;

use super::document::{Node, Value, typed_value};
use super::problem::{Origin, Override, Source};
use super::schema::{Kind, Schema};

/// A key with a value, or with several that are tried one after the other.
#[derive(Debug, Clone)]
pub struct Setting {
    pub(crate) key: String,
    pub(crate) value: Node,
    /// What to write before the key, to set it in the same way.
    pub(crate) option: String,
    /// The value is the text as it was typed, without quotes.
    is_bare: bool,
}

impl Setting {
    /// What an override sets; `index` is its place among all overrides.
    pub fn of_override(set: &Override, index: usize) -> Self {
        let value = typed_value(&set.value, Origin::Override(index), set.key.len() + 1, 0..set.key.len());
        let is_bare = DeValue::parse(&set.value).is_err();
        Self { key: set.key.clone(), value, option: format!("{} ", set.name), is_bare }
    }

    /// What an entry of a file sets.
    pub(crate) fn of_file(key: String, value: Node) -> Self {
        Self { key, value, option: String::new(), is_bare: false }
    }

    /// Another key with a value in TOML, or a word, in the place of this setting: problems of it point here.
    #[must_use]
    pub fn standing_for(&self, key: &str, value: &str) -> Self {
        let mut node = typed_value(value, self.value.origin, 0, self.value.key_span.clone());
        node.move_to(&self.value.span);
        // Two values that stand in one place are told apart by their texts.
        node.typed = Some(value.to_owned());
        Self { key: key.to_owned(), value: node, option: self.option.clone(), is_bare: false }
    }

    /// The word, if the value is one.
    pub fn word(&self) -> Option<&str> {
        match &self.value.value {
            Value::Text(word) => Some(word),
            _ => None,
        }
    }

    /// The name of the only table in it, if the value is a table with one.
    pub fn table_name(&self) -> Option<&str> {
        match &self.value.value {
            Value::Table(entries) if entries.len() == 1 => Some(&entries[0].0),
            _ => None,
        }
    }

    /// The dotted key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The override that it comes from, if it comes from one.
    pub fn override_index(&self) -> Option<usize> {
        match self.value.origin {
            Origin::Override(index) => Some(index),
            Origin::File => None,
        }
    }

    /// The same key with each of the values that are listed, or with the one that is there. A list is one value where
    /// the key takes a list, and a list of lists is several; a text without quotes is split at commas where the key
    /// takes no list.
    pub fn alternatives(&self, schema: &Schema) -> Vec<Self> {
        let with = |value: &Node| Self {
            value: Node { key_span: self.value.key_span.clone(), ..value.clone() },
            is_bare: false,
            ..self.clone()
        };
        let takes_list = schema.get(&self.key).is_some_and(|entry| entry.kind == Kind::List);
        match &self.value.value {
            Value::List(items) if !takes_list || items.iter().any(|item| matches!(item.value, Value::List(_))) => {
                items.iter().map(with).collect()
            }
            Value::Text(text) if self.is_bare && !takes_list => {
                let piece = |(start, piece): (usize, &str)| {
                    let start = self.value.span.start + start;
                    with(&typed_value(piece, self.value.origin, start, self.value.key_span.clone()))
                };
                pieces(text).into_iter().map(piece).collect()
            }
            _ => vec![self.clone()],
        }
    }

    /// The ends of a range `from..to`, where the key takes a number and the value is such a text.
    pub fn range(&self, schema: &Schema) -> Option<(f64, f64)> {
        let takes_number =
            schema.get(&self.key).is_some_and(|entry| matches!(entry.kind, Kind::Number | Kind::Whole { .. }));
        let Value::Text(text) = &self.value.value else { return None };
        let (from, to) = text.split_once("..")?;
        let end = |text: &str| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
        Some((end(from)?, end(to)?)).filter(|_| takes_number)
    }

    /// The same key with a number in the place of the value, a whole one where the key takes no other.
    #[must_use]
    pub fn with_number(&self, number: f64, schema: &Schema) -> Self {
        let is_whole = schema.get(&self.key).is_some_and(|entry| matches!(entry.kind, Kind::Whole { .. }));
        #[expect(clippy::cast_possible_truncation, reason = "it is rounded, and what is too large is out of range")]
        let value = if is_whole { Value::Whole(number.round() as i128) } else { Value::Number(number) };
        let typed = if is_whole { format!("{number:.0}") } else { format!("{number:?}") };
        let value = Node { value, typed: Some(typed), ..self.value.clone() };
        Self { value, is_bare: false, ..self.clone() }
    }

    /// The value as it was typed, without the quotes of a text.
    pub fn words(&self, source: &Source) -> String {
        let node = &self.value;
        match (&node.value, &node.typed, node.origin) {
            (Value::Text(text), ..) => text.clone(),
            (_, Some(typed), _) => typed.clone(),
            (_, None, Origin::File) => source.text.get(node.span.clone()).unwrap_or_default().to_owned(),
            (value, None, Origin::Override(_)) => value.words(),
        }
    }
}

/// The parts of a text between the commas that are outside of quotes and brackets, without the space around them, each
/// with its first byte.
fn pieces(text: &str) -> Vec<(usize, &str)> {
    let (mut depth, mut quote, mut start) = (0_usize, None, 0);
    let mut ends = Vec::new();
    for (index, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(character),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                ends.push((start, index));
                start = index + 1;
            }
            _ => {}
        }
    }
    ends.push((start, text.len()));
    let trimmed = |(start, end): (usize, usize)| {
        let piece = &text[start..end];
        (start + piece.len() - piece.trim_start().len(), piece.trim())
    };
    ends.into_iter().map(trimmed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    #[expect(dead_code, reason = "only its keys count")]
    struct Oven {
        flame: f64,
        shelves: u32,
        glass: String,
        times: Vec<f64>,
    }

    fn alternatives(text: &str) -> Vec<(String, usize)> {
        let set = Override::parse("--set", text).expect("it is a setting");
        let schema = Schema::of::<Oven>();
        let each = Setting::of_override(&set, 0).alternatives(&schema);
        each.iter().map(|setting| (setting.words(&Source::new("", "")), setting.value.span.start)).collect()
    }

    fn strings(words: &[(&str, usize)]) -> Vec<(String, usize)> {
        words.iter().map(|(word, start)| ((*word).to_owned(), *start)).collect()
    }

    #[test]
    fn several_values_are_split_where_the_key_takes_one() {
        assert_eq!(alternatives("flame=1"), strings(&[("1", 6)]));
        assert_eq!(alternatives("flame=0.5, 1e-3,2"), strings(&[("0.5", 6), ("1e-3", 11), ("2", 16)]));
        assert_eq!(alternatives("flame=[0.5, 2]").len(), 2);
        assert_eq!(alternatives("glass=clear,\"smoked, brown\""), strings(&[("clear", 6), ("smoked, brown", 12)]));
        assert_eq!(alternatives("glass=\"a,b\""), strings(&[("a,b", 6)]));
    }

    #[test]
    fn a_list_is_one_value_where_the_key_takes_a_list() {
        assert_eq!(alternatives("times=[1, 2]"), strings(&[("[1, 2]", 6)]));
        assert_eq!(
            alternatives("times=[[1, 2], [3.5]]").iter().map(|(words, _)| words.as_str()).collect::<Vec<_>>(),
            ["[1, 2]", "[3.5]"]
        );
    }

    #[test]
    fn a_range_has_two_ends_where_the_key_takes_a_number() {
        let schema = Schema::of::<Oven>();
        let range = |text: &str| {
            Setting::of_override(&Override::parse("--set", text).expect("it is a setting"), 0).range(&schema)
        };
        assert_eq!(range("flame=1e-4..1e-2"), Some((1e-4, 1e-2)));
        assert_eq!(range("shelves=2..8"), Some((2.0, 8.0)));
        assert_eq!((range("glass=1..2"), range("flame=1"), range("flame=1..x")), (None, None, None));
        let set = Override::parse("--set", "shelves=2..8").expect("it is a setting");
        assert_eq!(Setting::of_override(&set, 0).with_number(3.4, &schema).words(&Source::new("", "")), "3");
    }
}
