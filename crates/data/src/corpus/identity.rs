//! What distinguishes one corpus from another, without reading it.

use kiln_settings::Violation;

use super::file::TextFile;
use super::{BuiltinPairsConfig, ConversationsConfig, CorpusError, DataConfig, file};

/// When the system last changed anything about a file, in nanoseconds since 1970; 0 where it does not tell. Unlike the
/// time of writing nobody can set it: a copy or an archive that keeps old times leaves it at the present.
#[cfg(unix)]
fn changed(path: &std::path::Path) -> i128 {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path)
        .map_or(0, |metadata| i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec()))
}

#[cfg(not(unix))]
fn changed(_: &std::path::Path) -> i128 {
    0
}

/// What tells one file, and one state of it, from another.
fn of_file(file: TextFile) -> String {
    let path = std::fs::canonicalize(&file.path).unwrap_or(file.path);
    let changed = changed(&path);
    format!("{path:?} {} {} {changed}", file.bytes, file.modified)
}

impl DataConfig {
    /// A hash of what the text of both splits is a function of: paths, sizes and times of files, the checksum of a
    /// download, the settings of the tales; the separator and which text validates.
    ///
    /// # Errors
    /// Files that are missing or no files.
    pub fn identity(&self) -> Result<[u8; 32], CorpusError> {
        let mut hasher = blake3::Hasher::new_derive_key("kiln 2026 identity of a corpus, version 2");
        let mut text = |part: &str| {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        };
        text(&self.validation_fraction.to_bits().to_string());
        text(&format!("{:?} {:?}", self.separator, self.validation));
        if let Some(download) = &self.download {
            text("download");
            text(&download.sha256.to_ascii_lowercase());
        }
        if let Some(builtin) = &self.builtin {
            text("builtin");
            text(&format!("{} {}", builtin.characters, builtin.seed));
            // The first tales change whenever the grammar or the way of drawing does.
            text(&super::BuiltinCorpus::new(builtin).pieces(0..10_000).collect::<String>());
        }
        if let Some(conversations) = &self.conversations {
            let template = conversations.template_file().map(std::fs::read).transpose();
            let template = template.map_err(|source| CorpusError::Read {
                path: conversations.template_file().unwrap_or(std::path::Path::new("")).to_owned(),
                source,
            })?;
            let ConversationsConfig { form, template: named, wrong_lines, of_model, pairs, .. } = conversations;
            let of_model = of_model.as_ref().map(|conversing| &conversing.template);
            text(&format!("conversations {form:?} {named:?} {template:?} {wrong_lines} {of_model:?} {pairs}"));
        }
        if let Some(builtin) = &self.builtin_pairs {
            text("built-in pairs");
            text(&format!("{} {} {}", builtin.pairs, builtin.clauses, builtin.seed));
            // The first sentences change whenever the language or the way of drawing does.
            let few = BuiltinPairsConfig { pairs: builtin.pairs.min(1000), ..builtin.clone() };
            few.write(self.validation_fraction).0.iter().for_each(|pair| text(&format!("{pair:?}")));
        }
        if let Some(pairs) = &self.pairs {
            text(if pairs.paths.is_empty() { "two files of pairs" } else { "files of pairs" });
            for file in self.files_of_pairs(pairs)? {
                text(&of_file(file));
            }
        }
        let files = file::Files::find(self)?;
        text(&format!("{} files, then those for validation: {}", files.training, self.validation_files.is_some()));
        for file in files.all {
            text(&of_file(file));
        }
        Ok(*hasher.finalize().as_bytes())
    }

    /// Which text it is, in a few words: the paths as wholes, the address, or what the tales are.
    pub fn description(&self) -> String {
        const SHOWN: usize = 3;
        if let Some(download) = &self.download {
            return download.url.clone();
        }
        if let Some(builtin) = &self.builtin {
            return format!("tales of {} characters, seed {}", builtin.characters, builtin.seed);
        }
        if let Some(builtin) = &self.builtin_pairs {
            let BuiltinPairsConfig { pairs, clauses, seed } = builtin;
            return format!("{pairs} built-in pairs of at most {clauses} clauses, seed {seed}");
        }
        let of_pairs = self.pairs.iter().flat_map(|pairs| pairs.paths.iter().chain(&pairs.source).chain(&pairs.target));
        let of_conversations = self.conversations.iter().flat_map(|conversations| &conversations.paths);
        let of_files = self.file.iter().flat_map(|file| &file.paths);
        let paths = of_files.chain(of_conversations).chain(of_pairs).collect::<Vec<_>>();
        let whole = |path: &&String| std::path::absolute(path).unwrap_or_else(|_| (*path).into()).display().to_string();
        let shown = paths.iter().take(SHOWN).map(whole).collect::<Vec<_>>().join(", ");
        match paths.len().saturating_sub(SHOWN) {
            0 => shown,
            more => format!("{shown} and {more} more"),
        }
    }

    /// The rule between `[data]` and `[tokenizer]`, key from the root: documents need the token that stands between
    /// them.
    pub fn validate_with(&self, tokenizer: &kiln_models::TokenizerConfig) -> Option<Violation> {
        let named = self.conversations.as_ref().and_then(|conversations| conversations.template.as_deref());
        let key = match (&self.separator, &self.pairs, &self.builtin_pairs, named) {
            (Some(_), ..) => "data.separator",
            (None, Some(_), ..) => "data.pairs",
            (None, None, Some(_), _) => "data.builtin-pairs",
            (None, None, None, Some("plain" | "bare")) => "data.conversations.template",
            _ => return None,
        };
        (tokenizer.has_end_token() == Some(false)).then(|| {
            let message = format!("needs a tokenizer with the token {:?}", kiln_models::END_TOKEN);
            let help = format!("add `special-tokens = [{:?}]` to the tokenizer's table", kiln_models::END_TOKEN);
            Violation::new(key, message).with_help(help)
        })
    }
}
