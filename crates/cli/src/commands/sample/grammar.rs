//! What the written text must be, as arguments.

use std::path::PathBuf;

use kiln_inference::Grammar;

use crate::piped::read_text;

const GRAMMAR_HEADING: &str = "Form of the text";

/// Far more than the crate takes.
const LONGEST_GRAMMAR: u64 = 16 << 20;

/// What the text must be.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(super) struct GrammarArguments {
    /// Write JSON that holds to the schema in this file
    #[arg(long, value_name = "FILE", help_heading = GRAMMAR_HEADING)]
    json_schema: Option<PathBuf>,

    /// Write a text that this regular expression matches as a whole
    #[arg(long, value_name = "PATTERN", help_heading = GRAMMAR_HEADING)]
    regex: Option<String>,

    /// Write a text of the context-free grammar in this file, in Lark's syntax
    #[arg(long, value_name = "FILE", help_heading = GRAMMAR_HEADING)]
    grammar: Option<PathBuf>,
}

impl GrammarArguments {
    /// The grammar that was asked for.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(super) fn read(&self) -> anyhow::Result<Option<Grammar>> {
        if let Some(expression) = &self.regex {
            return Ok(Some(Grammar::Regex(expression.clone())));
        }
        if let Some(path) = &self.json_schema {
            return Ok(Some(Grammar::JsonSchema(read_text(path, LONGEST_GRAMMAR, "JSON schema")?)));
        }
        let read = |path: &PathBuf| read_text(path, LONGEST_GRAMMAR, "grammar").map(Grammar::Lark);
        self.grammar.as_ref().map(read).transpose()
    }
}
