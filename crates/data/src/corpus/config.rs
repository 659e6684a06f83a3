//! `[data]`: which text, and how it is split.

use std::path::PathBuf;

use kiln_settings::{Violation, rules};
use serde::{Deserialize, Serialize};

use super::every::EveryDocument;
use super::{BuiltinConfig, BuiltinPairsConfig, ConversationsConfig, PairsConfig};

/// The corpus of a run: exactly one of the tables `file`, `download`, `builtin`, `conversations`, `pairs` and
/// `builtin-pairs`.
///
/// The text is taken as it is: line ends are not changed, only a byte order mark at the start of a file is left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DataConfig {
    /// Part of the characters, the last ones, that is kept for validation, in (0, 1). Of n characters the first
    /// floor(n * (1 - fraction)) are trained on; without a say where `validation` or `validation_files` chooses.
    /// Default `0.1`.
    pub validation_fraction: f64,
    /// Which documents are kept for validation, each as a whole: `"every 10th document"`. Without a separator each file
    /// is a document. Default: none, the split is by `validation_fraction`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<String>,
    /// Files or patterns that are kept for validation, each as a whole; all other text is trained on. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_files: Option<Vec<String>>,
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
    /// Conversations, of which the answers are learned.
    pub conversations: Option<ConversationsConfig>,
    /// Files of texts and what they are translated to, for a model that reads pairs.
    pub pairs: Option<PairsConfig>,
    /// Sentences of the tales and their translations into an invented language.
    pub builtin_pairs: Option<BuiltinPairsConfig>,
    /// The folder that relative paths were looked for in before the current one: that of the configuration, which is
    /// no key of it.
    #[serde(skip)]
    pub looked_in: Option<PathBuf>,
}

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            validation_fraction: 0.1,
            validation: None,
            validation_files: None,
            separator: None,
            file: None,
            download: None,
            builtin: None,
            conversations: None,
            pairs: None,
            builtin_pairs: None,
            looked_in: None,
        }
    }
}

/// `[data.file]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FileConfig {
    /// UTF-8 files or patterns with `*`, `?`, `[...]` and `**`. They are read in the order given, the files of a
    /// pattern in alphabetical order, each file once. As in a shell, a pattern leaves out names that begin with a dot,
    /// unless it has the dot. No default.
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
        violations.extend(self.of_text_as_it_is());
        violations.extend(self.of_conversations());
        violations.extend(self.one_split());
        let file = self.file.iter().flat_map(FileConfig::validate).map(|violation| violation.under("file"));
        let download =
            self.download.iter().flat_map(DownloadConfig::validate).map(|violation| violation.under("download"));
        let builtin = self.builtin.iter().flat_map(BuiltinConfig::validate).map(|violation| violation.under("builtin"));
        let conversations = self.conversations.iter().flat_map(ConversationsConfig::validate);
        let conversations = conversations.map(|violation| violation.under("conversations"));
        let pairs = self.pairs.iter().flat_map(PairsConfig::validate).map(|violation| violation.under("pairs"));
        let of_pairs = self.builtin_pairs.iter().flat_map(BuiltinPairsConfig::validate);
        let of_pairs = of_pairs.map(|violation| violation.under("builtin-pairs"));
        let parts = file.chain(download).chain(builtin).chain(conversations).chain(pairs).chain(of_pairs);
        violations.into_iter().chain(parts).collect()
    }

    /// The tales are one text, whose entropy is known for it as it is.
    fn of_text_as_it_is(&self) -> Vec<Violation> {
        let keys = [
            ("separator", self.separator.is_some()),
            ("validation", self.validation.is_some()),
            ("validation-files", self.validation_files.is_some()),
        ];
        let given = keys.into_iter().filter(|(_, given)| *given && (self.builtin.is_some() || self.has_pairs()));
        let message = match self.has_pairs() {
            true => "does not go with pairs, each of which is two documents; the last of them validate",
            false => "does not go with the built-in corpus, whose entropy is known for its text as it is",
        };
        given.map(|(key, _)| Violation::new(key, message).with_help(format!("leave `{key}` out"))).collect()
    }

    /// Each conversation is one by itself.
    fn of_conversations(&self) -> Option<Violation> {
        (self.conversations.is_some() && self.separator.is_some()).then(|| {
            Violation::new("separator", "does not go with conversations, each of which is a line")
                .with_help("leave `separator` out")
        })
    }

    /// At most one way to split by documents, with values that mean something.
    fn one_split(&self) -> Vec<Violation> {
        let mut violations = Vec::new();
        if let Some(validation) = &self.validation
            && let Err(message) = validation.parse::<EveryDocument>()
        {
            violations
                .push(Violation::new("validation", message).with_help("write `validation = \"every 10th document\"`"));
        }
        if let Some(paths) = &self.validation_files {
            violations.extend(check_paths("validation-files", paths));
            if self.validation.is_some() {
                let message = "cannot be used with `validation`: both choose the documents that are not trained on";
                violations.push(Violation::new("validation-files", message).with_help("leave one of the two out"));
            }
        }
        violations
    }

    /// Which documents are kept for validation, if they are chosen by number.
    pub(super) fn every(&self) -> Option<EveryDocument> {
        self.validation.as_ref().and_then(|validation| validation.parse().ok())
    }

    /// Whether whole documents or files are kept for validation, wherever they stand in the text.
    pub fn splits_by_document(&self) -> bool {
        self.validation.is_some() || self.validation_files.is_some()
    }

    fn one_source(&self) -> Option<Violation> {
        let sources = [
            ("file", self.file.is_some()),
            ("download", self.download.is_some()),
            ("builtin", self.builtin.is_some()),
            ("conversations", self.conversations.is_some()),
            ("pairs", self.pairs.is_some()),
            ("builtin-pairs", self.builtin_pairs.is_some()),
        ];
        let given: Vec<&str> = sources.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        match given.as_slice() {
            [_] => None,
            [] => Some(
                Violation::new(
                    "file",
                    "is missing: exactly one of the tables `file`, `download`, `builtin`, `conversations`, `pairs` and \
                     `builtin-pairs` \
                     must be there",
                )
                .with_help("add `[data.file]` with `paths = [\"text.txt\"]`, or `[data.builtin]`"),
            ),
            // The last one is where the reader meets the contradiction.
            [first, .., last] => Some(
                Violation::new(
                    *last,
                    format!(
                        "is one source too many: exactly one of the tables `file`, `download`, `builtin`, \
                         `conversations`, `pairs` and \
                     `builtin-pairs` may be there, and `{first}` is too"
                    ),
                )
                .with_help(format!("remove `[data.{first}]` or `[data.{last}]` from the file")),
            ),
        }
    }
}

impl FileConfig {
    fn validate(&self) -> Vec<Violation> {
        check_paths("paths", &self.paths)
    }
}

/// Every path must be one of a file, or a pattern.
pub(super) fn check_paths(key: &str, paths: &[String]) -> Vec<Violation> {
    let mut violations = Vec::new();
    if paths.is_empty() {
        let help = format!("write `{key} = [\"text.txt\"]`");
        violations.push(Violation::new(key, "must name at least one file").with_help(help));
    }
    for (index, path) in paths.iter().enumerate() {
        let key = format!("{key}[{index}]");
        if path.is_empty() {
            violations.push(Violation::new(key, "must name a file, is empty"));
        } else if let Err(error) = glob::Pattern::new(path)
            && !std::path::Path::new(path).exists()
        {
            let violation = Violation::new(key, format!("{path:?} is neither a file nor a pattern: {}", error.msg));
            let help = "in a pattern `[...]` stands for one of the characters in it, and a `[` of a name is written \
                        `[[]`";
            violations.push(if path.contains('[') { violation.with_help(help) } else { violation });
        }
    }
    violations
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
