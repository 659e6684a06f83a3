//! `history.jsonl`: one object a line, each time that the run was started or resumed, and what was changed before.

use std::io::ErrorKind;
use std::path::Path;

use kiln_settings::files::{Content, Links, read_regular};
use kiln_storage::layout::{CONFIG_FILE, HISTORY_FILE};
use kiln_storage::write_file_atomically;
use serde::{Deserialize, Serialize};

use super::error::{FolderError, io};
use super::folder::RunFolder;
use crate::config::Change;

/// A line is a few changed keys, and there is one for each time that a run was resumed.
const LONGEST: u64 = 16 << 20;

/// A start of the run, or a time that it was resumed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// The steps that were made before.
    pub step: u64,
    /// The device that trained from there on, in words.
    pub device: String,
    /// The version of Kiln that trained from there on.
    pub kiln: String,
    /// How the configuration differs from the one before.
    pub changes: Vec<Change>,
}

impl RunFolder {
    /// Writes the first entry, over the entries of a start that saved nothing.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn begin_history(&self, entry: &HistoryEntry) -> Result<(), FolderError> {
        self.write_history(Vec::new(), entry)
    }

    /// Adds an entry, and makes `config` the configuration of the run. The entry comes first: a change may then be
    /// listed twice, if the process is killed between the two, and is never left out.
    ///
    /// # Errors
    /// When a file cannot be read or written; each is written as a whole or not at all.
    pub fn go_on(&self, config: &str, entry: &HistoryEntry) -> Result<(), FolderError> {
        self.write_history(read(self.path())?.into_bytes(), entry)?;
        Ok(write_file_atomically(self.files(), &self.path().join(CONFIG_FILE), config.as_bytes())?)
    }

    fn write_history(&self, mut text: Vec<u8>, entry: &HistoryEntry) -> Result<(), FolderError> {
        let path = self.path().join(HISTORY_FILE);
        let line = serde_json::to_vec(entry).map_err(|error| io(&path, "write", error.into()))?;
        text.extend(line);
        text.push(b'\n');
        Ok(write_file_atomically(self.files(), &path, &text)?)
    }
}

/// The entries of a run, oldest first. If there is no file, there are none.
///
/// # Errors
/// When the file cannot be read, or a line in it isn't one that this program writes.
pub fn history(run: &Path) -> Result<Vec<HistoryEntry>, FolderError> {
    let entry = |(index, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|error| {
            let damage = std::io::Error::new(ErrorKind::InvalidData, format!("line {} is damaged: {error}", index + 1));
            io(&run.join(HISTORY_FILE), "read", damage)
        })
    };
    read(run)?.lines().enumerate().map(entry).collect()
}

fn read(run: &Path) -> Result<String, FolderError> {
    let path = run.join(HISTORY_FILE);
    let text = |bytes| String::from_utf8(bytes).map_err(|error| std::io::Error::new(ErrorKind::InvalidData, error));
    match read_regular(&path, Links::Followed, LONGEST).and_then(Content::into_bytes).and_then(text) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        other => other.map_err(|source| io(&path, "read", source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_is_read_in_order_and_a_damaged_line_is_named() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(history(run.path()).unwrap(), []);
        let entry = |step| HistoryEntry { step, device: "a device".into(), kiln: "0.1.0".into(), changes: Vec::new() };
        let line = |step| serde_json::to_string(&entry(step)).unwrap();
        let path = run.path().join(HISTORY_FILE);
        std::fs::write(&path, format!("{}\n{}\n", line(0), line(5))).unwrap();
        assert_eq!(history(run.path()).unwrap(), [entry(0), entry(5)]);
        std::fs::write(&path, format!("{}\n{{\"step\":5\n", line(0))).unwrap();
        let message = history(run.path()).unwrap_err().to_string();
        assert!(message.contains("history.jsonl") && message.contains("line 2 is damaged"), "{message}");
    }
}
