//! In which settings runs differ, for people who compare them.

use kiln_settings::{Source, join};
use toml::Value;

use super::changes::{Document, on_one_line};
use super::sections::Config;

/// A setting that several configurations do not agree on.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The dotted key; that of a choice where another of its tables was chosen.
    pub key: String,
    /// The value in each configuration; nothing where it has none.
    pub values: Vec<Option<Value>>,
}

impl Difference {
    /// The value in the configuration of this index as it would be typed, empty where there is none.
    pub fn words(&self, index: usize) -> String {
        match self.values.get(index) {
            Some(Some(Value::String(text))) if !text.is_empty() && !text.contains(char::is_control) => text.clone(),
            Some(Some(value)) => on_one_line(value),
            _ => String::new(),
        }
    }

    /// The values, if all of them are numbers.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        let number = |value: &Option<Value>| match value {
            Some(Value::Float(number)) => Some(*number),
            Some(Value::Integer(number)) => Some(*number as f64),
            _ => None,
        };
        self.values.iter().map(number).collect()
    }
}

/// Every setting in which the configurations differ, in alphabetical order. Where they chose different tables, what is
/// in those is shown as far as it isn't the default, since all of it would be different; but a model's sizes always.
pub fn differences(configs: &[&Config]) -> Vec<Difference> {
    let documents: Vec<Document> = configs.iter().map(|config| Document::new(config)).collect();
    let mut keys: Vec<&String> = documents.iter().flat_map(|document| document.values.keys()).collect();
    keys.sort();
    keys.dedup();
    let values = |key: &str| documents.iter().map(|document| document.values.get(key)).collect::<Vec<_>>();
    let differs = |key: &str| values(key).windows(2).any(|pair| pair[0] != pair[1]);
    let differing_choices: Vec<&String> =
        documents.first().into_iter().flat_map(|document| &document.choices).filter(|choice| differs(choice)).collect();
    let is_worth_saying = |key: &str| {
        let is_below = |choice: &&String| key.starts_with(&join(choice, ""));
        let of_choice = || differing_choices.iter().any(is_below);
        let is_set = |(config, value): (&&Config, Option<&Value>)| value.is_some() && !is_default(config, key);
        let is_size = || key.starts_with("model.") && values(key).into_iter().flatten().any(|value| value.is_integer());
        differs(key) && (!of_choice() || is_size() || configs.iter().zip(values(key)).any(is_set))
    };
    let difference = |key: &String| Difference {
        key: key.clone(),
        values: values(key).into_iter().map(Option::<&Value>::cloned).collect(),
    };
    keys.into_iter().filter(|key| is_worth_saying(key)).map(difference).collect()
}

/// Whether the configuration would be the same without this key.
fn is_default(config: &Config, key: &str) -> bool {
    let mut root: toml::Table = config.to_toml().parse().unwrap_or_default();
    let Some((tables, last)) = key.rsplit_once('.') else { return false };
    let table = tables.split('.').try_fold(&mut root, |table, name| table.get_mut(name).and_then(Value::as_table_mut));
    let Some(table) = table else { return false };
    table.remove(last);
    Config::read(&Source::new("without it", root.to_string()), &[]).is_ok_and(|without| without == *config)
}
