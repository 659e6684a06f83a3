//! Text files: which ones, and their text in pieces of bounded size.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::{CorpusError, DataConfig};

/// How much is read at a time, in bytes.
const PIECE: usize = 256 << 10;

/// What some editors write at the start of a file; it is no part of the text.
const BYTE_ORDER_MARK: char = '\u{FEFF}';

/// One file of a corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextFile {
    pub(super) path: PathBuf,
    pub(super) bytes: u64,
    /// When it was last written, in nanoseconds since 1970; 0 where the system does not tell.
    pub(super) modified: u128,
}

impl TextFile {
    /// The file at `path`, if it is a plain one.
    pub(super) fn new(path: &Path) -> Result<Self, CorpusError> {
        let failed = |source| CorpusError::Read { path: path.to_owned(), source };
        let metadata = std::fs::metadata(path).map_err(failed)?;
        if !metadata.is_file() {
            return Err(CorpusError::NotAFile { path: path.to_owned() });
        }
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = modified.map_or(0, |since| since.as_nanos());
        Ok(Self { path: path.to_owned(), bytes: metadata.len(), modified })
    }
}

/// The files of a text, those for validation last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) all: Vec<TextFile>,
    /// How many of them are not for validation alone.
    pub(super) training: usize,
}

impl Files {
    /// The files that `config` names on this machine. Those of `validation-files` are left out where a pattern of
    /// `paths` takes them, too.
    pub(super) fn find(config: &DataConfig) -> Result<Self, CorpusError> {
        let paths = config.file.as_ref().map(|file| &file.paths);
        let paths = paths.or(config.conversations.as_ref().map(|conversations| &conversations.paths));
        let named = paths.map_or(Ok(Vec::new()), |paths| find(paths, config))?;
        Self { training: named.len(), all: named }.with_validation(config)
    }

    /// The same with `text`, a download, as what is trained on.
    pub(super) fn of_download(text: TextFile, config: &DataConfig) -> Result<Self, CorpusError> {
        Self { all: vec![text], training: 1 }.with_validation(config)
    }

    fn with_validation(mut self, config: &DataConfig) -> Result<Self, CorpusError> {
        let Some(paths) = &config.validation_files else { return Ok(self) };
        let validation = find(paths, config)?;
        let real = |file: &TextFile| std::fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone());
        let kept: HashSet<PathBuf> = validation.iter().map(real).collect();
        self.all.retain(|file| !kept.contains(&real(file)));
        self.training = self.all.len();
        self.all.extend(validation);
        Ok(self)
    }
}

/// The files of `paths`, in this order, the files of a pattern in alphabetical order, each once.
pub(super) fn find(paths: &[String], config: &DataConfig) -> Result<Vec<TextFile>, CorpusError> {
    let looked_in = || {
        let here = std::env::current_dir().unwrap_or_default();
        config.looked_in.iter().map(|folder| here.join(folder)).chain([here.clone()]).collect()
    };
    let mut files = Vec::new();
    let mut seen = HashSet::new();
    for given in paths {
        let path = Path::new(given);
        // A file may have a name that looks like a pattern.
        let found = match path.exists() {
            true => vec![path.to_owned()],
            false => matches(given)?,
        };
        if found.is_empty() {
            return Err(match is_pattern(given) {
                true => CorpusError::NoMatch { pattern: given.clone(), looked_in: looked_in() },
                false => CorpusError::Missing { path: given.clone(), looked_in: looked_in() },
            });
        }
        for path in found {
            if seen.insert(std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone())) {
                files.push(TextFile::new(&path)?);
            }
        }
    }
    Ok(files)
}

impl DataConfig {
    /// Looks for the relative paths in `folder`, that of the configuration: those that lead to something there lead
    /// there from now on, and those that do not are left to the current folder.
    pub fn look_in(&mut self, folder: &Path) {
        let paths = self.file.iter_mut().flat_map(|file| &mut file.paths);
        let conversations = self.conversations.iter_mut().flat_map(|conversations| {
            let template = conversations.template.iter_mut().filter(|template| template.ends_with(".jinja"));
            conversations.paths.iter_mut().chain(template)
        });
        let of_pairs = self
            .pairs
            .iter_mut()
            .flat_map(|pairs| pairs.paths.iter_mut().chain(&mut pairs.source).chain(&mut pairs.target));
        let validation = self.validation_files.iter_mut().flatten();
        for path in paths.chain(conversations).chain(of_pairs).chain(validation) {
            let there = folder.join(&*path);
            if let Some(there) = there.to_str().filter(|there| leads_somewhere(there)) {
                *path = there.to_owned();
            }
        }
        self.looked_in = Some(folder.to_owned());
    }
}

/// Whether there is such a file, or one that matches.
fn leads_somewhere(path: &str) -> bool {
    Path::new(path).exists() || glob::glob(path).is_ok_and(|mut found| found.any(|path| path.is_ok()))
}

/// The files, not folders, that `pattern` matches, in alphabetical order.
fn matches(pattern: &str) -> Result<Vec<PathBuf>, CorpusError> {
    let Ok(found) = glob::glob(pattern) else { return Ok(Vec::new()) };
    if let Some(path) = unnameable(pattern) {
        return Err(CorpusError::Unnameable { path });
    }
    let mut paths = Vec::new();
    for path in found {
        match path {
            Ok(path) if path.is_dir() || is_hidden(&path, pattern) || is_in_a_circle(&path) => {}
            Ok(path) => paths.push(path),
            Err(error) if is_in_a_circle(error.path()) => {}
            Err(error) => {
                let path = error.path().to_owned();
                return Err(CorpusError::Read { path, source: error.into() });
            }
        }
    }
    paths.sort();
    Ok(paths)
}

/// Whether a part of `path` is a link to a folder that it is in: a pattern with `**` would go round and round.
fn is_in_a_circle(path: &Path) -> bool {
    let leads_up = |folder: &Path| {
        folder.is_symlink()
            && match (std::fs::canonicalize(folder), folder.parent().map(std::fs::canonicalize)) {
                (Ok(target), Some(Ok(above))) => above.starts_with(target),
                // It has gone round too often to be followed.
                _ => true,
            }
    };
    path.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()).any(leads_up)
}

/// Whether a part of `path` begins with a dot that `pattern` does not name. As in a shell, `*` does not stand for it:
/// such files and folders are copies and notes that editors and systems leave beside the text.
fn is_hidden(path: &Path, pattern: &str) -> bool {
    let is_named = |name: &str| {
        let parts = pattern.split(['/', std::path::MAIN_SEPARATOR]).filter(|part| part.starts_with('.'));
        parts.filter_map(|part| glob::Pattern::new(part).ok()).any(|part| part.matches(name))
    };
    path.components().any(|part| match part {
        Component::Normal(name) => {
            let name = name.to_string_lossy();
            name.starts_with('.') && !is_named(&name)
        }
        _ => false,
    })
}

/// A file that `pattern` would match if its name were UTF-8: patterns pass over such names without a word.
fn unnameable(pattern: &str) -> Option<PathBuf> {
    let parsed = glob::Pattern::new(pattern).ok()?;
    let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::new() };
    let parts = Path::new(pattern).components();
    // The folders before the first part with a wildcard are named as they are.
    let base: PathBuf = parts.clone().take_while(|part| !is_pattern(&part.as_os_str().to_string_lossy())).collect();
    let levels = if pattern.contains("**") { usize::MAX } else { parts.count() - base.components().count() };
    let mut folders = vec![(base, levels)];
    while let Some((folder, levels)) = folders.pop() {
        let listed = if folder.as_os_str().is_empty() { Path::new(".") } else { &folder };
        // What cannot be listed is reported where the pattern is followed.
        for entry in std::fs::read_dir(listed).into_iter().flatten().flatten() {
            let path = folder.join(entry.file_name());
            if is_hidden(&path, pattern) {
                continue;
            }
            // Links to folders might lead in circles.
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if levels > 1 {
                    folders.push((path, levels - 1));
                }
            } else if path.to_str().is_none() && parsed.matches_with(&path.to_string_lossy(), options) {
                return Some(path);
            }
        }
    }
    None
}

/// Whether a name holds a wildcard.
fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '['])
}

/// A piece of a file's text and where it starts, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FilePiece {
    pub(super) text: String,
    pub(super) offset: u64,
}

/// The text of one file in pieces of about [`PIECE`] bytes, none of them empty, never breaking a character.
#[derive(Debug)]
pub(super) struct FilePieces {
    path: PathBuf,
    file: File,
    /// Bytes of a character that the last piece ended inside.
    begun: Vec<u8>,
    /// Where the next piece starts.
    offset: u64,
    done: bool,
}

impl FilePieces {
    pub(super) fn open(path: &Path) -> Result<Self, CorpusError> {
        let file = File::open(path).map_err(|source| CorpusError::Read { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file, begun: Vec::new(), offset: 0, done: false })
    }

    fn read(&mut self) -> Result<Option<FilePiece>, CorpusError> {
        let mut bytes = std::mem::take(&mut self.begun);
        let begun = bytes.len();
        let limit = (PIECE - begun) as u64;
        let failed = |source| CorpusError::Read { path: self.path.clone(), source };
        let read = (&mut self.file).take(limit).read_to_end(&mut bytes).map_err(failed)?;
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                // What is unfinished at the end of a piece may continue in the next, but not after the end of the file.
                if error.utf8_error().error_len().is_some() || read == 0 {
                    return Err(CorpusError::NotUtf8 { path: self.path.clone(), offset: self.offset + valid as u64 });
                }
                let mut bytes = error.into_bytes();
                self.begun = bytes.split_off(valid);
                String::from_utf8(bytes).unwrap_or_default()
            }
        };
        if text.is_empty() && read == 0 {
            return Ok(None);
        }
        let offset = self.offset;
        self.offset += text.len() as u64;
        let text = match offset == 0 && text.starts_with(BYTE_ORDER_MARK) {
            true => text[BYTE_ORDER_MARK.len_utf8()..].to_owned(),
            false => text,
        };
        Ok(Some(FilePiece { offset: self.offset - text.len() as u64, text }))
    }
}

impl Iterator for FilePieces {
    type Item = Result<FilePiece, CorpusError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            match self.read() {
                Ok(Some(piece)) if piece.text.is_empty() => {}
                Ok(Some(piece)) => return Some(Ok(piece)),
                Ok(None) => self.done = true,
                Err(error) => {
                    self.done = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}
