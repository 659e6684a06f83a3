//! The tales themselves: good English, as far as a grammar can tell.

use std::collections::BTreeSet;

use super::{TALES, language};
use crate::corpus::builtin::{BuiltinConfig, BuiltinCorpus};

/// The tales of a corpus, without the one that is cut at its end.
fn tales(seed: u64) -> Vec<String> {
    let text = BuiltinCorpus::new(&BuiltinConfig { characters: 1_000_000, seed }).text();
    let mut tales: Vec<String> = text.split("\n\n").map(String::from).collect();
    tales.pop();
    tales
}

fn words(text: &str) -> BTreeSet<&str> {
    text.split(|character: char| !character.is_ascii_alphabetic()).filter(|word| !word.is_empty()).collect()
}

/// Any change of a rule, of a weight or of the generator changes this text, and with it every recorded loss.
#[test]
fn the_tales_of_a_seed_stay_the_same() {
    let corpus = BuiltinCorpus::new(&BuiltinConfig { characters: 1_000_000, seed: 0 });
    let beginning = "Tom and the Red Kite\n\
        Once upon a time there lived a brave boy called Tom in a castle under the forest. \
        He had a red kite from the dark sea. One night it fell into the river. So he set out to find it.\n\
        A hungry goat sat near the golden hill. \"Have you seen my red kite?\" asked Tom. \
        \"No,\" said the goat, and crept over the ";
    let end = "he hill she heard three friendly bees. \
        For three days she walked past the green river and across the";
    assert_eq!(corpus.pieces(0..320).collect::<String>(), beginning);
    assert_eq!(corpus.pieces(999_900..1_000_000).collect::<String>(), end);
}

#[test]
fn the_vocabulary_is_small_and_all_of_it_comes_up() {
    let text = tales(12).concat().to_lowercase();
    let vocabulary = words(&text);
    assert!((150..=230).contains(&vocabulary.len()), "{} words", vocabulary.len());
    let characters: BTreeSet<char> = text.chars().collect();
    assert!(characters.iter().all(|&character| character.is_ascii_lowercase() || "\n \",.?".contains(character)));
    for domain in TALES.domains {
        for (_, values) in domain.values {
            assert_eq!(values.len(), domain.attributes.len(), "{}", domain.name);
            for word in values.iter().flat_map(|value| value.split_whitespace()) {
                assert!(vocabulary.contains(word.to_lowercase().as_str()), "{word}");
            }
        }
    }
}

#[test]
fn every_rule_is_used() {
    let grammar = language(&TALES).grammar;
    for rule in TALES.rules {
        let instance = format!("{}(", rule.name);
        let used = |name: &str| name == rule.name || name.starts_with(&instance);
        assert!(grammar.nonterminals.iter().any(|nonterminal| used(&nonterminal.name)), "{}", rule.name);
    }
}

#[test]
fn pronouns_agree_with_the_hero_to_the_end() {
    let pronouns = [
        ("Tom Hugo Otto", ["he", "his", "He", "His"]),
        ("Anna Mira Nell", ["she", "her", "She", "Her"]),
        ("Sisters", ["they", "their", "They", "Their"]),
    ];
    for tale in tales(13) {
        let (title, story) = tale.split_once('\n').expect("a title");
        let hero = title.split_whitespace().take_while(|word| *word != "and").last().expect("a hero");
        // "And they all lived happily" is said of everybody.
        let story = story.replace("And they all", "");
        let said = words(&story);
        for (heroes, words) in &pronouns {
            let own = heroes.split(' ').any(|name| name == hero);
            assert_eq!(words.iter().any(|word| said.contains(word)), own, "{tale}");
        }
    }
}

#[test]
fn hero_thing_and_home_stay_the_same() {
    let values = |domain: usize| TALES.domains[domain].values.iter().map(|(_, attributes)| attributes[0]);
    for tale in tales(14) {
        let (title, story) = tale.split_once('\n').expect("a title");
        let said = words(story);
        for hero in ["Anna", "Tom", "Mira", "Hugo", "sisters", "Nell", "Otto"] {
            assert_eq!(said.contains(hero), title.to_lowercase().contains(&hero.to_lowercase()), "{tale}");
        }
        for thing in values(1) {
            assert_eq!(story.contains(thing), title.to_lowercase().contains(thing), "{tale}");
        }
        assert_eq!(values(2).filter(|home| said.contains(home)).count(), 1, "{tale}");
    }
}

#[test]
fn animals_get_what_they_asked_for() {
    let mut bargains = 0;
    for tale in tales(15) {
        for (place, demand) in tale.match_indices("\"Give me ") {
            let rest = &tale[place + demand.len()..];
            let (food, rest) = rest.split_once(",\" said the ").expect("a speaker");
            let (animal, rest) = rest.split_once(". So ").expect("a gift");
            let (_, rest) = rest.split_once(" gave the ").expect("a gift");
            assert!(rest.starts_with(&format!("{animal} some {food}. \"")), "{tale}");
            bargains += 1;
        }
    }
    assert!(bargains > 100);
}

#[test]
fn sentences_are_well_set() {
    for tale in tales(16) {
        assert!(tale.starts_with(|first: char| first.is_ascii_uppercase()), "{tale}");
        assert!(tale.ends_with('.'), "{tale}");
        assert_eq!(tale.lines().count(), 4, "{tale}");
        assert_eq!(tale.matches('"').count() % 2, 0, "{tale}");
        assert!(!tale.contains("  ") && !tale.contains(" \n") && !tale.contains(" ."), "{tale}");
        for vowel in ["a", "e", "i", "o", "u"] {
            assert!(!tale.contains(&format!(" a {vowel}")), "{tale}");
        }
        for (place, _) in tale.match_indices(". ") {
            let next = tale.as_bytes()[place + 2];
            assert!(next.is_ascii_uppercase() || next == b'"', "{tale}");
        }
    }
}
