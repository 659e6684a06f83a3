//! `[data.conversations]`.

use std::path::Path;

use kiln_models::NAMED_TEMPLATES;
use kiln_models::saved::Conversing;
use kiln_settings::Violation;
use serde::{Deserialize, Serialize};

use super::super::config::check_paths;
use crate::shards::TooLong;

/// `[data.conversations]`: a conversation a line, of which the answers are learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ConversationsConfig {
    /// Files with a JSON object in each line, or patterns, as those of `[data.file]`. No default.
    pub paths: Vec<String>,
    /// What the objects say. Default: found by the keys of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Form>,
    /// How a conversation becomes a text: `plain`, `chatml`, `bare`, or a file that ends in `.jinja`. Default: the chat
    /// template of the start model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// What becomes of conversations that are longer than a window: `leave-out` or `cut`. Default `leave-out`.
    #[serde(default)]
    pub too_long: TooLong,
    /// The share of the lines that may be wrong, in [0, 1); they are left out and reported. Default `0.01`.
    #[serde(default = "one_in_a_hundred")]
    pub wrong_lines: f64,
    /// How the start model holds conversations, or the run that is resumed did: no key of the configuration.
    #[serde(skip)]
    pub of_model: Option<Conversing>,
    /// Whether each line has two answers, of which one is preferred: no key either.
    #[serde(skip)]
    pub pairs: bool,
    /// Whether there is a start model: no key either.
    #[serde(skip)]
    pub has_start: bool,
}

fn one_in_a_hundred() -> f64 {
    0.01
}

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// `{"messages": [{"role": "user", "content": "..."}, ...]}`.
    Messages,
    /// `{"conversations": [{"from": "human", "value": "..."}, ...]}`.
    ShareGpt,
    /// `{"instruction": "...", "input": "...", "output": "..."}`.
    Alpaca,
    /// `{"prompt": "...", "completion": "..."}`.
    Completion,
}

/// The ending of a file with a template.
const TEMPLATE_ENDING: &str = "jinja";

impl ConversationsConfig {
    /// Every broken rule, keys relative to `[data.conversations]`.
    pub(in super::super) fn validate(&self) -> Vec<Violation> {
        let mut violations = check_paths("paths", &self.paths);
        if !(0.0..1.0).contains(&self.wrong_lines) {
            let message = format!("must be 0 or more and below 1, is {}", self.wrong_lines);
            violations.push(Violation::new("wrong-lines", message).with_help("0.01 bears one line in a hundred"));
        }
        if let Some(template) = &self.template
            && !NAMED_TEMPLATES.contains(&template.as_str())
            && !is_template_file(template)
        {
            let names = NAMED_TEMPLATES.map(|name| format!("{name:?}")).join(", ");
            let message = format!("must be {names} or a file that ends in `.{TEMPLATE_ENDING}`, is {template:?}");
            violations.push(Violation::new("template", message).with_help("template = \"plain\""));
        }
        violations
    }

    /// The file of the template, if it is one.
    pub fn template_file(&self) -> Option<&Path> {
        self.template.as_deref().filter(|template| is_template_file(template)).map(Path::new)
    }
}

fn is_template_file(template: &str) -> bool {
    Path::new(template).extension().is_some_and(|ending| ending == TEMPLATE_ENDING)
}
