//! `kiln completions`: a script that completes the command line in a shell.

use std::io::{self, Write};

use clap::Args;

/// Arguments of `kiln completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    /// The shell
    shell: clap_complete::Shell,
}

/// Prints the script for a command line.
///
/// # Errors
/// Only if stdout cannot be written.
pub(crate) fn completions(arguments: &CompletionsArguments, command_line: &mut clap::Command) -> anyhow::Result<()> {
    // Written to memory first: the generator panics when it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, command_line, "kiln", &mut script);
    let mut stdout = io::stdout().lock();
    stdout.write_all(&script)?;
    Ok(stdout.flush()?)
}
