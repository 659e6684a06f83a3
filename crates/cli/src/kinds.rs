//! What kind of file a TOML is, and what to type for it where another kind is wanted.

use std::ops::Range;
use std::path::Path;

use kiln_settings::{ConfigErrors, Origin, Override, Problem, Source, key_span};

use crate::runs::quoted;

/// A kind of configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// Of one run.
    Run,
    /// Of runs that a file lists.
    Race,
    /// Of runs with several values.
    Sweep,
    /// Of one experiment of the lab.
    Experiment,
    /// Of several.
    Lecture,
    /// Of models that are made smaller and compared.
    Compression,
    /// Of models whose behaviour is measured.
    Study,
    /// Of several of those.
    Studies,
}

/// The keys that tell a kind from the others. A race and a sweep have those of a run too, so theirs come first.
const TELLING: [(&str, FileKind); 13] = [
    ("studies", FileKind::Studies),
    ("study", FileKind::Study),
    ("entrants", FileKind::Race),
    ("sweep", FileKind::Sweep),
    ("curves", FileKind::Experiment),
    ("experiments", FileKind::Lecture),
    ("variants", FileKind::Compression),
    ("problem", FileKind::Experiment),
    ("model", FileKind::Run),
    ("run", FileKind::Run),
    ("data", FileKind::Run),
    ("tokenizer", FileKind::Run),
    ("optimizer", FileKind::Run),
];

impl FileKind {
    /// The kinds of the lab.
    pub(crate) const LAB: [Self; 2] = [Self::Experiment, Self::Lecture];
    /// The kinds that runs are compared by: a run's configuration becomes one by what is set beside it.
    pub(crate) const COMPARED: [Self; 3] = [Self::Run, Self::Race, Self::Sweep];

    /// The kind of a file; nothing where no key tells it, or the file is not TOML.
    pub(crate) fn of(source: &Source) -> Option<Self> {
        Self::told(source).map(|(kind, ..)| kind)
    }

    fn told(source: &Source) -> Option<(Self, &'static str, Range<usize>)> {
        TELLING.into_iter().find_map(|(key, kind)| Some((kind, key, key_span(source, key)?)))
    }

    /// What the file is, what its key belongs to, and the command that takes it.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Run => ("this is the configuration of a run, which has a [model]", "a run", "train"),
            Self::Race => ("this is the file of a race, whose runs differ by [[entrants]]", "a race", "race"),
            Self::Sweep => ("this is the file of a sweep, whose runs differ by what is in [sweep]", "a sweep", "sweep"),
            Self::Experiment => {
                ("this is an experiment of the lab, which has [[curves]] instead of a [model]", "the lab", "converge")
            }
            Self::Lecture => ("this is a list of experiments of the lab", "the lab", "converge"),
            Self::Study => ("this is a study, which has a [study] and several [[models]]", "a study", "study"),
            Self::Studies => ("this is a list of studies", "a study", "study"),
            Self::Compression => {
                ("this is a report on models made smaller, which has [[variants]]", "a report", "compress --report")
            }
        }
    }
}

/// Makes sure that a file is of none but the kinds that are wanted; one that no key tells may be any.
///
/// # Errors
/// One problem, with the command for the kind that it is.
pub(crate) fn refuse_others(source: &Source, overrides: &[Override], wanted: &[FileKind]) -> Result<(), ConfigErrors> {
    if let Some(problem) = text_in_place_of(source) {
        return Err(ConfigErrors::new(source, overrides, vec![problem]));
    }
    let Some((kind, key, span)) = FileKind::told(source).filter(|(kind, ..)| !wanted.contains(kind)) else {
        return Ok(());
    };
    let (message, place, command) = kind.words();
    let problem = Problem {
        key: key.to_owned(),
        message: message.to_owned(),
        label: format!("belongs to {place}"),
        help: vec![format!("start it by `kiln {command} {}`", quoted(&source.name))],
        origin: Origin::File,
        span,
    };
    Err(ConfigErrors::new(source, overrides, vec![problem]))
}

/// What to say of a file that is no TOML and isn't called one: its every line would be a mistake.
fn text_in_place_of(source: &Source) -> Option<Problem> {
    let is_called_toml = Path::new(&source.name).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml"));
    if is_called_toml || source.text.parse::<toml::Table>().is_ok() {
        return None;
    }
    let file = quoted(&source.name);
    Some(Problem {
        key: String::new(),
        message: "this is not TOML, and so no configuration".to_owned(),
        label: "a text?".to_owned(),
        help: vec![format!(
            "`kiln train {file}` trains on a text, and `kiln new NAME --text {file}` writes a configuration for one"
        )],
        origin: Origin::File,
        span: 0..source.text.lines().next().unwrap_or_default().len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Option<FileKind> {
        FileKind::of(&Source::new("a file.toml", text))
    }

    #[test]
    fn the_key_that_a_kind_alone_has_tells_it() {
        assert_eq!(kind("seed = 1\n[model.gru]\n"), Some(FileKind::Run));
        assert_eq!(kind("[model.gru]\n[sweep]\nseeds = 2\n"), Some(FileKind::Sweep));
        assert_eq!(kind("[model.gru]\n[sweep]\n[[entrants]]\n"), Some(FileKind::Race));
        assert_eq!(kind("title = 'a'\n[problem.quadratic]\n"), Some(FileKind::Experiment));
        assert_eq!(kind("experiments = []\n"), Some(FileKind::Lecture));
        assert_eq!(kind("title = 'a'\n[[variants]]\n[variants.prune]\n"), Some(FileKind::Compression));
        assert_eq!(kind("[[models]]\n[study.recall]\n[run]\n"), Some(FileKind::Study));
        assert_eq!(kind("title = 'a'\nstudies = []\n"), Some(FileKind::Studies));
        assert_eq!((kind("title = 'a'\n"), kind("[model.gru\n")), (None, None));
    }

    #[test]
    fn a_text_in_place_of_a_configuration_is_said_once() {
        let source = Source::new("book.txt", "Call me Ishmael.\nSome years ago\n");
        let errors = refuse_others(&source, &[], &FileKind::COMPARED).expect_err("it is a text");
        let [problem] = &errors.problems[..] else { panic!("{errors}") };
        assert!(problem.help[0].starts_with("`kiln train book.txt` trains on a text"), "{problem:?}");
        // Of a file that is called a configuration every mistake is said.
        assert_eq!(refuse_others(&Source::new("book.toml", "a = \n"), &[], &FileKind::COMPARED), Ok(()));
    }

    #[test]
    fn another_kind_is_said_once_with_its_command() {
        let source = Source::new("a file.toml", "seed = 1\n[model.gru]\n");
        assert_eq!(refuse_others(&source, &[], &FileKind::COMPARED), Ok(()));
        let errors = refuse_others(&source, &[], &FileKind::LAB).expect_err("it is no experiment");
        let [problem] = &errors.problems[..] else { panic!("{errors}") };
        assert_eq!(problem.help, ["start it by `kiln train 'a file.toml'`"]);
        assert_eq!(errors.position_of(problem), (2, 2));
    }
}
