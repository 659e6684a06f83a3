//! `kiln cache`: what downloads and tokens take, and how to be rid of them.

use std::io::Write as _;
use std::time::SystemTime;

use anyhow::Context;
use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use kiln_data::cache::{clear, list};

use crate::sizes;
use crate::terminal::say;
use crate::training_data::cache_folder;
use crate::training_display::duration;

/// Arguments of `kiln cache`.
#[derive(Debug, Args)]
#[command(after_help = "The folder is $KILN_CACHE, else `kiln` in the user's cache folder. \
                        All of it is made again, or fetched again, when it is needed.")]
pub(crate) struct CacheArguments {
    /// Remove everything except what is being written
    #[arg(long)]
    clear: bool,
}

/// `kiln cache`.
pub(crate) fn cache(arguments: &CacheArguments) -> anyhow::Result<()> {
    let cache = cache_folder()?;
    let there = cache.display();
    if arguments.clear {
        let cleared = clear(&cache).with_context(|| format!("cannot clear the cache `{there}`"))?;
        for folder in &cleared.busy {
            say(&format!("kept {}, which is being written", folder.display()));
        }
        let plural = if cleared.folders == 1 { "" } else { "s" };
        say(&format!("removed {} folder{plural} from {there}, {}", cleared.folders, sizes::bytes(cleared.bytes)));
        return Ok(());
    }
    let entries = list(&cache).with_context(|| format!("cannot list the cache `{there}`"))?;
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["kind", "text", "size", "last change"]);
    for entry in &entries {
        let since = entry.changed.and_then(|changed| SystemTime::now().duration_since(changed).ok());
        let changed = since.map_or_else(String::new, |since| format!("{} ago", duration(since.as_secs_f64())));
        let unfinished = || format!("unfinished: {}", entry.folder.file_name().unwrap_or_default().display());
        let text = entry.text.clone().unwrap_or_else(unfinished);
        table.add_row([entry.kind.to_owned(), text, sizes::bytes(entry.bytes), changed]);
    }
    let mut stdout = std::io::stdout().lock();
    if !entries.is_empty() {
        writeln!(stdout, "{table}\n")?;
    }
    let total = sizes::bytes(entries.iter().map(|entry| entry.bytes).sum());
    writeln!(stdout, "{there}: {total}")?;
    Ok(())
}
