//! Golden losses: the first twenty updates of the shipped recipes, as they were when the fixture was recorded. Whatever
//! changes them says so in its commit and in `docs/performance-log.md`; `KILN_RECORD_GOLDEN=1 cargo test --release -p
//! kiln golden` records anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::Table;

use crate::support::{MODELS, Workshop, repository};

const STEPS: usize = 20;
/// How far a number may be from the recorded one, relative to it, where the machine sums in another order.
const TOLERANCE: f64 = 1e-5;

/// What one update reports, of the loss before it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Update {
    train_loss: f64,
    gradient_norm: f64,
    learning_rate: f64,
}

/// The updates of one recipe, and what decides about their last digits.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Golden {
    /// The widest vector instructions of the machine that recorded.
    instructions: String,
    threads: usize,
    updates: Vec<Update>,
}

impl Golden {
    fn is_from_here(&self) -> bool {
        self.instructions == instructions() && self.threads == threads()
    }
}

fn instructions() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            return "avx512";
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            return "avx2";
        }
    }
    std::env::consts::ARCH
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The recipe as it is shipped, except that its text comes from the built-in corpus where it would be downloaded, and
/// that it says every step and does nothing beside.
fn recipe(config: &str) -> Table {
    let text = fs::read_to_string(repository().join("configs").join(config)).expect("the configuration is shipped");
    let mut table: Table = text.parse().expect("it is TOML");
    let data = table["data"].as_table_mut().expect("a run has data");
    if data.remove("download").is_some() {
        data.insert(
            "builtin".to_string(),
            toml::Value::Table("characters = 200_000\nseed = 1".parse().expect("it is TOML")),
        );
    }
    if let Some(conversations) = data.get_mut("conversations") {
        let folder = repository().join("configs").join(config);
        for path in conversations["paths"].as_array_mut().expect("a list of paths") {
            let beside = folder.with_file_name(path.as_str().expect("a path"));
            *path = beside.to_string_lossy().into_owned().into();
        }
    }
    let run = table["run"].as_table_mut().expect("a run has settings");
    run.insert("log-every".to_string(), 1.into());
    run.remove("sample-every");
    table
}

fn updates(config: &str, device: &str) -> Vec<Update> {
    let workshop = Workshop::new();
    workshop.write("recipe.toml", recipe(config).to_string());
    let stop = STEPS.to_string();
    workshop.kiln(&["train", "recipe.toml", "--device", device, "--run", "run", "--stop-after", &stop]).success();
    let log = fs::read_to_string(workshop.path("runs/run/metrics.jsonl")).expect("the run has a log");
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn fixture(config: &str) -> PathBuf {
    let name = config.replace('/', "-").replace(".toml", ".json");
    repository().join("tests/golden").join(name)
}

fn assert_close(found: &[Update], golden: &[Update], what: &str) {
    assert_eq!(found.len(), golden.len(), "{what}");
    for (number, (found, golden)) in found.iter().zip(golden).enumerate() {
        for (name, found, golden) in [
            ("loss", found.train_loss, golden.train_loss),
            ("gradient norm", found.gradient_norm, golden.gradient_norm),
            ("rate", found.learning_rate, golden.learning_rate),
        ] {
            let step = number + 1;
            assert!(
                (found - golden).abs() <= TOLERANCE * golden.abs(),
                "{what}: the {name} of step {step} is {found}, and was {golden}"
            );
        }
    }
}

fn check(config: &str) {
    let found = updates(config, "cpu");
    assert_eq!(found.len(), STEPS, "{config}");
    let path = fixture(config);
    if std::env::var_os("KILN_RECORD_GOLDEN").is_some() {
        let golden = Golden { instructions: instructions().to_string(), threads: threads(), updates: found };
        let json = serde_json::to_string_pretty(&golden).expect("numbers can be written");
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("folders can be made");
        return fs::write(path, json + "\n").expect("the fixture can be written");
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let golden: Golden = serde_json::from_str(&text).expect("the fixture is what was recorded");
    if golden.is_from_here() {
        assert_eq!(found, golden.updates, "{config}: recorded with the same instructions, so every bit is the same");
    }
    assert_close(&found, &golden.updates, config);
}

#[test]
fn every_tiny_recipe_has_golden_losses_and_is_among_the_models() {
    let entries = fs::read_dir(repository().join("configs/tiny")).expect("the folder is shipped");
    let names = entries.map(|entry| entry.expect("it can be listed").file_name().to_string_lossy().into_owned());
    let shipped: BTreeSet<String> = names.collect();
    assert_eq!(shipped, MODELS.map(|kind| format!("{kind}.toml")).into());
    for config in shipped {
        assert!(fixture(&format!("tiny/{config}")).is_file(), "{config} has no golden losses");
    }
}

#[test]
fn tiny_rnn() {
    check("tiny/rnn.toml");
}

#[test]
fn tiny_lstm() {
    check("tiny/lstm.toml");
}

#[test]
fn tiny_gru() {
    check("tiny/gru.toml");
}

#[test]
fn tiny_transformer() {
    check("tiny/transformer.toml");
}

#[test]
fn conversations() {
    check("finetune/conversations.toml");
}

#[test]
fn nanogpt_on_a_processor() {
    check("shakespeare/nanogpt-cpu.toml");
}

#[test]
fn shakespeare_lstm() {
    check("shakespeare/lstm.toml");
}
