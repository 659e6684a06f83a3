//! Questions, and the files that they come from.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::error::TaskError;
use crate::json_lines::{JsonLinesError, json_problem, read_json_lines};

/// What stands between solved examples.
const BETWEEN: &str = "\n\n";

/// A question of which the answer is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Its line in the file, counted from 1.
    pub line: usize,
    /// What the model is to continue.
    pub prompt: String,
    /// How it is answered.
    pub kind: QuestionKind,
}

/// How a question is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QuestionKind {
    /// By one of several continuations.
    Choice {
        /// The continuations, at least two.
        choices: Vec<String>,
        /// Which of them is right, counted from 0.
        answer: usize,
    },
    /// By what the model writes.
    Generation {
        /// What it should write.
        expected: String,
        /// Texts that end the answer.
        stop: Vec<String>,
    },
}

/// Where tasks come from.
#[derive(Debug, Clone, Copy)]
pub struct TaskSource<'a> {
    /// The file of the questions.
    pub file: &'a Path,
    /// How many solved examples stand before each question.
    pub shots: usize,
    /// The file whose first questions they are; without one they are the first ones of `file`, and are not asked.
    pub shots_from: Option<&'a Path>,
    /// The most questions to ask.
    pub limit: Option<usize>,
}

/// Questions, with the solved ones that stand before each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tasks {
    /// The file of the questions.
    pub file: PathBuf,
    /// Solved examples.
    pub shots: Vec<Question>,
    /// What is asked.
    pub questions: Vec<Question>,
}

impl Tasks {
    /// Reads all lines of the files, also those that aren't asked.
    ///
    /// # Errors
    /// A file cannot be read, a line is no question, or there are too few.
    pub fn read(source: &TaskSource<'_>) -> Result<Self, TaskError> {
        let file = source.file.to_owned();
        let mut questions = read_questions(source.file)?;
        let (lines, wanted) = (questions.len(), source.shots);
        let shots = match source.shots_from {
            Some(path) => {
                let mut shots = read_questions(path)?;
                if shots.len() < wanted {
                    return Err(TaskError::TooFewShots { path: path.to_owned(), lines: shots.len(), shots: wanted });
                }
                shots.truncate(wanted);
                shots
            }
            None if lines <= wanted => return Err(TaskError::NothingToAsk { path: file, lines, shots: wanted }),
            None => questions.drain(..wanted).collect(),
        };
        questions.truncate(source.limit.unwrap_or(usize::MAX));
        Ok(Self { file, shots, questions })
    }

    /// The text of the solved examples.
    pub(super) fn examples(&self) -> String {
        self.shots.iter().map(|shot| shot.solved() + BETWEEN).collect()
    }
}

impl Question {
    /// The prompt and its answer, put together as they stand.
    fn solved(&self) -> String {
        let answer = match &self.kind {
            QuestionKind::Choice { choices, answer } => &choices[*answer],
            QuestionKind::Generation { expected, .. } => expected,
        };
        format!("{}{answer}", self.prompt)
    }
}

fn read_questions(path: &Path) -> Result<Vec<Question>, JsonLinesError> {
    let lines = read_json_lines(path, parse)?;
    Ok(lines.into_iter().map(|(line, (prompt, kind))| Question { line, prompt, kind }).collect())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChoiceLine {
    prompt: String,
    choices: Vec<String>,
    answer: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GenerationLine {
    prompt: String,
    expected: String,
    #[serde(default)]
    stop: Option<Stop>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "`stop` must be a text or a list of texts")]
enum Stop {
    One(String),
    Several(Vec<String>),
}

pub(super) fn parse(line: &str) -> Result<(String, QuestionKind), String> {
    let fields: Map<String, Value> = serde_json::from_str(line).map_err(|error| json_problem(&error))?;
    let has = |key: &str| fields.contains_key(key);
    match (has("choices") || has("answer"), has("expected") || has("stop")) {
        (true, false) => choice(typed(fields)?),
        (false, true) => generation(typed(fields)?),
        (true, true) => Err("it has keys of both kinds: `choices` and `answer`, or `expected` and `stop`".to_owned()),
        (false, false) => Err("a question has `choices` and `answer`, or `expected`".to_owned()),
    }
}

fn typed<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| json_problem(&error))
}

fn choice(line: ChoiceLine) -> Result<(String, QuestionKind), String> {
    let ChoiceLine { prompt, choices, answer } = line;
    if choices.len() < 2 {
        return Err(format!("`choices` must be two or more, is {}", choices.len()));
    }
    if let Some(empty) = choices.iter().position(String::is_empty) {
        return Err(format!("choice {empty} is empty (counted from 0)"));
    }
    if answer >= choices.len() {
        return Err(format!("`answer` is {answer}, and the last choice is {} (counted from 0)", choices.len() - 1));
    }
    Ok((prompt, QuestionKind::Choice { choices, answer }))
}

fn generation(line: GenerationLine) -> Result<(String, QuestionKind), String> {
    let GenerationLine { prompt, expected, stop } = line;
    if expected.trim().is_empty() {
        return Err("`expected` is blank: a model that writes nothing would be right".to_owned());
    }
    let stop = match stop {
        None => vec!["\n".to_owned()],
        Some(Stop::One(stop)) => vec![stop],
        Some(Stop::Several(stop)) => stop,
    };
    if stop.iter().any(String::is_empty) {
        return Err("`stop` must not be empty: it would end the answer before the first token".to_owned());
    }
    // An answer is compared without what surrounds it, but it ends at the first stop text.
    if let Some(stop) = stop.iter().find(|stop| expected.trim().contains(stop.as_str())) {
        return Err(format!("`expected` contains {stop:?}, at which the answer ends: it can never be written"));
    }
    Ok((prompt, QuestionKind::Generation { expected, stop }))
}
