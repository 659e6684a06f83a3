//! The reader on small settings of its own.

mod hostile;
mod schema;

use serde::{Deserialize, Serialize};

use crate::Violation;
use crate::{
    ConfigErrors, Hints, Kind, Origin, Override, Replaced, Schema, Source, read, read_source, read_with, replaced,
};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Kitchen {
    #[serde(default)]
    seed: u64,
    oven: Oven,
    shelf: Shelf,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Oven {
    Gas(Gas),
    Electric {
        watts: u32,
        #[serde(default = "yes")]
        fan: bool,
    },
    Stone {},
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Gas {
    flame: f64,
    #[serde(default)]
    colour: Colour,
    lighter: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Colour {
    #[default]
    DeepBlue,
    Yellow,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Shelf {
    jars: Vec<String>,
    height: [f64; 2],
    top_most: usize,
    label: Option<String>,
}

fn yes() -> bool {
    true
}

const GOOD: &str = r#"
seed = 7
[oven.gas]
flame = 2
[shelf]
jars = ["rye", "salt"]
height = [1.5, 2]
top-most = 4
"#;

fn check(kitchen: &Kitchen) -> Vec<Violation> {
    let mut violations = Vec::new();
    if kitchen.shelf.top_most > 9 {
        violations.push(Violation::new("shelf.top-most", format!("must be 9 or less, is {}", kitchen.shelf.top_most)));
    }
    if kitchen.shelf.jars.len() > kitchen.shelf.top_most {
        violations.push(Violation::new("shelf.jars", format!("must be at most top-most ({})", kitchen.shelf.top_most)));
    }
    if let Oven::Gas(Gas { lighter: None, flame, .. }) = &kitchen.oven
        && *flame > 3.0
    {
        violations
            .push(Violation::new("oven.gas.lighter", "is needed for a flame above 3").with_help("write `lighter = 1`"));
    }
    violations
}

fn overrides(arguments: &[&str]) -> Vec<Override> {
    arguments.iter().map(|argument| Override::parse("--set", argument).expect("a key and a value")).collect()
}

fn read_kitchen(text: &str, set: &[&str]) -> Result<Kitchen, ConfigErrors> {
    read(&Source::new("kitchen.toml", text), &overrides(set), check)
}

/// The problems, one string each, as `line:column message | help | help`.
fn problems(text: &str, set: &[&str]) -> Vec<String> {
    let errors = read_kitchen(text, set).expect_err("the configuration is wrong");
    let tell = |problem: &crate::Problem| {
        let (line, column) = errors.position_of(problem);
        let place = if problem.origin == Origin::File { String::new() } else { "--set:".into() };
        let help: String = problem.help.iter().map(|help| format!(" | {help}")).collect();
        format!("{place}{line}:{column} {}{help}", problem.message)
    };
    errors.problems.iter().map(tell).collect()
}

#[test]
fn a_right_file_is_read() {
    let kitchen = read_kitchen(GOOD, &[]).expect("the file is right");
    let shelf = Shelf { jars: vec!["rye".into(), "salt".into()], height: [1.5, 2.0], top_most: 4, label: None };
    assert_eq!(
        kitchen,
        Kitchen { seed: 7, oven: Oven::Gas(Gas { flame: 2.0, colour: Colour::DeepBlue, lighter: None }), shelf }
    );
}

#[test]
fn every_mistake_of_a_file_is_reported_once_and_in_order() {
    let text = r#"
sed = 7
[oven.gaz]
flame = "2"
color = "blue"
[shelf]
jars = "rye"
height = [1.5]
top_most = -4
"#;
    assert_eq!(
        problems(text, &[]),
        [
            "2:1 unknown section or key `sed` | did you mean `seed`? | the file takes `seed`, `oven`, `shelf`",
            "3:7 unknown `[oven.gaz]` | did you mean `gas`? | choose one of `[oven.gas]`, `[oven.electric]`, \
             `[oven.stone]`",
            "4:9 `oven.gas.flame` must be a number, is the text \"2\" | write `flame = 2`",
            "5:1 unknown key `color` in [oven.gas] | did you mean `colour`? | [oven.gas] takes `flame`, `colour`, \
             `lighter`",
            "5:9 `oven.gas.colour` cannot be \"blue\" | `oven.gas.colour` is one of \"deep-blue\", \"yellow\"",
            "7:8 `shelf.jars` must be a list, is the text \"rye\" | write `jars = [\"rye\"]`",
            "8:10 `shelf.height` must be a list of 2, is a list of 1",
            "9:1 unknown key `top_most` in [shelf] | did you mean `top-most`? | [shelf] takes `jars`, `height`, \
             `top-most`, `label`",
            "9:12 `shelf.top-most` must be a whole number, 0 or more, is -4",
        ]
    );
}

#[test]
fn missing_sections_and_keys_say_what_to_write() {
    assert_eq!(
        problems("seed = 1\n", &[]),
        [
            "1:9 section [oven] is missing | write exactly one of `[oven.gas]`, `[oven.electric]`, `[oven.stone]`",
            "1:9 section [shelf] is missing | write `[shelf]` with `jars`, `height`, `top-most`",
        ]
    );
    assert_eq!(
        problems("[oven.electric]\n[shelf]\njars = []\nheight = [1, 2]\n", &[]),
        [
            "1:7 `watts` is missing in [oven.electric] | write `watts = …`, a whole number",
            "2:2 `top-most` is missing in [shelf] | write `top-most = …`, a whole number",
        ]
    );
}

#[test]
fn a_choice_is_made_exactly_once() {
    let twice = format!("{GOOD}[oven.stone]\n");
    assert_eq!(
        problems(&twice, &[]),
        ["9:7 [oven.stone] stands beside [oven.gas], but exactly one may be chosen | remove [oven.stone] or \
             [oven.gas]"]
    );
    assert_eq!(
        problems(GOOD, &["oven.electric.watts=5", "oven.stone={}"]),
        ["--set:1:1 [oven.stone] stands beside [oven.electric], but exactly one may be chosen | remove \
             [oven.stone] or [oven.electric]"]
    );
    let never = GOOD.replace("[oven.gas]\nflame = 2", "[oven]");
    assert_eq!(
        problems(&never, &[]),
        ["3:2 [oven] chooses nothing | write exactly one of `[oven.gas]`, `[oven.electric]`, `[oven.stone]`"]
    );
    let word = GOOD.replace("[oven.gas]\nflame = 2", "oven = \"gas\"");
    assert!(
        problems(&word, &[])[0].contains("`oven` must be a table, `[oven.gas]`, is the text \"gas\""),
        "{:?}",
        problems(&word, &[])
    );
}

#[test]
fn an_override_in_another_table_of_a_choice_replaces_that_of_the_file() {
    let electric = |fan| Oven::Electric { watts: 5, fan };
    for (set, expected, by) in [
        (&["oven.electric.watts=5", "oven.electric.fan=false"][..], electric(false), Some(0)),
        (&["seed=1", "oven.electric={ watts = 5 }"], electric(true), Some(1)),
        (&["oven=stone"], Oven::Stone {}, Some(0)),
        (&["oven=gas"], Oven::Gas(Gas { flame: 2.0, colour: Colour::default(), lighter: None }), None),
    ] {
        let kitchen = read_kitchen(GOOD, set).unwrap_or_else(|errors| panic!("{set:?}: {errors}"));
        assert_eq!(kitchen.oven, expected, "{set:?}");
        let replaced = replaced::<Kitchen>(&Source::new("kitchen.toml", GOOD), &overrides(set), &Hints::default());
        let expected: Vec<Replaced> = by.map(|by| Replaced { table: "oven.gas".to_owned(), by }).into_iter().collect();
        assert_eq!(replaced, expected, "{set:?}");
    }
}

#[test]
fn a_lone_text_of_an_override_is_a_list_of_one_text() {
    for (set, jars) in [("shelf.jars=rye", "rye"), ("shelf.jars=\"rye\"", "rye"), ("shelf.jars=5", "5")] {
        assert_eq!(read_kitchen(GOOD, &[set]).expect("it is right").shelf.jars, [jars]);
    }
    let in_the_file = GOOD.replace("[\"rye\", \"salt\"]", "\"rye\"");
    assert!(problems(&in_the_file, &[])[0].contains("must be a list"), "{:?}", problems(&in_the_file, &[]));
}

#[test]
fn hints_say_what_the_type_does_not() {
    let hints =
        Hints { alternatives: &[("shelf", &["label", "height"])], word: |key| (key == "loaf").then(|| "a jar".into()) };
    let source = Source::new("kitchen.toml", GOOD);
    let set = overrides(&["shelf.label=12", "shelf.loaf=1"]);
    let errors = read_with(&source, &set, &hints, check).expect_err("there is no loaf");
    let told: Vec<(&str, &str)> =
        errors.problems.iter().map(|problem| (problem.message.as_str(), problem.help[0].as_str())).collect();
    let missing = ("`height` is missing in [shelf]", "write `height = …`, a list");
    assert_eq!(told, [missing, ("unknown key `loaf` in [shelf]", "a jar")]);
}

#[test]
fn overrides_go_through_the_same_checks_and_name_themselves() {
    let kitchen =
        read_kitchen(GOOD, &["shelf.top-most=5", "shelf.label=12", "oven.gas.colour=yellow"]).expect("all are right");
    assert_eq!((kitchen.shelf.top_most, kitchen.shelf.label.as_deref()), (5, Some("12")));
    assert_eq!(kitchen.oven, Oven::Gas(Gas { flame: 2.0, colour: Colour::Yellow, lighter: None }));
    assert_eq!(
        problems(GOOD, &["shelf.top-most=1O", "shelf.topmost=2", "seed.a=1", "shelf.height=[1, true]"]),
        [
            "--set:1:16 `shelf.top-most` must be a whole number, is the text \"1O\"",
            "--set:1:1 unknown key `topmost` in [shelf] | did you mean `top-most`? | [shelf] takes `jars`, `height`, \
             `top-most`, `label`",
            "--set:1:1 `seed.a` cannot be set: `seed` is a value, not a table | write `--set seed=VALUE`",
            "--set:1:18 `shelf.height[1]` must be a number, is true",
        ]
    );
    assert!(Override::parse("--set", "shelf.top-most").is_err());
    assert!(Override::parse("--set", "shelf..top-most=1").is_err());
}

#[test]
fn rules_point_at_the_value_or_at_the_table_of_a_default() {
    let text = GOOD.replace("top-most = 4", "top-most = 12").replace("flame = 2", "flame = 5");
    assert_eq!(
        problems(&text, &[]),
        [
            "3:7 `oven.gas.lighter` is needed for a flame above 3 | write `lighter = 1`",
            "8:12 `shelf.top-most` must be 9 or less, is 12",
        ]
    );
}

#[test]
fn a_rule_that_depends_on_an_unreadable_value_is_not_reported() {
    let text = GOOD.replace("top-most = 4", "top-most = \"no\"");
    assert_eq!(problems(&text, &[]), ["8:12 `shelf.top-most` must be a whole number, is the text \"no\""]);
}

#[test]
fn a_file_that_is_not_toml_is_reported_line_by_line() {
    assert_eq!(
        problems("seed = \nflame = yes\n", &[]),
        [
            "1:8 this is not TOML: string values must be quoted | text stands in quotes, as in `name = \"value\"`",
            "2:9 this is not TOML: string values must be quoted | text stands in quotes, as in `name = \"value\"`",
        ]
    );
    assert_eq!(problems("seed = 1\n[oven.gas\n", &[]), ["2:10 this is not TOML: unclosed table"]);
    let twice = problems("seed = 1\nseed = 2\n", &[]);
    assert!(twice[0].starts_with("2:1 this is not TOML: duplicate key"), "{twice:?}");
}

#[test]
fn numbers_that_no_type_holds_are_refused() {
    let huge = GOOD.replace("seed = 7", "seed = 99999999999999999999999999999999999999999999");
    assert_eq!(problems(&huge, &[]).len(), 1);
    let wide = GOOD.replace("[oven.gas]\nflame = 2", "[oven.electric]\nwatts = 5_000_000_000");
    assert_eq!(
        problems(&wide, &[]),
        ["4:9 `oven.electric.watts` must be a whole number from 0 to 4294967295, is 5000000000"]
    );
    let endless = GOOD.replace("flame = 2", "flame = nan");
    assert_eq!(problems(&endless, &[]), ["4:9 `oven.gas.flame` must be a finite number, is not a number"]);
}

#[test]
fn the_schema_knows_every_key_of_every_choice() {
    let schema = Schema::of::<Kitchen>();
    let paths: Vec<&str> = schema.entries().map(|(path, _)| path).collect();
    let expected = [
        "",
        "oven",
        "oven.electric",
        "oven.electric.fan",
        "oven.electric.watts",
        "oven.gas",
        "oven.gas.colour",
        "oven.gas.flame",
        "oven.gas.lighter",
        "oven.stone",
        "seed",
        "shelf",
        "shelf.height",
        "shelf.height[]",
        "shelf.jars",
        "shelf.jars[]",
        "shelf.label",
        "shelf.top-most",
    ];
    assert_eq!(paths, expected);
    assert_eq!(
        schema.get("oven").map(|entry| entry.kind.clone()),
        Some(Kind::Choice(vec!["gas", "electric", "stone"]))
    );
    assert_eq!(
        schema.get("oven.gas.colour").map(|entry| entry.kind.clone()),
        Some(Kind::Word(vec!["deep-blue", "yellow"]))
    );
    assert_eq!(schema.get("shelf.jars[3]").map(|entry| entry.kind.clone()), Some(Kind::Text));
}

#[test]
fn a_key_of_another_section_comes_with_where_it_belongs() {
    let text = GOOD.replace("seed = 7", "watts = 7");
    let reported = problems(&text, &[]);
    assert!(reported[0].contains("there is a `watts` in [oven.electric]"), "{reported:?}");
}

#[test]
fn an_override_is_reported_under_the_name_of_what_set_it() {
    let source = Source::new("kitchen.toml", GOOD);
    let set = [Override::parse("KITCHEN_SET", "seed.a=1").expect("a key and a value")];
    let errors = read(&source, &set, check).expect_err("`seed` is a value");
    assert_eq!(
        errors.to_string(),
        "KITCHEN_SET:1:1: `seed.a` cannot be set: `seed` is a value, not a table\n  help: write `KITCHEN_SET \
         seed=VALUE`"
    );
}

#[test]
fn a_file_that_is_not_there_comes_with_the_one_that_was_meant() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("kitchen.toml"), GOOD).expect("the folder can be written");
    let error = read_source(&folder.path().join("kichen.toml")).expect_err("it is not there");
    let meant = folder.path().join("kitchen.toml");
    assert_eq!(error.help(), Some(format!("did you mean `{}`?", meant.display())));
    assert_eq!(read_source(&folder.path().join("cellar.toml")).expect_err("nor is this").help(), None);
}
