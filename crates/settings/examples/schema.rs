//! Prints every key of a type, found out from its own `Deserialize`: `cargo run --example schema`.
#![expect(clippy::print_stdout, reason = "it is a program")]

use kiln_settings::Schema;
use serde::Deserialize;

/// Never read here: its keys are what is wanted.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its `Deserialize` is asked")]
struct Bakery {
    loaves: u64,
    label: Option<String>,
    oven: Oven,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "only its `Deserialize` is asked")]
enum Oven {
    Gas { flame: f64 },
    Electric { watts: u32 },
}

fn main() {
    for (path, entry) in Schema::of::<Bakery>().entries().filter(|(path, _)| !path.is_empty()) {
        let optional = if entry.optional { ", may be left out" } else { "" };
        println!("{path:<24} {}{optional}", entry.kind.description());
    }
}
