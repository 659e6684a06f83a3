//! Pairs out of files.

use std::path::PathBuf;

use serde::Deserialize;

use super::super::CorpusError;
use super::super::file::{FilePieces, TextFile};
use super::super::place::Place;
use super::{Pair, PairsConfig};
use kiln_models::END_TOKENS;

/// What is wrong with a file of pairs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PairFileError {
    /// A line of a file that isn't a pair.
    #[error("line {line} of {} is no pair: {reason}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What it lacks.
        reason: String,
    },
    /// Two files that belong together have lines that don't.
    #[error("{} has {sources} lines and {} has {targets}, but line n of one must be what line n of the other is \
             translated to",
        source_file.display(), target_file.display())]
    Lines {
        /// The file of the sources.
        source_file: PathBuf,
        /// Its lines.
        sources: usize,
        /// That of the targets.
        target_file: PathBuf,
        /// Its lines.
        targets: usize,
    },
    /// Fewer pairs than the two splits need.
    #[error("the files hold {pairs} {}, of which `data.validation-fraction` leaves {trained} to train on; both splits \
             need one at least", if *pairs == 1 { "pair" } else { "pairs" })]
    TooFew {
        /// Pairs in all.
        pairs: usize,
        /// Those that would be trained on.
        trained: usize,
    },
}

/// A line of a file with JSON objects.
#[derive(Deserialize)]
struct Line {
    source: String,
    target: String,
}

/// The lines of a file, without their ends, each with its place.
fn lines(number: usize, file: &TextFile) -> Result<Vec<(String, Place)>, CorpusError> {
    let mut text = String::new();
    let mut first = None;
    for piece in FilePieces::open(&file.path)? {
        let piece = piece?;
        first.get_or_insert(piece.offset);
        text.push_str(&piece.text);
    }
    let mut offset = first.unwrap_or(0);
    let mut found = Vec::new();
    for line in text.split_inclusive('\n') {
        let place = Place { file: number, offset };
        offset += line.len() as u64;
        let line = line.strip_suffix('\n').unwrap_or(line);
        found.push((line.strip_suffix('\r').unwrap_or(line).to_owned(), place));
    }
    Ok(found)
}

/// The pairs of these files, which `config` names.
pub(super) fn read(config: &PairsConfig, files: &[TextFile]) -> Result<Vec<(Pair, [Place; 2])>, CorpusError> {
    if config.paths.is_empty() {
        return aligned(files);
    }
    let mut pairs = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let is_json = file.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("jsonl"));
        for (index, (line, place)) in lines(number, file)?.into_iter().enumerate() {
            let wrong = |reason: String| PairFileError::Line { path: file.path.clone(), line: index + 1, reason };
            let (pair, target) = if is_json { of_json(&line) } else { of_tabs(&line) }.map_err(wrong)?;
            checked(&pair).map_err(wrong)?;
            pairs.push((pair, [place, Place { offset: place.offset + target, ..place }]));
        }
    }
    Ok(pairs)
}

/// The pairs of two files.
fn aligned(files: &[TextFile]) -> Result<Vec<(Pair, [Place; 2])>, CorpusError> {
    let [source_file, target_file] = files else {
        let found: Vec<String> = files.iter().map(|file| file.path.display().to_string()).collect();
        return Err(CorpusError::Empty { what: format!("{} instead of two files", found.join(", ")) });
    };
    let (sources, targets) = (lines(0, source_file)?, lines(1, target_file)?);
    if sources.len() != targets.len() {
        let (source_file, target_file) = (source_file.path.clone(), target_file.path.clone());
        let (sources, targets) = (sources.len(), targets.len());
        return Err(PairFileError::Lines { source_file, sources, target_file, targets }.into());
    }
    let mut pairs = Vec::with_capacity(sources.len());
    for (index, ((source, from), (target, to))) in sources.into_iter().zip(targets).enumerate() {
        let pair = Pair { source, target };
        checked(&pair).map_err(|reason| {
            let path = if pair.source.trim().is_empty() { &source_file.path } else { &target_file.path };
            PairFileError::Line { path: path.clone(), line: index + 1, reason }
        })?;
        pairs.push((pair, [from, to]));
    }
    Ok(pairs)
}

/// A pair, and how many bytes behind its source the target begins.
fn of_tabs(line: &str) -> Result<(Pair, u64), String> {
    let parts: Vec<&str> = line.split('\t').collect();
    match parts[..] {
        [source, target] => {
            Ok((Pair { source: source.to_owned(), target: target.to_owned() }, source.len() as u64 + 1))
        }
        [text] if text.trim().is_empty() => Err("it is empty".to_owned()),
        [_] => Err("it has no tab, which stands between source and target".to_owned()),
        _ => Err(format!("it has {} tabs, and one stands between source and target", parts.len() - 1)),
    }
}

fn of_json(line: &str) -> Result<(Pair, u64), String> {
    if line.trim().is_empty() {
        return Err("it is empty".to_owned());
    }
    let Line { source, target } = serde_json::from_str(line).map_err(|error| format!("{error}"))?;
    Ok((Pair { source, target }, 0))
}

/// The reason why the texts of a pair cannot be learned from.
fn checked(pair: &Pair) -> Result<(), String> {
    for (what, text) in [("source", &pair.source), ("target", &pair.target)] {
        if text.trim().is_empty() {
            return Err(format!("its {what} is empty"));
        }
        if let Some(token) = END_TOKENS.iter().find(|token| text.contains(**token)) {
            return Err(format!("its {what} holds `{token}`, which ends a text"));
        }
    }
    Ok(())
}
