//! `kiln completions`: a script that completes the command line in a shell.

use std::io::{self, Write};

use clap::CommandFactory;

use crate::arguments::{Arguments, CompletionsArguments};

/// Prints the script.
///
/// # Errors
/// Only if stdout cannot be written.
pub(crate) fn completions(arguments: &CompletionsArguments) -> anyhow::Result<()> {
    // Written to memory first: the generator panics when it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "kiln", &mut script);
    let mut stdout = io::stdout().lock();
    stdout.write_all(&script)?;
    Ok(stdout.flush()?)
}
