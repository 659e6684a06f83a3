//! `[data]`: which text, and how it is split.

use kiln_settings::{Violation, rules};
use serde::{Deserialize, Serialize};

use super::BuiltinConfig;

/// The corpus of a run: exactly one of the tables `file`, `download` and `builtin`.
///
/// The text is taken as it is: line ends are not changed, only a byte order mark at the start of a file is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DataConfig {
    /// Part of the characters, the last ones, that is kept for validation, in (0, 1). Of n characters the first
    /// floor(n * (1 - fraction)) are trained on. Default `0.1`.
    pub validation_fraction: f64,
    /// The text that stands between documents, for example `"<|endoftext|>"`. Each becomes the token that ends a
    /// document, which the tokenizer must have (`"<|end|>"`, or one of the other [`kiln_models::END_TOKENS`]), and each
    /// file ends a document too; with `""` the files are the documents. Default: the corpus is one text, files joined
    /// as they are.
    pub separator: Option<String>,
    /// Files on this machine.
    pub file: Option<FileConfig>,
    /// A file from the network.
    pub download: Option<DownloadConfig>,
    /// Tales that Kiln writes itself.
    pub builtin: Option<BuiltinConfig>,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self { validation_fraction: 0.1, separator: None, file: None, download: None, builtin: None }
    }
}

/// `[data.file]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FileConfig {
    /// UTF-8 files or patterns with `*`, `?`, `[...]` and `**`, relative to the current folder. They are read in the
    /// order given, the files of a pattern in alphabetical order, each file once. As in a shell, a pattern leaves out
    /// names that begin with a dot, unless it has the dot. No default.
    pub paths: Vec<String>,
}

/// `[data.download]`: fetched once and kept in the cache folder, under its checksum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DownloadConfig {
    /// Address of a UTF-8 file: http, https or file. No default.
    pub url: String,
    /// SHA-256 of the file, 64 hexadecimal digits. No default.
    pub sha256: String,
    /// Name of the file in the cache and on a mirror. Default: the last part of the address.
    pub name: Option<String>,
}

impl DataConfig {
    /// Every broken rule, keys relative to `[data]`.
    pub fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        let fraction = rules::inside_unit("validation-fraction", self.validation_fraction);
        violations.extend(fraction.map(|violation| violation.with_help("0.1 keeps a tenth of the text")));
        violations.extend(self.one_source());
        if self.separator.is_some() && self.builtin.is_some() {
            let message = "does not go with the built-in corpus, whose entropy is known for its text as it is";
            violations.push(Violation::new("separator", message).with_help("leave `separator` out"));
        }
        let file = self.file.iter().flat_map(FileConfig::validate).map(|violation| violation.under("file"));
        let download =
            self.download.iter().flat_map(DownloadConfig::validate).map(|violation| violation.under("download"));
        let builtin = self.builtin.iter().flat_map(BuiltinConfig::validate).map(|violation| violation.under("builtin"));
        violations.into_iter().chain(file).chain(download).chain(builtin).collect()
    }

    fn one_source(&self) -> Option<Violation> {
        let sources =
            [("file", self.file.is_some()), ("download", self.download.is_some()), ("builtin", self.builtin.is_some())];
        let given: Vec<&str> = sources.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        match given.as_slice() {
            [_] => None,
            [] => Some(
                Violation::new(
                    "file",
                    "is missing: exactly one of the tables `file`, `download` and `builtin` must be there",
                )
                .with_help("add `[data.file]` with `paths = [\"text.txt\"]`, or `[data.builtin]`"),
            ),
            // The last one is where the reader meets the contradiction.
            [first, .., last] => Some(Violation::new(
                *last,
                format!(
                    "is one source too many: exactly one of the tables `file`, `download` and `builtin` may be there, \
                     and `{first}` is too"
                ),
            )
            .with_help(format!("remove `[data.{first}]` or `[data.{last}]` from the file")),
            ),
        }
    }
}

impl FileConfig {
    fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        if self.paths.is_empty() {
            violations.push(Violation::new("paths", "must name at least one file").with_help("paths = [\"text.txt\"]"));
        }
        for (index, path) in self.paths.iter().enumerate() {
            let key = format!("paths[{index}]");
            if path.is_empty() {
                violations.push(Violation::new(key, "must name a file, is empty"));
            } else if let Err(error) = glob::Pattern::new(path)
                && !std::path::Path::new(path).exists()
            {
                violations.push(Violation::new(key, format!("{path:?} is not a pattern: {error}")));
            }
        }
        violations
    }
}

impl DownloadConfig {
    /// The name of the file in the cache and on a mirror.
    pub fn file_name(&self) -> &str {
        let path = self.url.split(['?', '#']).next().unwrap_or_default();
        let last = path.rsplit('/').next().unwrap_or_default();
        self.name.as_deref().unwrap_or(if last.is_empty() { "download" } else { last })
    }

    fn validate(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        let scheme = self.url.split_once("://").map_or("", |(scheme, _)| scheme);
        if !["http", "https", "file"].contains(&scheme) {
            let message = format!("must begin with https://, http:// or file://, is {:?}", self.url);
            violations.push(Violation::new("url", message));
        }
        if self.sha256.len() != 64 || !self.sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let message = format!("must be 64 hexadecimal digits, is {:?}", self.sha256);
            violations.push(Violation::new("sha256", message).with_help("`sha256sum FILE` prints it"));
        }
        let name = self.file_name();
        if name == "." || name == ".." || name.is_empty() || name.contains(['/', '\\', '\0']) {
            let message = format!("must be a plain file name, is {name:?}");
            violations.push(Violation::new("name", message).with_help("name = \"text.txt\""));
        }
        violations
    }
}
