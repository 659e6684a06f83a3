//! `kiln manual FOLDER`: the manual pages.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use clap_mangen::Man;

use crate::terminal::say;

/// Arguments of `kiln manual`.
#[derive(Debug, Args)]
pub(crate) struct ManualArguments {
    /// The folder for the pages, for example ~/.local/share/man/man1; made if it doesn't exist
    folder: PathBuf,
}

/// Writes a page for the program and one for each of its commands, and those of their own.
///
/// # Errors
/// When the folder cannot be written.
pub(crate) fn manual(arguments: &ManualArguments, mut command_line: clap::Command) -> anyhow::Result<()> {
    let folder = &arguments.folder;
    fs::create_dir_all(folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    // Gives every command its full name, for example `kiln bench train`.
    command_line.build();
    let mut commands = vec![command_line];
    let mut pages = 0;
    while let Some(command) = commands.pop() {
        let others = command.get_subcommands().filter(|other| other.get_name() != "help" && !other.is_hide_set());
        commands.extend(others.cloned());
        let man = Man::new(command);
        let path = folder.join(man.get_filename());
        let mut page = Vec::new();
        man.render(&mut page)?;
        fs::write(&path, page).with_context(|| format!("cannot write `{}`", path.display()))?;
        pages += 1;
    }
    say(&format!("wrote {pages} pages to {}; `man {}/kiln.1` shows the first", folder.display(), folder.display()));
    Ok(())
}
