//! A command line that clap refuses, in our words where ours say more.

use std::num::{ParseFloatError, ParseIntError};
use std::ops::RangeInclusive;

use clap::builder::ValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};
use kiln_training::config::explain_word;

/// The command, with numbers below 0 taken as the values that they are: each option says itself what it takes.
pub(crate) fn with_negative_numbers(command: Command) -> Command {
    let takes_number = |arg: clap::Arg| {
        let is_option = arg.get_long().is_some() && arg.get_action().takes_values();
        if is_option { arg.allow_negative_numbers(true) } else { arg }
    };
    command.mut_subcommands(move |command| with_negative_numbers(command.mut_args(takes_number)))
}

/// A whole number from 1 on.
pub(crate) fn at_least_one() -> ValueParser {
    whole(1..=u64::MAX)
}

/// A whole number in a range.
pub(crate) fn whole(range: RangeInclusive<u64>) -> ValueParser {
    ValueParser::new(move |argument: &str| match argument.parse::<u64>() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ if *range.end() == u64::MAX => Err(format!("must be a whole number, {} or more", range.start())),
        _ => Err(format!("must be a whole number from {} to {}", range.start(), range.end())),
    })
}

/// What to say of a mistake of which clap says less, or in the words of a parser of numbers; nothing of others.
pub(crate) fn in_our_words(error: &Error, all: &Command, typed: &[String]) -> Option<String> {
    unknown_option(error, all, typed).or_else(|| no_number(error))
}

/// What to say of a value that is no number.
fn no_number(error: &Error) -> Option<String> {
    let source = std::error::Error::source(error)?;
    let wanted = if source.is::<ParseFloatError>() {
        "a number, for example 0.5"
    } else if source.is::<ParseIntError>() {
        "a whole number, 0 or more"
    } else {
        return None;
    };
    let (option, value) = (error.get(ContextKind::InvalidArg)?, error.get(ContextKind::InvalidValue)?);
    Some(format!("invalid value '{value}' for '{option}': must be {wanted}"))
}

/// What to say of an option that the command doesn't have.
fn unknown_option(error: &Error, all: &Command, typed: &[String]) -> Option<String> {
    let ContextValue::String(given) = error.get(ContextKind::InvalidArg)? else { return None };
    if error.kind() != ErrorKind::UnknownArgument || !given.starts_with('-') {
        return None;
    }
    let command = typed.iter().find_map(|word| all.find_subcommand(word))?;
    let name = command.get_name();
    let word = given.trim_start_matches('-');
    let elsewhere = || ELSEWHERE.iter().find(|(words, meant)| words.contains(&word) && has_option(command, meant));
    let help = if let Some((_, meant)) = elsewhere() {
        format!("did you mean `--{meant}`?")
    } else if let Some(ContextValue::String(meant)) = error.get(ContextKind::SuggestedArg) {
        format!("did you mean `{meant}`?")
    } else if let Some(meant) =
        options(command).find(|option| option.strip_suffix(word).is_some_and(|o| o.ends_with('-')))
    {
        format!("did you mean `--{meant}`?")
    } else if let Some(explained) = explain_word(word).filter(|_| has_option(command, "set")) {
        format!("{explained}: `--set KEY=VALUE` sets it")
    } else if let Some(other) = all.get_subcommands().find(|other| only_has(all, other, word)) {
        format!("`kiln {}` has it", other.get_name())
    } else {
        let options: Vec<String> = options(command).map(|option| format!("--{option}")).collect();
        format!("its options are {}; `kiln {name} --help` explains them", options.join(", "))
    };
    Some(format!("`kiln {name}` has no option `{given}`\n  help: {help}"))
}

/// What an option is called in other programs, and here.
const ELSEWHERE: [(&[&str], &str); 6] = [
    (&["with", "fields", "format", "show"], "columns"),
    (&["num-samples", "num_samples", "num-return-sequences"], "count"),
    (&["length", "max-new-tokens", "max_new_tokens", "n-predict"], "max-tokens"),
    (&["name", "run-name", "run_name"], "run"),
    (&["out", "outfile", "out-file"], "output"),
    (&["force", "f"], "yes"),
];

fn has_option(command: &Command, name: &str) -> bool {
    options(command).any(|option| option == name)
}

fn options(command: &Command) -> impl Iterator<Item = &str> {
    command.get_arguments().filter_map(clap::Arg::get_long)
}

/// Whether this command, and no other, has an option.
fn only_has(all: &Command, command: &Command, word: &str) -> bool {
    let having = || all.get_subcommands().filter(|command| has_option(command, word));
    having().count() == 1 && having().any(|other| other.get_name() == command.get_name())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::*;
    use crate::command_line::Arguments;

    fn said(line: &str) -> Option<String> {
        let typed: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let mut command = with_negative_numbers(Arguments::command());
        let error = command
            .try_get_matches_from_mut(&typed)
            .and_then(|matches| Arguments::from_arg_matches(&matches).map(|_| ()))
            .expect_err("it is wrong");
        in_our_words(&error, &command, &typed).or_else(|| Some(error.to_string()))
    }

    #[test]
    fn an_unknown_option_is_answered_with_the_key_the_command_or_the_options() {
        for (line, words) in [
            ("kiln train a.toml --lr 0.1", "`lr` is `schedule.cosine.rate` here"),
            ("kiln train a.toml --batch-size=3", "`batch_size` is `run.batch` here: `--set KEY=VALUE` sets it"),
            ("kiln train a.toml --epochs 3", "`epochs` is `run.steps` here"),
            ("kiln train book.txt --minutes 1", "`kiln new` has it"),
            ("kiln sample r -k 3", "did you mean `--top-k`?"),
            ("kiln sample r --length 3", "did you mean `--max-tokens`?"),
            ("kiln ls --with run.batch", "did you mean `--columns`?"),
            ("kiln rm r --force", "did you mean `--yes`?"),
            ("kiln sample r --watermark 3", "its options are --runs, "),
            ("kiln sample r --promt a", "did you mean `--prompt`?"),
        ] {
            let said = said(line).unwrap_or_default();
            assert!(said.contains(words) && said.contains("has no option"), "{line}: {said}");
        }
    }

    #[test]
    fn a_negative_number_is_answered_by_the_option_itself() {
        for line in ["kiln sample r --count -2", "kiln sweep a.toml --seeds -1", "kiln sweep a.toml --trials 0"] {
            let said = said(line).unwrap_or_default();
            assert!(said.contains("must be a whole number, 1 or more"), "{line}: {said}");
        }
        let said = said("kiln new a --text b --minutes -1").unwrap_or_default();
        assert!(said.contains("invalid value '-1'") && said.contains("0.1 to 10080 minutes"), "{said}");
    }

    #[test]
    fn what_is_no_number_is_never_answered_in_the_words_of_a_parser() {
        for (line, words) in [
            ("kiln sample r --length-penalty x", "for '--length-penalty <A>': must be a number, for example 0.5"),
            ("kiln chat r --temperature hot", "invalid value 'hot' for '--temperature <T>': must be a number"),
            ("kiln sample r --dry-multiplier 1 --dry-allowed-length 1.5", "must be a whole number, 0 or more"),
        ] {
            let said = said(line).unwrap_or_default();
            assert!(said.contains(words), "{line}: {said}");
        }
        let of_all = Arguments::command();
        for command in of_all.get_subcommands() {
            let places =
                command.get_positionals().filter(|arg| arg.is_required_set()).map(|_| " x").collect::<String>();
            for option in command.get_arguments().filter_map(clap::Arg::get_long) {
                let typed: Vec<String> = format!("kiln {}{places} --{option} x.y", command.get_name())
                    .split(' ')
                    .map(str::to_owned)
                    .collect();
                let Err(error) = Arguments::command().try_get_matches_from(&typed) else { continue };
                let said = in_our_words(&error, &of_all, &typed).unwrap_or_else(|| error.to_string());
                let words_of_parsers = ["literal", "digit found", "invalid float", "parse"];
                assert!(!words_of_parsers.iter().any(|words| said.contains(words)), "{typed:?}: {said}");
            }
        }
    }

    #[test]
    fn every_option_that_takes_a_whole_number_says_which_ones() {
        let whole = clap::builder::ValueParser::from(clap::value_parser!(u64)).type_id();
        let command = Arguments::command();
        let mut all: Vec<(String, &Command)> = Vec::new();
        let mut left: Vec<(String, &Command)> = vec![(String::new(), &command)];
        while let Some((name, command)) = left.pop() {
            let under = |sub: &'_ Command| format!("{name} {}", sub.get_name());
            left.extend(command.get_subcommands().map(|sub| (under(sub), sub)));
            all.push((name, command));
        }
        let mut found = 0;
        for (name, command) in all {
            for option in command.get_arguments().filter(|arg| arg.get_value_parser().type_id() == whole) {
                let Some(long) = option.get_long() else { continue };
                let places = command.get_positionals().filter(|arg| arg.is_required_set());
                let places: String = places.map(|_| " x").collect();
                let said = said(format!("kiln{name}{places} --{long} -7").as_str()).unwrap_or_default();
                let words = format!("--{long}");
                assert!(said.contains("must be a whole number") && said.contains(&words), "{name} --{long}: {said}");
                found += 1;
            }
        }
        assert!(found > 15, "{found}");
    }
}
