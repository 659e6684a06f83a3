//! Reading any type of settings: parse, override, read, validate, and report everything at once.

use std::collections::BTreeSet;

use crate::Violation;
use serde::de::DeserializeOwned;

use super::document::{self, Node, Overriding};
use super::hints::{Hints, Replaced};
use super::problem::{ConfigErrors, Override, Problem, Source};
use super::schema::Schema;
use super::{mistakes, reader};

/// Places that could not be read, beyond which no rules are checked.
const MOST_BROKEN: usize = 1000;

/// Reads a `T` from a file and overrides; `validate` gives the broken rules of a `T`, keys from the root.
///
/// Rules that a value breaks only because another mistake replaced it are not reported: a violation is left out when
/// its key, or a key that its text mentions, could not be read.
///
/// # Examples
/// ```
/// use kiln_settings::{Override, Source, read};
///
/// #[derive(serde::Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Shelf {
///     jars: u32,
/// }
///
/// let source = Source::new("shelf.toml", "jars = 3");
/// let overrides = [Override::parse("--set", "jars=4")?];
/// let shelf: Shelf = read(&source, &overrides, |_| Vec::new())?;
/// assert_eq!(shelf.jars, 4);
///
/// let source = Source::new("shelf.toml", "jarz = 3");
/// let errors = read::<Shelf>(&source, &[], |_| Vec::new()).err().expect("the key is misspelled");
/// assert_eq!(errors.problems[0].message, "unknown section or key `jarz`");
/// assert_eq!(errors.position_of(&errors.problems[0]), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// All problems of the file and the overrides, in order. When the file is not TOML, its syntax errors.
pub fn read<T: DeserializeOwned>(
    source: &Source,
    overrides: &[Override],
    validate: impl FnOnce(&T) -> Vec<Violation>,
) -> Result<T, ConfigErrors> {
    read_with(source, overrides, &Hints::default(), validate)
}

/// The tables of the file that overrides replace by another one of the same choice, to be shown to the user; none where
/// the file is not TOML.
pub fn replaced<T: DeserializeOwned>(source: &Source, overrides: &[Override], hints: &Hints<'_>) -> Vec<Replaced> {
    let Ok(mut root) = document::parse(source) else { return Vec::new() };
    let schema = Schema::of::<T>();
    let mut overriding = Overriding::new(&schema, hints);
    // Errors are reported where the same text is read.
    let _ = overriding.apply(&mut root, overrides);
    overriding.replaced
}

/// As [`read`], with what is known of the keys beside the type.
///
/// # Errors
/// As [`read`].
pub fn read_with<T: DeserializeOwned>(
    source: &Source,
    overrides: &[Override],
    hints: &Hints<'_>,
    validate: impl FnOnce(&T) -> Vec<Violation>,
) -> Result<T, ConfigErrors> {
    let mut root = document::parse(source).map_err(|problems| ConfigErrors::new(source, overrides, problems))?;
    let schema = Schema::of::<T>();
    let mut problems = Overriding::new(&schema, hints).apply(&mut root, overrides);
    match read_tree(&root, overrides, &schema, hints, validate) {
        Ok(value) if problems.is_empty() => return Ok(value),
        Ok(_) => {}
        Err(more) => problems.extend(more),
    }
    Err(ConfigErrors::new(source, overrides, problems))
}

/// Reads a `T` from a tree in which everything is in its place; `overrides` are those that values in it come from.
pub(crate) fn read_tree<T: DeserializeOwned>(
    root: &Node,
    overrides: &[Override],
    schema: &Schema,
    hints: &Hints<'_>,
    validate: impl FnOnce(&T) -> Vec<Violation>,
) -> Result<T, Vec<Problem>> {
    let reader::Outcome { value, mut problems, broken, renamed } =
        reader::read::<T>(root, overrides, schema, hints.word);
    // Which rules depend on what could not be read is asked for each of both; that many mistakes are enough to report.
    if let Some(value) = value.as_ref().filter(|_| broken.len() <= MOST_BROKEN) {
        let violations = validate(value).into_iter().filter(|violation| !depends_on_any(violation, &broken));
        problems
            .extend(violations.map(|violation| mistakes::violation(renamed.nearest(root, &violation.key), violation)));
    }
    match value {
        Some(value) if problems.is_empty() => Ok(value),
        _ => Err(problems),
    }
}

fn depends_on_any(violation: &Violation, broken: &BTreeSet<String>) -> bool {
    let inside = |path: &str, outer: &str| {
        path == outer || path.strip_prefix(outer).is_some_and(|rest| rest.starts_with(['.', '[']))
    };
    broken.iter().any(|path| {
        let name = path.rsplit('.').next().unwrap_or(path);
        inside(&violation.key, path)
            || mentions(&violation.message, name)
            || violation.help.as_deref().is_some_and(|help| mentions(help, name))
    })
}

/// Whether a text holds a key as a whole word.
fn mentions(text: &str, key: &str) -> bool {
    text.split(|character: char| !character.is_alphanumeric() && character != '-').any(|word| word == key)
}
