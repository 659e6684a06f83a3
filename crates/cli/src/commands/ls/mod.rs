//! `kiln ls`: the runs of a folder, one a line.

mod columns;
mod rows;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use kiln_models::saved::{has_weights_alone, is_foreign};
use kiln_storage::StorageError;
use kiln_storage::layout;

use self::columns::Column;
use self::rows::{Row, folders, rows, run_row};
use crate::arguments::RunsArguments;
use crate::sizes;
use crate::terminal::say;
use crate::training_data::cache_folder;

/// Arguments of `kiln ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArguments {
    /// The folder to list, or a run, a sweep or a race, by folder or name [default: the folder of all runs]
    folder: Option<PathBuf>,

    #[command(flatten)]
    runs: RunsArguments,

    /// The columns: name, kind, model, parameters, steps, loss, bits-per-byte, checkpoints, state, size, changed, and
    /// any key of the configuration, for example `--columns name,loss,run.batch,schedule`
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',', value_parser = Column::parse)]
    columns: Vec<Column>,

    /// Sort by this column, shown or not [default: by name]
    #[arg(long, value_name = "COLUMN", value_parser = Column::parse)]
    sort: Option<Column>,

    /// Reverse the order
    #[arg(long)]
    reverse: bool,

    /// Print one JSON array
    #[arg(long)]
    json: bool,
}

/// Runs the command.
///
/// # Errors
/// When the folder itself cannot be listed.
pub(crate) fn ls(arguments: &LsArguments) -> anyhow::Result<()> {
    let given = arguments.folder.as_ref().map(|folder| arguments.runs.find(folder)).transpose()?;
    let folder = given.unwrap_or_else(|| arguments.runs.folder());
    let mut rows: Vec<Row> = match folders(&folder) {
        Ok(_) if layout::is_run(&folder) || has_weights_alone(&folder) || is_foreign(&folder) => {
            vec![run_row(&folder, &name_of(&folder))]
        }
        Ok(folders) => folders.iter().flat_map(|name| rows(&folder, name)).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && arguments.folder.is_none() => {
            say(&format!("there is no folder `{}` here yet; `kiln train` makes it", folder.display()));
            Vec::new()
        }
        Err(source) => return Err(StorageError::Io { action: "list", path: folder, source }.into()),
    };
    // A stable order, so that equal ones stay in that of their names.
    if let Some(column) = &arguments.sort {
        rows.sort_by(|left, right| column.compare(left, right));
    }
    if arguments.reverse {
        rows.reverse();
    }
    for row in &mut rows {
        row.choose_settings(arguments.columns.iter().filter_map(Column::setting));
    }
    let mut stdout = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut stdout, &rows)?;
        writeln!(stdout)?;
    } else if !rows.is_empty() {
        let usual = Column::usual();
        let columns = if arguments.columns.is_empty() { &usual } else { &arguments.columns };
        writeln!(stdout, "{}\n\n{}", table(&rows, columns), totals(&rows))?;
    }
    Ok(())
}

/// The last part of a path; of one that ends in dots, of what it leads to.
fn name_of(folder: &Path) -> String {
    let whole = || fs::canonicalize(folder).ok().and_then(|path| Some(path.file_name()?.to_owned()));
    folder.file_name().map(ToOwned::to_owned).or_else(whole).unwrap_or_default().to_string_lossy().into_owned()
}

fn table(rows: &[Row], columns: &[Column]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(Column::heading));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    table.add_rows(rows.iter().map(|row| columns.iter().map(move |column| column.cell(row, now))));
    table
}

/// How much there is in all. The bytes of a sweep are those of its runs, which are listed too.
fn totals(rows: &[Row]) -> String {
    let runs = rows.iter().filter(|row| row.kind == "run").count();
    let bytes = rows.iter().filter(|row| row.kind != "sweep").map(|row| row.bytes).sum();
    let plural = if runs == 1 { "" } else { "s" };
    let cached = cache_folder().ok().and_then(|cache| kiln_data::cache::list(&cache).ok()).unwrap_or_default();
    let cache = sizes::bytes(cached.iter().map(|cached| cached.bytes).sum());
    format!("{runs} run{plural}, {} in all; the cache of texts has {cache} (`kiln cache`)", sizes::bytes(bytes))
}
