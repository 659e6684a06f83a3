//! What probing a type's own `Deserialize` finds, and where it ends.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use crate::{Entry, Kind, Schema};

/// Every path with what it holds, for example `seed: a whole number`.
fn described<T: serde::de::DeserializeOwned>() -> Vec<String> {
    let described = |(path, entry): (&str, &Entry)| {
        let optional = if entry.optional { ", or nothing" } else { "" };
        format!("{path}: {}{optional}", entry.kind.description())
    };
    Schema::of::<T>().entries().map(described).collect()
}

#[derive(Serialize, Deserialize)]
struct Metres(f64);

#[derive(Serialize, Deserialize)]
struct Garden {
    width: Metres,
    corner: (u8, i64),
    beds: Vec<Bed>,
    notes: BTreeMap<String, String>,
    gate: Option<Gate>,
}

#[derive(Serialize, Deserialize)]
struct Bed {
    plant: Plant,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Plant {
    Tree { height: f32 },
    Vine { climbs: Climbs },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Climbs {
    Wall,
    Pole { length: u16 },
}

#[derive(Serialize, Deserialize)]
struct Gate {
    open: bool,
}

#[test]
fn choices_within_choices_lists_tuples_and_wrappers_are_all_seen() {
    assert_eq!(
        described::<Garden>(),
        [
            ": a table",
            "beds: a list",
            "beds[]: a table",
            "beds[].plant: exactly one table of `tree`, `vine`",
            "beds[].plant.tree: a table",
            "beds[].plant.tree.height: a number",
            "beds[].plant.vine: a table",
            "beds[].plant.vine.climbs: exactly one table of `wall`, `pole`",
            "beds[].plant.vine.climbs.pole: a table",
            "beds[].plant.vine.climbs.pole.length: a whole number",
            "corner: a list",
            "corner[]: a whole number",
            "gate: a table, or nothing",
            "gate.open: true or false",
            "notes: a table",
            "width: a number",
        ]
    );
}

#[test]
fn a_whole_number_has_the_bounds_of_its_type() {
    let schema = Schema::of::<(u8,)>();
    assert_eq!(schema.get("[]").map(|entry| &entry.kind), Some(&Kind::Whole { least: 0, most: 255 }));
}

/// A hand-written implementation that takes no dummy.
#[derive(Serialize)]
struct Even(u32);

impl<'de> Deserialize<'de> for Even {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u32::deserialize(deserializer)?;
        if number % 2 == 0 { Ok(Self(number)) } else { Err(D::Error::custom(format!("must be even, is {number}"))) }
    }
}

#[derive(Serialize, Deserialize)]
struct Orchard {
    rows: NonZeroU32,
    trees: Even,
    after: bool,
}

#[test]
fn a_refused_dummy_ends_the_pass_and_keeps_what_was_seen() {
    let seen = described::<Orchard>();
    assert_eq!(seen, [": a table", "rows: a whole number", "trees: a whole number"]);
}

#[test]
fn a_rule_of_a_hand_written_implementation_is_a_problem_at_its_value() {
    let source = crate::Source::new("orchard.toml", "rows = 3\ntrees = 5\nafter = true\n");
    let errors = crate::read::<Orchard>(&source, &[], |_| Vec::new()).err().expect("5 is not even");
    assert!(errors.to_string().starts_with("orchard.toml:2:9: `trees`: must be even, is 5"), "{errors}");
}
