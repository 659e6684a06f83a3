//! Prompts by examples: a model that only continues texts is shown what it should do.

use std::path::Path;

use kiln_models::template::{Size, Template, TemplateError};
use minijinja::context;
use serde::{Deserialize, Serialize};

use crate::json_lines::{JsonLinesError, json_problem, read_json_lines};

/// How an example is written if nothing else is said.
pub const SHOT_TEMPLATE: &str = "{{ input }}\n{{ output }}\n\n";

/// Characters for private use, of which texts rarely have any.
const PRIVATE: std::ops::RangeInclusive<char> = '\u{E000}'..='\u{F8FF}';

/// An input with the output that it should have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// What is given.
    pub input: String,
    /// What should come.
    pub output: String,
}

/// Reads the examples of a file that has one as JSON in each line.
///
/// # Errors
/// The file cannot be read, or a line is no example.
pub fn read_examples(path: &Path) -> Result<Vec<Example>, JsonLinesError> {
    let parse = |line: &str| serde_json::from_str::<Example>(line).map_err(|error| json_problem(&error));
    Ok(read_json_lines(path, parse)?.into_iter().map(|(_, example)| example).collect())
}

/// Why examples cannot be written out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FewShotError {
    /// The template is none, fails, or doesn't end.
    #[error("the template of an example {0}")]
    Template(#[from] TemplateError),
    /// The template leaves the input or the output out.
    #[error("the template of an example doesn't write its `{0}`")]
    LeftOut(&'static str),
}

/// Examples, written out by a template, that stand before every prompt.
///
/// ```
/// use kiln_inference::{Example, FewShot, SHOT_TEMPLATE};
///
/// let example = Example { input: "cat".to_owned(), output: "chat".to_owned() };
/// let prompt = FewShot::new(&[example], SHOT_TEMPLATE)?.prompt("dog")?;
/// assert_eq!(prompt.examples, "cat\nchat\n\n");
/// assert_eq!((prompt.input.as_str(), prompt.after.as_str()), ("dog\n", "\n\n"));
/// # Ok::<(), kiln_inference::FewShotError>(())
/// ```
#[derive(Debug)]
pub struct FewShot {
    template: Template,
    source: String,
    examples: String,
}

/// A prompt of a [`FewShot`]: what the model reads is `examples` and `input`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FewShotPrompt {
    /// The examples.
    pub examples: String,
    /// The last input, up to where its output begins.
    pub input: String,
    /// What the template writes behind an output, with which a model ends one.
    pub after: String,
}

impl FewShot {
    /// Writes `examples` out by a template in Jinja's language, of one example with `input` and `output`.
    ///
    /// # Errors
    /// The template is none, fails, or leaves the input or the output out.
    pub fn new(examples: &[Example], template: &str) -> Result<Self, FewShotError> {
        let (source, template) = (template.to_owned(), Template::keeping_last_line_break(template)?);
        let mut few_shot = Self { template, source, examples: String::new() };
        for example in examples {
            few_shot.examples += &few_shot.write(&example.input, &example.output)?;
        }
        let sign = few_shot.sign("");
        if !few_shot.write(&sign.to_string(), "")?.contains(sign) {
            return Err(FewShotError::LeftOut("input"));
        }
        few_shot.prompt("")?;
        Ok(few_shot)
    }

    /// The prompt that asks for the output of `input`. Spaces before the output are left for the model to write: most
    /// tokens of words begin with theirs.
    ///
    /// # Errors
    /// The template fails.
    pub fn prompt(&self, input: &str) -> Result<FewShotPrompt, FewShotError> {
        let sign = self.sign(input);
        let text = self.write(input, &sign.to_string())?;
        let (before, after) = text.split_once(sign).ok_or(FewShotError::LeftOut("output"))?;
        let input = before.trim_end_matches(' ').to_owned();
        Ok(FewShotPrompt { examples: self.examples.clone(), input, after: after.to_owned() })
    }

    fn write(&self, input: &str, output: &str) -> Result<String, TemplateError> {
        self.template.render(context! { input, output }, Size { values: 2, bytes: input.len() + output.len() })
    }

    /// A character that neither the template nor `text` has.
    fn sign(&self, text: &str) -> char {
        let is_free = |sign: &char| !text.contains(*sign) && !self.source.contains(*sign);
        PRIVATE.into_iter().find(is_free).unwrap_or('\u{F8FF}')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examples() -> [Example; 2] {
        [("2+2", "4"), ("3+5", "8")].map(|(input, output)| Example { input: input.into(), output: output.into() })
    }

    #[test]
    fn examples_stand_before_the_input_and_the_output_is_left_open() {
        let few_shot = FewShot::new(&examples(), SHOT_TEMPLATE).unwrap();
        let prompt = few_shot.prompt("1+1").unwrap();
        assert_eq!(prompt.examples, "2+2\n4\n\n3+5\n8\n\n");
        assert_eq!((prompt.input.as_str(), prompt.after.as_str()), ("1+1\n", "\n\n"));
        let few_shot = FewShot::new(&examples(), "Q: {{ input | upper }}\nA: {{ output }}\n").unwrap();
        let prompt = few_shot.prompt("a\u{E000}").unwrap();
        assert_eq!(prompt.examples, "Q: 2+2\nA: 4\nQ: 3+5\nA: 8\n");
        // The examples show the model that a space follows.
        assert_eq!((prompt.input.as_str(), prompt.after.as_str()), ("Q: A\u{E000}\nA:", "\n"));
        let none = FewShot::new(&[], "{{ input }}={{ output }}").unwrap().prompt("x").unwrap();
        assert_eq!((none.examples.as_str(), none.input.as_str(), none.after.as_str()), ("", "x=", ""));
    }

    #[test]
    fn a_template_that_is_of_no_use_is_an_error() {
        let problem = |source: &str| FewShot::new(&examples(), source).unwrap_err().to_string();
        assert_eq!(problem("{{ input }}\n"), "the template of an example doesn't write its `output`");
        assert_eq!(problem("{{ output }}"), "the template of an example doesn't write its `input`");
        assert!(problem("{{ input").starts_with("the template of an example cannot be read: syntax error"));
        assert!(
            problem("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}").contains("steps")
        );
        assert!(problem("{{ 'x' * 1000000000 }}{{ input }}{{ output }}").starts_with("the template of an example "));
    }
}
