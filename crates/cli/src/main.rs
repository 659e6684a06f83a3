//! The binary `kiln`: the command line, devices, printing.

mod adapters;
mod arguments;
mod beginnings;
mod command_line;
mod commands;
mod companions;
mod defects;
mod device;
mod exit;
mod folders;
mod kinds;
mod piped;
mod precision;
mod recorded;
mod report;
mod runs;
mod sampling;
mod screen;
mod signals;
mod sizes;
mod terminal;
mod training_data;
mod training_display;
mod translating;
mod updates;
mod usage;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};
use kiln_kernels::OrElse;
use mimalloc::MiMalloc;

use crate::command_line::{Arguments, Command};
use crate::exit::Exit;

/// Measured on the small models that this program is for: 1.45 times the speed of the system's allocator.
#[global_allocator]
static ALLOCATOR: OrElse<MiMalloc> = OrElse::new(MiMalloc, defects::end_without_memory);

fn main() -> ExitCode {
    kiln_kernels::keep_freed_pages();
    defects::silence();
    signals::report_full_files();
    defects::guard(run, |message| report::print(&anyhow::Error::msg(message.to_owned()))).into()
}

fn run() -> Exit {
    let mut command = usage::with_negative_numbers(Arguments::command());
    let parsed = command.try_get_matches_from_mut(std::env::args_os());
    let arguments = match parsed.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(error) => {
            let typed: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
            if let Some(words) = usage::in_our_words(&error, &command, &typed) {
                report::print(&anyhow::Error::msg(words));
                return Exit::Usage;
            }
            // Help and version are what was asked for and go to stdout.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Done };
        }
    };
    match dispatch(arguments.command) {
        Ok(exit) => exit,
        Err(error) => {
            let exit = Exit::of(&error);
            if exit != Exit::Done {
                report::print(&error);
            }
            exit
        }
    }
}

fn dispatch(command: Command) -> anyhow::Result<Exit> {
    use Command::{Race, Resume, Sweep, Train, VerifyResume};
    if matches!(command, Train(_) | Resume(_) | Sweep(_) | Race(_) | VerifyResume(_)) {
        defects::expect_training();
    }
    match command {
        Command::New(arguments) => commands::new(&arguments).map(|()| Exit::Done),
        Command::Train(arguments) => commands::train(&arguments),
        Command::Resume(arguments) => commands::resume(&arguments),
        Command::Sample(arguments) => commands::sample(&arguments).map(|()| Exit::Done),
        Command::Chat(arguments) => commands::chat(&arguments),
        Command::Translate(arguments) => commands::translate(&arguments),
        Command::Score(arguments) => commands::score(&arguments).map(|()| Exit::Done),
        Command::Eval(arguments) => commands::eval(&arguments),
        Command::Export(arguments) => commands::export(&arguments).map(|()| Exit::Done),
        Command::Merge(arguments) => commands::merge(&arguments).map(|()| Exit::Done),
        Command::Compress(arguments) => commands::compress(&arguments),
        Command::Import(arguments) => commands::import(&arguments).map(|()| Exit::Done),
        Command::FindRate(arguments) => commands::find_rate(&arguments),
        Command::Race(arguments) => commands::race(&arguments),
        Command::Sweep(arguments) => commands::sweep(&arguments),
        Command::VerifyResume(arguments) => commands::verify_resume(&arguments),
        Command::Check(arguments) => commands::check(&arguments).map(|()| Exit::Done),
        Command::Converge(arguments) => commands::converge(&arguments),
        Command::Study(arguments) => commands::study(&arguments),
        Command::Bench(arguments) => commands::bench(&arguments).map(|()| Exit::Done),
        Command::Ls(arguments) => commands::ls(&arguments).map(|()| Exit::Done),
        Command::Inspect(arguments) => commands::inspect(&arguments),
        Command::Plot(arguments) => commands::plot(&arguments).map(|()| Exit::Done),
        Command::Compare(arguments) => commands::compare(&arguments).map(|()| Exit::Done),
        Command::Log(arguments) => commands::log(&arguments).map(|()| Exit::Done),
        Command::Prune(arguments) => commands::prune(&arguments).map(|()| Exit::Done),
        Command::Rm(arguments) => commands::rm(&arguments).map(|()| Exit::Done),
        Command::Cache(arguments) => commands::cache(&arguments).map(|()| Exit::Done),
        Command::Devices(arguments) => commands::devices(&arguments).map(|()| Exit::Done),
        Command::Completions(arguments) => {
            commands::completions(&arguments, &mut Arguments::command()).map(|()| Exit::Done)
        }
        Command::Manual(arguments) => commands::manual(&arguments, Arguments::command()).map(|()| Exit::Done),
    }
}
