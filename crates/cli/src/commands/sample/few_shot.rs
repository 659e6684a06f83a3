//! Examples that stand before a prompt, as arguments.

use std::path::PathBuf;

use clap::Args;
use kiln_inference::{FewShot, FewShotPrompt, Request, SHOT_TEMPLATE, read_examples};

use super::PROMPT_HEADING;
use crate::exit::UsageError;
use crate::piped::Readable;
use crate::terminal::say;

/// Arguments about examples.
#[derive(Debug, Args)]
pub(super) struct FewShotArguments {
    /// Show the model examples first, one as JSON in each line: `{"input": "...", "output": "..."}`; the prompt is the
    /// input of the last one; `-` is stdin
    #[arg(long, value_name = "FILE", help_heading = PROMPT_HEADING)]
    few_shot: Option<PathBuf>,

    /// How an example is written, in Jinja's language with `input` and `output` [default: each on a line, and an empty
    /// line]
    #[arg(long, value_name = "TEMPLATE", help_heading = PROMPT_HEADING, requires = "few_shot")]
    shot_template: Option<String>,
}

impl FewShotArguments {
    pub(super) fn is_given(&self) -> bool {
        self.few_shot.is_some()
    }

    /// The examples, if there are any.
    pub(super) fn read(&self) -> anyhow::Result<Option<FewShot>> {
        let Some(path) = &self.few_shot else { return Ok(None) };
        let template = self.shot_template.as_deref().unwrap_or(SHOT_TEMPLATE);
        if template.contains("\\n") {
            say("warning: `\\n` in the template is a backslash and an n; where a line should end, end it (in bash, \
                 $'...\\n')");
        }
        let few_shot = FewShot::new(&read_examples(&Readable::of(path)?.path())?, template);
        Ok(Some(few_shot.map_err(|error| UsageError(error.to_string()))?))
    }
}

/// The request behind the examples, and the part of its prompt that is shown. Where no stop text was given, the model
/// stops at what the template writes behind an output.
pub(super) fn prompted(few_shot: Option<&FewShot>, request: &Request) -> anyhow::Result<(Request, String)> {
    let Some(few_shot) = few_shot else { return Ok((request.clone(), request.prompt.clone())) };
    let FewShotPrompt { examples, input, after } = few_shot.prompt(&request.prompt)?;
    let mut request = Request { prompt: examples + &input, ..request.clone() };
    if request.stop.is_empty() && !after.is_empty() {
        request.stop = vec![after];
    }
    Ok((request, input))
}
