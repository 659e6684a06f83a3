//! Reads a file of settings and prints all of its mistakes: `cargo run --example mistakes [FILE]`.
#![expect(clippy::print_stdout, reason = "it is a program")]

use std::path::Path;

use kiln_settings::{ConfigFileError, Override, Source, Violation, read, read_source, rules};
use serde::Deserialize;

/// What a file may say.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Bakery {
    loaves: u64,
    opening_hours: [u8; 2],
    oven: Oven,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Oven {
    Gas { flame: f64 },
    Electric { watts: u32 },
}

const WITH_MISTAKES: &str = "loavs = 12\nopening_hours = [7]\n\n[oven.gaz]\nflame = \"high\"\n";

fn validate(bakery: &Bakery) -> Vec<Violation> {
    let flame = match &bakery.oven {
        Oven::Gas { flame } => rules::positive("oven.gas.flame", *flame),
        Oven::Electric { watts } => rules::whole_at_least("oven.electric.watts", 100, (*watts).into()),
    };
    let [from, to] = bakery.opening_hours;
    let order = (from >= to).then(|| Violation::new("opening-hours", format!("must rise, are {from} and {to}")));
    rules::whole_at_least("loaves", 1, bakery.loaves).into_iter().chain(flame).chain(order).collect()
}

fn open(path: Option<&str>) -> Result<Bakery, ConfigFileError> {
    let source = match path {
        Some(path) => read_source(Path::new(path))?,
        None => Source::new("bakery.toml", WITH_MISTAKES),
    };
    let none: [Override; 0] = [];
    Ok(read(&source, &none, validate)?)
}

fn main() {
    match open(std::env::args().nth(1).as_deref()) {
        Ok(bakery) => println!("{bakery:#?}"),
        Err(error) => println!("{error}"),
    }
}
