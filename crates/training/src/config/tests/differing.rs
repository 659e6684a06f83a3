//! In which settings configurations differ.

use super::support::{read, right_text};
use crate::config::{Config, Difference, differences};

fn found(texts: &[String]) -> Vec<(String, Vec<String>)> {
    let configs: Vec<Config> = texts.iter().map(|text| read(text).expect("the text is right")).collect();
    let found = differences(&configs.iter().collect::<Vec<_>>());
    let words = |difference: &Difference| (0..configs.len()).map(|index| difference.words(index)).collect();
    found.iter().map(|difference| (difference.key.clone(), words(difference))).collect()
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn what_is_the_same_everywhere_is_left_out() {
    let text = right_text("run");
    assert_eq!(found(&[text.clone(), text.clone()]), []);
    let other = text.replace("batch = 4", "batch = 8\nwindows = \"random\"");
    let expected =
        [("run.batch".to_owned(), strings(&["4", "8"])), ("run.windows".to_owned(), strings(&["shuffled", "random"]))];
    assert_eq!(found(&[text, other]), expected);
}

#[test]
fn of_tables_that_only_one_has_sizes_and_the_settings_that_are_not_defaults_are_shown() {
    let transformer = right_text("model.transformer").replace("[model.transformer]", "[model.transformer]\nlayers = 2");
    let lstm = right_text("model.lstm").replace("[model.lstm]", "[model.lstm]\ndropout = 0.5");
    let expected = [
        ("model".to_owned(), strings(&["transformer", "lstm", "transformer"])),
        ("model.lstm.dropout".to_owned(), strings(&["", "0.5", ""])),
        ("model.lstm.hidden".to_owned(), strings(&["", "128", ""])),
        ("model.lstm.layers".to_owned(), strings(&["", "2", ""])),
        ("model.transformer.heads".to_owned(), strings(&["6", "", "6"])),
        ("model.transformer.layers".to_owned(), strings(&["2", "", "2"])),
        ("model.transformer.width".to_owned(), strings(&["384", "", "384"])),
        ("seed".to_owned(), strings(&["1", "1", "2"])),
    ];
    assert_eq!(found(&[transformer.clone(), lstm, transformer.replace("seed = 1", "seed = 2")]), expected);
}
