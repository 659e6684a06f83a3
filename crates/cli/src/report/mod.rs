//! How errors look on the screen.

mod advice;
mod foreign;

use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str};
use kiln_settings::{ConfigErrors, ConfigFileError, Origin, Problem};
use kiln_training::run::FolderError;

use crate::exit::of_stdout;
use crate::runs::quoted;
use crate::terminal::takes_colours;

/// Prints an error to stderr, in colours if stderr is a terminal that takes them.
pub(crate) fn print(error: &anyhow::Error) {
    // Nobody can be reached when stderr is closed.
    let colours = io::stderr().is_terminal() && takes_colours();
    let _ = io::stderr().write_all(render(error, colours).as_bytes());
}

/// The error as text: a configuration's problems each at their line, any other error with its causes and advice.
pub(crate) fn render(error: &anyhow::Error, colours: bool) -> String {
    let in_config = error.chain().find_map(|cause| match cause.downcast_ref() {
        Some(ConfigFileError::Wrong(errors)) => Some(errors),
        _ => cause.downcast_ref::<ConfigErrors>(),
    });
    match in_config {
        Some(errors) => config_errors(errors, colours),
        None => plain_error(error, colours),
    }
}

fn config_errors(errors: &ConfigErrors, colours: bool) -> String {
    let renderer = renderer(colours);
    let mut text = String::new();
    for problem in &errors.problems {
        let (name, source) = errors.text_of(problem);
        text += &renderer.render(&[problem_group(problem, name, &source)]);
        text += "\n\n";
    }
    if errors.problems.len() > 1 {
        let summary = format!("{} problems in {}", errors.problems.len(), errors.source.name);
        text += &renderer.render(&[Group::with_title(Level::ERROR.primary_title(summary))]);
        text.push('\n');
    } else {
        text.pop();
    }
    text
}

fn problem_group<'a>(problem: &'a Problem, name: &'a str, source: &'a str) -> Group<'a> {
    let mut annotation = AnnotationKind::Primary.span(problem.span.clone());
    if !problem.label.is_empty() {
        annotation = annotation.label(normalize_untrusted_str(&problem.label));
    }
    let snippet = Snippet::source(source).path(name).annotation(annotation);
    let group = Level::ERROR.primary_title(&problem.message).element(snippet);
    let several = "`kiln sweep` tries several values, one after the other";
    let group = if has_several_values(problem, source) { group.element(Level::HELP.message(several)) } else { group };
    problem.help.iter().fold(group, |group, help| group.element(Level::HELP.message(normalize_untrusted_str(help))))
}

/// Whether the value that is wrong looks like several, set on the command line.
fn has_several_values(problem: &Problem, source: &str) -> bool {
    let value = source.get(problem.span.clone()).unwrap_or_default();
    let is_set = matches!(problem.origin, Origin::Override(_));
    let is_list = value.starts_with('[') && problem.message.contains("is a list of");
    let is_bare = !value.starts_with(['[', '{', '"', '\'']);
    is_set && (value.contains(',') || value.contains("..")) && (is_list || is_bare)
}

fn plain_error(error: &anyhow::Error, colours: bool) -> String {
    let is_bare = error.chain().count() == 1 && of_stdout(error).is_some();
    let mut message = if is_bare { format!("cannot write to stdout: {error}") } else { String::new() };
    for cause in error.chain().map(words) {
        // Many messages hold the message of their cause already.
        if message.is_empty() {
            message = cause;
        } else if !message.contains(&cause) {
            let _ = write!(message, ": {cause}");
        }
    }
    let mut lines = message.lines();
    let title = normalize_untrusted_str(lines.next().unwrap_or_default());
    let mut text = renderer(colours).render(&[Group::with_title(Level::ERROR.primary_title(title))]);
    for line in lines {
        let _ = write!(text, "\n{}", normalize_untrusted_str(line));
    }
    if let Some(help) = advice::of(error) {
        let _ = write!(text, "\n  help: {}", normalize_untrusted_str(&help));
    }
    text.push('\n');
    text
}

/// An error in words, with the arguments that would avoid it: the libraries know of none.
fn words(error: &(dyn std::error::Error + 'static)) -> String {
    match error.downcast_ref() {
        Some(FolderError::Exists { path }) => {
            let path = quoted(&path.to_string_lossy());
            format!("{error}; `kiln resume {path}` resumes it, and `--run NAME` gives the new one another name")
        }
        _ => error.to_string(),
    }
}

fn renderer(colours: bool) -> Renderer {
    if colours { Renderer::styled() } else { Renderer::plain() }
}

#[cfg(test)]
mod tests {
    use kiln_settings::{Override, Source};
    use kiln_training::config::Config;

    use super::*;

    fn wrong() -> anyhow::Error {
        let overrides = [Override::parse("--set", "run.steps=\u{1b}[31mred").unwrap()];
        Config::read(&Source::new("a.toml", "sed = 1\n"), &overrides).unwrap_err().into()
    }

    #[test]
    fn a_problem_is_shown_at_its_line() {
        let text = render(&wrong(), false);
        assert!(text.contains(" --> a.toml:1:1\n  |\n1 | sed = 1\n  | ^^^ unknown\n"), "{text}");
        assert!(text.contains("= help: did you mean `seed`?"), "{text}");
    }

    #[test]
    fn escape_characters_reach_the_terminal_only_as_colours() {
        assert!(!render(&wrong(), false).contains('\u{1b}'));
        assert!(render(&wrong(), true).contains('\u{1b}'));
        assert!(!render(&wrong(), true).contains("\u{1b}[31mred"));
        let hostile = anyhow::anyhow!("a file named \u{1b}[2J").context("cannot read");
        assert!(!render(&hostile, false).contains('\u{1b}'));
    }

    #[test]
    fn an_error_of_the_system_alone_is_one_of_stdout() {
        let full = anyhow::Error::new(io::Error::from(io::ErrorKind::StorageFull));
        assert!(render(&full, false).starts_with("error: cannot write to stdout: "));
        let file = full.context("cannot write `a`");
        assert!(render(&file, false).starts_with("error: cannot write `a`: "));
    }

    #[test]
    fn causes_are_printed_once() {
        let cause = io::Error::other("no space");
        let error = anyhow::Error::new(cause).context("cannot write: no space").context("cannot save");
        assert_eq!(render(&error, false), "error: cannot save: cannot write: no space\n");
    }
}
