//! Files that have a JSON object in each line.

use std::path::{Path, PathBuf};

use kiln_settings::files::{Content, Links, read_regular};

/// The longest file that is read, bytes.
const LONGEST_FILE: u64 = 256 << 20;

/// Why a file of examples or of tasks cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JsonLinesError {
    /// The file cannot be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A line isn't what it should be.
    #[error("`{}`, line {line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// There is nothing in the file.
    #[error("`{}` holds no line", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// What `parse` makes of each line that isn't blank, with the line's number. The first line that it refuses is an
/// error.
pub(crate) fn read_json_lines<T>(
    path: &Path,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<(usize, T)>, JsonLinesError> {
    let bytes = read_regular(path, Links::Followed, LONGEST_FILE).and_then(Content::into_bytes);
    let bytes = bytes.map_err(|source| JsonLinesError::Read { path: path.to_owned(), source })?;
    let mut read = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let line_error = |problem| JsonLinesError::Line { path: path.to_owned(), line: index + 1, problem };
        let text = std::str::from_utf8(line).map_err(|_| line_error("it is not UTF-8".to_owned()))?;
        if !text.trim().is_empty() {
            read.push((index + 1, parse(text).map_err(line_error)?));
        }
    }
    if read.is_empty() { Err(JsonLinesError::Empty { path: path.to_owned() }) } else { Ok(read) }
}

/// What `serde_json` says of a line, with the column where it is no JSON.
pub(crate) fn json_problem(error: &serde_json::Error) -> String {
    let words = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    let words = words.strip_suffix(&place).unwrap_or(&words);
    if error.is_data() { words.to_owned() } else { format!("no JSON: {words} (column {})", error.column()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &[u8]) -> Result<Vec<(usize, u32)>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let parse = |line: &str| serde_json::from_str::<u32>(line).map_err(|error| json_problem(&error));
        let found = read_json_lines(file.path(), parse);
        found.map_err(|error| error.to_string().replace(&file.path().display().to_string(), "FILE"))
    }

    #[test]
    fn lines_keep_their_numbers_and_the_first_bad_one_is_named() {
        assert_eq!(read(b"1\n\n3\r\n \n5"), Ok(vec![(1, 1), (3, 3), (5, 5)]));
        assert_eq!(read(b"1\nx\n[").unwrap_err(), "`FILE`, line 2: no JSON: expected value (column 1)");
        assert_eq!(read(b"1\n\"x\"").unwrap_err(), "`FILE`, line 2: invalid type: string \"x\", expected u32");
        assert_eq!(read(b"1\n\n\xff\n").unwrap_err(), "`FILE`, line 3: it is not UTF-8");
        assert_eq!(read(b"\n \n").unwrap_err(), "`FILE` holds no line");
        let missing = read_json_lines(Path::new("no-such-file"), |_| Ok(())).unwrap_err();
        assert_eq!(missing.to_string(), "cannot read `no-such-file`");
    }
}
