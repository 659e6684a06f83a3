//! `kiln study attention MODEL`: where each head of a model looks in a text.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use kiln_figures::heat_terminal;
use kiln_storage::Which;
use kiln_study::attention::{AttentionMaps, maps_of_text};
use serde_json::json;

use super::shown::{heads, maps_chart};
use crate::adapters::AdapterArguments;
use crate::arguments::{DeviceArguments, RunsArguments};
use crate::exit::UsageError;
use crate::precision::PrecisionArguments;
use crate::runs;
use crate::terminal::say;

/// The most tokens whose maps can be read on a terminal or a picture.
const MOST: usize = 64;

/// Arguments of `kiln study attention`.
#[derive(Debug, Args)]
pub(super) struct AttentionArguments {
    /// A run, by folder or name; a checkpoint; a folder in Hugging Face's form; or a GGUF file
    model: PathBuf,

    #[command(flatten)]
    runs: RunsArguments,

    /// Which checkpoint of a run: best, last, or a number of steps
    #[arg(long, value_name = "WHICH", default_value = "best")]
    checkpoint: Which,

    /// The text, of 64 tokens at most
    #[arg(short, long, value_name = "TEXT")]
    text: String,

    /// Folder for pictures of all heads and of their rollout; a browser says the weight that the pointer rests on
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,

    #[command(flatten)]
    device: DeviceArguments,

    #[command(flatten)]
    precision: PrecisionArguments,

    #[command(flatten)]
    adapters: AdapterArguments,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// `kiln study attention`.
///
/// # Errors
/// A model that cannot be read or has no attention, or a text that is too long for it.
pub(super) fn attention(arguments: &AttentionArguments) -> anyhow::Result<()> {
    let chosen = arguments.device.choose()?;
    let path = arguments.runs.find(&arguments.model)?;
    runs::refuse_no_model(&path, "study")?;
    let base = arguments.adapters.base(&arguments.runs)?;
    let saved = arguments.precision.open(&path, arguments.checkpoint, base.as_deref(), &chosen)?;
    let tokens = [&saved.start[..], &saved.tokenizer.encode(&arguments.text)?].concat();
    let most = saved.model.longest_window().unwrap_or(MOST).min(MOST);
    if !(2..=most).contains(&tokens.len()) {
        let words = format!("a text of 2 to {most} tokens can be shown, and this has {}", tokens.len());
        return Err(UsageError(words).into());
    }
    let Some(maps) = maps_of_text(&saved.model, &saved.tokenizer, &tokens)? else {
        let words = format!("`{}` has no attention: only a transformer does", arguments.model.display());
        return Err(UsageError(words).into());
    };
    if let Some(folder) = &arguments.output {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
        let name = arguments.model.file_name().unwrap_or_default().to_string_lossy();
        for (file, svg) in ["attention.svg", "rollout.svg"].into_iter().zip(maps_chart(&name, &maps)) {
            let path = folder.join(file);
            std::fs::write(&path, svg).with_context(|| format!("cannot write `{}`", path.display()))?;
            say(&format!("picture: {}", path.display()));
        }
    }
    let mut stdout = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer(&mut stdout, &object(&maps))?;
        writeln!(stdout)?;
    } else {
        for heat in heads(&maps) {
            writeln!(stdout, "{}", heat_terminal(&heat))?;
        }
        writeln!(stdout, "{}", words(&maps))?;
    }
    Ok(stdout.flush()?)
}

/// How far back each head looks.
fn words(maps: &AttentionMaps) -> String {
    let mut words = format!("{:>20} {:>10} {:>10} {:>10}\n", "", "distance", "entropy", "previous");
    for (layer, heads) in maps.maps.iter().enumerate() {
        for (head, map) in heads.iter().enumerate() {
            let name = format!("layer {}, head {}", layer + 1, head + 1);
            let (distance, entropy, previous) = (map.distance(), map.entropy(), map.previous());
            words += &format!("{name:>20} {distance:>10.2} {entropy:>10.3} {previous:>10.3}\n");
        }
    }
    words
}

fn object(maps: &AttentionMaps) -> serde_json::Value {
    let heads: Vec<_> = maps
        .maps
        .iter()
        .enumerate()
        .flat_map(|(layer, heads)| {
            heads.iter().enumerate().map(move |(head, map)| {
                json!({
                    "layer": layer + 1,
                    "head": head + 1,
                    "distance": map.distance(),
                    "entropy": map.entropy(),
                    "previous_token": map.previous(),
                    "weights": map.weights.chunks(map.tokens).collect::<Vec<_>>(),
                })
            })
        })
        .collect();
    let rollout: Vec<_> = maps.rollout.weights.chunks(maps.rollout.tokens.max(1)).collect();
    json!({ "tokens": maps.tokens, "heads": heads, "rollout": rollout })
}
