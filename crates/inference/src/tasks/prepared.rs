//! Questions as tokens, and the answers of a model to them.

use super::TaskModel;
use super::answer::{Answer, Outcome};
use super::error::{QuestionError, TaskError};
use super::question::{QuestionKind, Tasks};
use crate::generate::{Request, first_tokens, generate_batch_after};
use crate::sampler::SamplerConfig;
use crate::score::ChoiceReader;

/// How many answers are written side by side.
const SIDE_BY_SIDE: usize = 16;

/// Tasks that a model can do: every question is spelled with its vocabulary, and fits into what it reads.
pub struct PreparedTasks<'a> {
    model: TaskModel<'a>,
    tasks: &'a Tasks,
    choices: Vec<Choice<'a>>,
    to_write: Vec<ToWrite<'a>>,
    max_tokens: usize,
}

/// What is read before an answer.
struct Context {
    line: usize,
    /// The start, the examples and the prompt.
    tokens: Vec<u32>,
    /// Whether the model can't read all of it.
    is_cut: bool,
}

/// A question that is answered by a choice.
struct Choice<'a> {
    context: Context,
    continuations: Vec<Vec<u32>>,
    texts: &'a [String],
    answer: usize,
}

/// A question that is answered in writing.
struct ToWrite<'a> {
    context: Context,
    expected: &'a str,
    stop: &'a [String],
}

impl<'a> PreparedTasks<'a> {
    /// Spells every question. An answer that is written has at most `max_tokens` tokens.
    ///
    /// The tokens of a choice are those of prompt and choice behind as many as the prompt alone has; white space at the
    /// end of the prompt belongs to the choice, and spaces to an answer that is written. What is too long for the model
    /// loses its beginning, all choices of a question the same; the start stays.
    ///
    /// # Errors
    /// A question that cannot be put to this model.
    pub fn new(model: TaskModel<'a>, tasks: &'a Tasks, max_tokens: usize) -> Result<Self, TaskError> {
        let mut prepared = Self { model, tasks, choices: Vec::new(), to_write: Vec::new(), max_tokens };
        let examples = tasks.examples();
        for question in &tasks.questions {
            let text = format!("{examples}{}", question.prompt);
            let result = match &question.kind {
                QuestionKind::Choice { choices, answer } => prepared.add_choice(question.line, &text, choices, *answer),
                QuestionKind::Generation { expected, stop } => {
                    prepared.add_to_write(question.line, &text, expected, stop)
                }
            };
            result.map_err(|problem| prepared.error(question.line, problem))?;
        }
        Ok(prepared)
    }

    fn error(&self, line: usize, problem: QuestionError) -> TaskError {
        TaskError::Question { path: self.tasks.file.clone(), line, problem }
    }

    fn add_choice(&mut self, line: usize, text: &str, texts: &'a [String], answer: usize) -> Result<(), QuestionError> {
        let before = text.trim_end();
        let prompt = self.model.tokenizer.encode(before)?;
        let behind_the_prompt = |(index, choice): (usize, &String)| {
            let whole = self.model.tokenizer.encode(&format!("{text}{choice}"))?;
            let own = whole.get(prompt.len()..).unwrap_or_default();
            if own.is_empty() { Err(QuestionError::NoToken(index)) } else { Ok(own.to_vec()) }
        };
        let continuations: Vec<Vec<u32>> =
            texts.iter().enumerate().map(behind_the_prompt).collect::<Result<_, QuestionError>>()?;
        // The last token is judged and not read.
        let to_read = continuations.iter().map(|tokens| tokens.len() - 1).max().unwrap_or(0);
        let context = self.context(line, &prompt, to_read).ok_or_else(|| QuestionError::TooLong {
            tokens: to_read + 1,
            context: self.model.model.longest_window().unwrap_or(usize::MAX),
        })?;
        self.choices.push(Choice { context, continuations, texts, answer });
        Ok(())
    }

    fn add_to_write(
        &mut self,
        line: usize,
        text: &str,
        expected: &'a str,
        stop: &'a [String],
    ) -> Result<(), QuestionError> {
        let prompt = self.model.tokenizer.encode(text.trim_end_matches(' '))?;
        // Half of what the model reads is the prompt's at least; an answer longer than the rest takes from it.
        let half = self.model.model.longest_window().map_or(usize::MAX, |window| window / 2);
        let to_read = self.max_tokens.saturating_sub(1).min(half);
        let context = self.context(line, &prompt, to_read).ok_or_else(|| QuestionError::TooLong {
            tokens: to_read,
            context: self.model.model.longest_window().unwrap_or(usize::MAX),
        })?;
        self.to_write.push(ToWrite { context, expected, stop });
        Ok(())
    }

    /// What is read before an answer of which `to_read` tokens are read; nothing where no token fits before it.
    fn context(&self, line: usize, prompt: &[u32], to_read: usize) -> Option<Context> {
        let TaskModel { model, tokenizer, start, .. } = self.model;
        let room =
            model.longest_window().map_or(Some(usize::MAX), |window| window.checked_sub(start.len() + to_read))?;
        let kept = &prompt[prompt.len().saturating_sub(room)..];
        let mut tokens = [start, kept].concat();
        if tokens.is_empty() {
            // The beginning of a document.
            tokens = first_tokens(tokenizer);
        }
        (room > 0 || !start.is_empty()).then_some(Context { line, tokens, is_cut: kept.len() < prompt.len() })
    }

    /// How many prompts the model reads without their beginning.
    pub fn cut(&self) -> usize {
        let choices = self.choices.iter().map(|choice| &choice.context);
        let contexts = choices.chain(self.to_write.iter().map(|to_write| &to_write.context));
        contexts.filter(|context| context.is_cut).count()
    }

    /// Puts every question to the model; the answers come in the order of the lines. `progress` gets how many there
    /// are.
    ///
    /// # Errors
    /// The device fails, or the model gives no numbers.
    pub fn answer(&self, progress: &mut dyn FnMut(usize)) -> Result<Vec<Answer>, TaskError> {
        let mut answers = Vec::new();
        // What all of them begin with, the examples in most cases, is read once.
        let contexts: Vec<&[u32]> = self.choices.iter().map(|choice| &choice.context.tokens[..]).collect();
        let vocabulary = self.model.tokenizer.vocabulary_size();
        let reader = ChoiceReader::new(self.model.model, vocabulary, shared_beginning(&contexts))?;
        for choice in &self.choices {
            answers.push(self.choose(&reader, choice)?);
            progress(answers.len());
        }
        for together in self.to_write.chunks(SIDE_BY_SIDE) {
            answers.extend(self.write(together)?);
            progress(answers.len());
        }
        answers.sort_by_key(|answer| answer.line);
        Ok(answers)
    }

    fn choose(&self, reader: &ChoiceReader<'_>, choice: &Choice<'_>) -> Result<Answer, TaskError> {
        let Choice { context, continuations, texts, answer } = choice;
        let log_probabilities = reader.log_probabilities(&context.tokens, continuations)?;
        if log_probabilities.iter().any(|value| value.is_nan()) {
            return Err(self.error(context.line, QuestionError::NoNumber));
        }
        Ok(Answer { line: context.line, outcome: Outcome::chosen(log_probabilities, texts, *answer) })
    }

    /// The answers to several questions, written greedily.
    fn write(&self, together: &[ToWrite<'_>]) -> Result<Vec<Answer>, TaskError> {
        let request = |to_write: &ToWrite<'_>| {
            let (end, stop, sampler) = (self.model.end.to_vec(), to_write.stop.to_vec(), SamplerConfig::greedy());
            (to_write.context.tokens.clone(), Request { end, stop, sampler, ..Request::new("", self.max_tokens) })
        };
        let requests: Vec<(Vec<u32>, Request)> = together.iter().map(request).collect();
        let mut texts = vec![String::new(); together.len()];
        for (index, piece) in generate_batch_after(self.model.model, self.model.tokenizer, &requests)? {
            texts[index] += &piece?.text;
        }
        let answer = |(text, to_write): (String, &ToWrite<'_>)| Answer {
            line: to_write.context.line,
            outcome: Outcome::written(&text, to_write.expected),
        };
        Ok(texts.into_iter().zip(together).map(answer).collect())
    }
}

/// The tokens that all of `contexts` begin with, and that none of them ends with.
fn shared_beginning<'a>(contexts: &[&'a [u32]]) -> &'a [u32] {
    let Some((first, others)) = contexts.split_first() else { return &[] };
    let common = |other: &&[u32]| first.iter().zip(*other).take_while(|(left, right)| left == right).count();
    let shared = others.iter().map(common).min().unwrap_or(first.len());
    let shortest = contexts.iter().map(|context| context.len()).min().unwrap_or(0);
    &first[..shared.min(shortest.saturating_sub(1))]
}
