//! Questions to models whose probabilities are known.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Tensor, TensorData};
use kiln_models::{
    CharacterTokenizerConfig, LanguageModel, LstmConfig, ModelConfig, RnnConfig, Tokenizer, TokenizerConfig,
    TransformerConfig,
};

use super::question::parse;
use super::*;
use crate::score::score;

/// The characters of a text, and nothing else.
fn characters(text: &str) -> Tokenizer {
    let config = TokenizerConfig::Character(CharacterTokenizerConfig::default());
    Tokenizer::train(&config, &mut [Ok(text.to_owned())].into_iter()).unwrap()
}

/// Turns a recurrent network into a table of the logits of the next token after each one: its embedding is V x V+1, its
/// layer V+1 x V+2.
struct Table {
    size: usize,
    logits: Vec<f32>,
}

impl ModuleMapper for Table {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|weights| {
            let shape = weights.shape();
            let [rows, columns] = [0, 1].map(|axis| shape.as_slice().get(axis).copied().unwrap_or(0));
            // tanh(20) is 1 in single precision.
            let value = |row: usize, column: usize| match (rows, columns) {
                (rows, columns) if rows + 1 == columns => 20.0 * f32::from(u8::from(row == column)),
                (_, columns) if columns == self.size => *self.logits.get(row * columns + column).unwrap_or(&0.0),
                _ => 0.0,
            };
            let places = (0..shape.num_elements()).map(|index| (index / columns.max(1), index % columns.max(1)));
            let values: Vec<f32> =
                places.map(|(row, column)| if columns == 0 { 0.0 } else { value(row, column) }).collect();
            Tensor::from_data(TensorData::new(values, shape), &weights.device())
        })
    }
}

/// A model that gives `next` with the probability of `table`, whose rows are a character and those after it in the
/// order of `tokenizer`; after others all are equally likely.
fn table(tokenizer: &Tokenizer, table: &[(char, &[f32])]) -> LanguageModel {
    let size = tokenizer.vocabulary_size();
    let mut logits = vec![0.0; size * size];
    for (before, probabilities) in table {
        assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6 && probabilities.len() == size);
        let row = tokenizer.encode(&before.to_string()).unwrap()[0] as usize;
        logits[row * size..][..size].iter_mut().zip(*probabilities).for_each(|(logit, value)| *logit = value.ln());
    }
    let config = RnnConfig { layers: 1, hidden: size + 2, embedding: Some(size + 1), ..RnnConfig::default() };
    ModelConfig::Rnn(config).init(size, 16, 1, &Device::flex()).map(&mut Table { size, logits })
}

/// After a colon: a 0.5, b 0.25; after a mostly b, then mostly a line break. The order is \n, space, colon, a, b.
fn known() -> (Tokenizer, LanguageModel) {
    let tokenizer = characters("ab: \n");
    let rows: [(char, &[f32]); 4] = [
        (':', &[0.05, 0.1, 0.1, 0.5, 0.25]),
        ('a', &[0.1, 0.1, 0.1, 0.1, 0.6]),
        ('b', &[0.7, 0.1, 0.1, 0.05, 0.05]),
        (' ', &[0.1, 0.1, 0.1, 0.2, 0.5]),
    ];
    let model = table(&tokenizer, &rows);
    (tokenizer, model)
}

fn question(line: &str) -> Question {
    let (prompt, kind) = parse(line).unwrap();
    Question { line: 1, prompt, kind }
}

fn tasks(shots: &[&str], questions: &[&str]) -> Tasks {
    let all = |lines: &[&str]| {
        let questions = lines.iter().enumerate().map(|(index, line)| Question { line: index + 1, ..question(line) });
        questions.collect::<Vec<Question>>()
    };
    Tasks { file: "FILE".into(), shots: all(shots), questions: all(questions) }
}

fn answers(tokenizer: &Tokenizer, model: &LanguageModel, tasks: &Tasks) -> Result<Vec<Answer>, TaskError> {
    let model = TaskModel { model, tokenizer, start: &[], end: &[] };
    PreparedTasks::new(model, tasks, 10)?.answer(&mut |_| ())
}

fn chosen(answer: &Answer) -> (&[f64], usize, usize) {
    match &answer.outcome {
        Outcome::Choice { log_probabilities, chosen, chosen_by_byte, .. } => {
            (log_probabilities, *chosen, *chosen_by_byte)
        }
        Outcome::Generation { .. } => panic!("{answer:?}"),
    }
}

fn assert_logarithms(found: &[f64], probabilities: &[f64]) {
    assert_eq!(found.len(), probabilities.len());
    for (found, probability) in found.iter().zip(probabilities) {
        assert!((found - probability.ln()).abs() < 1e-5, "{found}, not ln {probability}");
    }
}

#[test]
fn choices_have_the_probabilities_of_their_tokens_after_the_prompt() {
    let (tokenizer, model) = known();
    let lines = [
        r#"{"prompt": "a:", "choices": ["a", "b", "ab"], "answer": 2}"#,
        r#"{"prompt": "a:", "choices": [" a", " b"], "answer": 1}"#,
        // The space of the prompt belongs to the choices.
        r#"{"prompt": "a: ", "choices": ["a", "b"], "answer": 1}"#,
        // Equals: the first.
        r#"{"prompt": "a:", "choices": [" ", ":"], "answer": 1}"#,
    ];
    let answers = answers(&tokenizer, &model, &tasks(&[], &lines)).unwrap();
    let (log_probabilities, likeliest, by_byte) = chosen(&answers[0]);
    assert_logarithms(log_probabilities, &[0.5, 0.25, 0.5 * 0.6]);
    // ln 0.3 over two bytes is more than ln 0.5.
    assert_eq!((likeliest, by_byte), (0, 2));
    for answer in &answers[1..3] {
        let (log_probabilities, likeliest, by_byte) = chosen(answer);
        assert_logarithms(log_probabilities, &[0.1 * 0.2, 0.1 * 0.5]);
        assert_eq!((likeliest, by_byte), (1, 1));
    }
    assert_eq!(chosen(&answers[3]).1, 0);
    let summary = TaskSummary::of(&answers);
    let choice = summary.choice.unwrap();
    assert_eq!((choice.by_probability.right, choice.by_byte.right, choice.by_probability.questions), (2, 3, 4));
    assert!((choice.by_chance - (1.0 / 3.0 + 1.5) / 4.0).abs() < 1e-12);
    assert_eq!(summary.generation, None);
}

#[test]
fn an_answer_is_written_greedily_up_to_a_line_break_or_a_stop_text() {
    let (tokenizer, model) = known();
    let lines = [
        r#"{"prompt": "a:", "expected": " ab"}"#,
        r#"{"prompt": "b:", "expected": "a"}"#,
        r#"{"prompt": "b:", "expected": "a", "stop": "b"}"#,
        r#"{"prompt": "b:", "expected": "a", "stop": [":", "b\n"]}"#,
        // The model writes the space itself, or goes without.
        r#"{"prompt": "b: ", "expected": "ab"}"#,
    ];
    let answers = answers(&tokenizer, &model, &tasks(&[], &lines)).unwrap();
    let written = |answer: &Answer| match &answer.outcome {
        Outcome::Generation { written, expected } => (written.clone(), written == expected),
        Outcome::Choice { .. } => panic!("{answer:?}"),
    };
    let found: Vec<(String, bool)> = answers.iter().map(written).collect();
    let expected = [("ab", true), ("ab", false), ("a", true), ("a", true), ("ab", true)];
    assert_eq!(found, expected.map(|(text, is_right)| (text.to_owned(), is_right)));
    let right = TaskSummary::of(&answers).generation.unwrap();
    assert_eq!((right.right, right.questions, right.accuracy), (4, 5, 0.8));
}

#[test]
fn answers_come_in_the_order_of_the_lines_whatever_their_kind() {
    let (tokenizer, model) = known();
    let lines = [r#"{"prompt": "a:", "expected": "ab"}"#, r#"{"prompt": "a:", "choices": ["a", "b"], "answer": 0}"#];
    let many: Vec<&str> = lines.iter().copied().cycle().take(40).collect();
    let mut progress = Vec::new();
    let tasks = tasks(&[], &many);
    let model = TaskModel { model: &model, tokenizer: &tokenizer, start: &[], end: &[] };
    let answers = PreparedTasks::new(model, &tasks, 10).unwrap().answer(&mut |done| progress.push(done)).unwrap();
    assert_eq!(answers.iter().map(|answer| answer.line).collect::<Vec<_>>(), (1..=40).collect::<Vec<_>>());
    assert!(progress.is_sorted() && progress.last() == Some(&40), "{progress:?}");
    let summary = TaskSummary::of(&answers);
    assert_eq!(summary.generation, Proportion::of(20, 20));
    assert_eq!(summary.choice.map(|choice| choice.by_byte), Proportion::of(20, 20));
}

const VOCABULARY: usize = 8;

fn models(context: usize) -> [LanguageModel; 2] {
    let lstm = ModelConfig::Lstm(LstmConfig { layers: 1, hidden: 12, ..LstmConfig::default() });
    let transformer =
        ModelConfig::Transformer(TransformerConfig { layers: 2, heads: 2, width: 16, ..Default::default() });
    [lstm, transformer].map(|config| config.init(VOCABULARY, context, 5, &Device::flex()))
}

/// The sum of the scores of the last tokens of a text.
fn score_of_last(model: &LanguageModel, tokens: &[u32], last: usize) -> f64 {
    let scores = score(model, VOCABULARY, tokens, 0, 0).unwrap();
    scores[tokens.len() - last..].iter().filter_map(|score| score.log_probability).sum()
}

#[test]
fn a_choice_has_the_score_of_its_tokens_behind_start_examples_and_prompt() {
    let tokenizer = characters("abcde: \n");
    assert_eq!(tokenizer.vocabulary_size(), VOCABULARY);
    let shots = [r#"{"prompt": "ab:", "choices": ["c", "de"], "answer": 1}"#, r#"{"prompt": "e ", "expected": "dd"}"#];
    let lines = [
        r#"{"prompt": "cd: ", "choices": ["a", "be b", "dddddd"], "answer": 1}"#,
        r#"{"prompt": "ce", "choices": ["a", "b"], "answer": 1}"#,
    ];
    let tasks = tasks(&shots, &lines);
    let examples = "ab:de\n\ne dd\n\n";
    for model in models(64) {
        let start = [3, 6];
        let asked = TaskModel { model: &model, tokenizer: &tokenizer, start: &start, end: &[] };
        let prepared = PreparedTasks::new(asked, &tasks, 10).unwrap();
        assert_eq!(prepared.cut(), 0);
        for (answer, question) in prepared.answer(&mut |_| ()).unwrap().iter().zip(&tasks.questions) {
            let QuestionKind::Choice { choices, .. } = &question.kind else { panic!("{question:?}") };
            for (found, choice) in chosen(answer).0.iter().zip(choices) {
                let text = format!("{examples}{}{choice}", question.prompt);
                let tokens = [&start[..], &tokenizer.encode(&text).unwrap()].concat();
                let space = usize::from(question.prompt.ends_with(' '));
                let expected = score_of_last(&model, &tokens, choice.len() + space);
                assert!((found - expected).abs() < 1e-5, "{text}: {found}, not {expected}");
            }
        }
    }
}

#[test]
fn what_is_too_long_loses_its_beginning_and_keeps_its_start() {
    let tokenizer = characters("abcde: \n");
    let [lstm, transformer] = models(8);
    let lines = [
        r#"{"prompt": "abcdeabcde:", "choices": ["a", "bcd"], "answer": 1}"#,
        r#"{"prompt": "ab:", "choices": ["a", "bcd"], "answer": 1}"#,
        r#"{"prompt": "abcdeabcde:", "expected": "a", "stop": "b"}"#,
    ];
    let tasks = tasks(&[], &lines);
    let start = [4];
    let prepare =
        |model| PreparedTasks::new(TaskModel { model, tokenizer: &tokenizer, start: &start, end: &[] }, &tasks, 3);
    assert_eq!(prepare(&lstm).unwrap().cut(), 0);
    let prepared = prepare(&transformer).unwrap();
    assert_eq!(prepared.cut(), 2);
    let answers = prepared.answer(&mut |_| ()).unwrap();
    // Of 8 tokens one is the start, and two of the longest choice are read: five are left for the prompt.
    for (found, choice) in chosen(&answers[0]).0.iter().zip(["a", "bcd"]) {
        let tokens = [&start[..], &tokenizer.encode(&format!("bcde:{choice}")).unwrap()].concat();
        let expected = score_of_last(&transformer, &tokens, choice.len());
        assert!((found - expected).abs() < 1e-5, "{choice}: {found}, not {expected}");
    }
    // A choice that fills the context leaves one token of the prompt, and a longer one is refused.
    let long = |length: usize| {
        let line = format!(r#"{{"prompt": "ab:", "choices": ["a", "{}"], "answer": 1}}"#, "b".repeat(length));
        let tasks = super::tests::tasks(&[], &[&line]);
        let model = TaskModel { model: &transformer, tokenizer: &tokenizer, start: &[], end: &[] };
        PreparedTasks::new(model, &tasks, 3).map(|prepared| prepared.cut()).map_err(|error| error.to_string())
    };
    assert_eq!(long(8), Ok(1));
    assert_eq!(long(9), Err("`FILE`, line 1: a choice has 9 tokens, and the model reads 8 at once".to_owned()));
}

#[test]
fn a_question_that_cannot_be_put_to_a_model_is_named_before_anything_is_computed() {
    let (tokenizer, model) = known();
    let good = r#"{"prompt": "a:", "choices": ["a", "b"], "answer": 1}"#;
    let unknown = tasks(&[], &[good, r#"{"prompt": "a:", "choices": ["a", "x"], "answer": 0}"#]);
    let error = answers(&tokenizer, &model, &unknown).unwrap_err();
    assert!(matches!(&error, TaskError::Question { line: 2, problem: QuestionError::Unreadable(_), .. }), "{error}");
    assert!(error.to_string().starts_with("`FILE`, line 2: the model cannot read it: "), "{error}");
    // No table of logits, but numbers that are none.
    let broken = table(&tokenizer, &[]).map(&mut Table { size: 5, logits: vec![f32::NAN; 25] });
    let error = answers(&tokenizer, &broken, &tasks(&[], &[good])).unwrap_err();
    assert!(matches!(error, TaskError::Question { line: 1, problem: QuestionError::NoNumber, .. }), "{error}");
}

#[test]
fn a_line_that_is_no_question_says_why() {
    for (line, problem) in [
        (r#"{"prompt": "a"}"#, "a question has `choices` and `answer`, or `expected`"),
        (
            r#"{"prompt": "a", "choises": ["a", "b"], "answer": 0}"#,
            "unknown field `choises`, expected one of `prompt`, `choices`, `answer`",
        ),
        (r#"{"prompt": "a", "choices": ["a", "b"]}"#, "missing field `answer`"),
        (r#"{"choices": ["a", "b"], "answer": 1}"#, "missing field `prompt`"),
        (r#"{"prompt": "a", "choices": ["a", "b"], "answer": "1"}"#, "invalid type: string \"1\", expected usize"),
        (
            r#"{"prompt": "a", "choices": ["a", "b"], "answer": 2}"#,
            "`answer` is 2, and the last choice is 1 (counted from 0)",
        ),
        (r#"{"prompt": "a", "choices": ["a"], "answer": 0}"#, "`choices` must be two or more, is 1"),
        (r#"{"prompt": "a", "choices": ["a", ""], "answer": 0}"#, "choice 1 is empty (counted from 0)"),
        (
            r#"{"prompt": "a", "choices": ["a", "b"], "expected": "b"}"#,
            "it has keys of both kinds: `choices` and `answer`, or `expected` and `stop`",
        ),
        (r#"{"prompt": "a", "expected": " "}"#, "`expected` is blank: a model that writes nothing would be right"),
        (
            r#"{"prompt": "a", "expected": "b\nc"}"#,
            "`expected` contains \"\\n\", at which the answer ends: it can never be written",
        ),
        (r#"{"prompt": "a", "expected": "b", "stop": 3}"#, "`stop` must be a text or a list of texts"),
        (
            r#"{"prompt": "a", "expected": "b", "stop": [""]}"#,
            "`stop` must not be empty: it would end the answer before the first token",
        ),
        (r#"{"prompt": "a", "#, "no JSON: EOF while parsing a value (column 16)"),
        (r#"["a"]"#, "invalid type: sequence, expected a map"),
    ] {
        assert_eq!(parse(line).unwrap_err(), problem, "{line}");
    }
}

#[test]
fn examples_are_the_first_lines_and_are_not_asked() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, prompts: &[&str]| {
        let line = |prompt: &&str| format!("{{\"prompt\": \"{prompt}\", \"expected\": \" right\"}}\n\n");
        let path = folder.path().join(name);
        std::fs::write(&path, prompts.iter().map(line).collect::<String>()).unwrap();
        path
    };
    let (file, other) = (write("file", &["a", "b", "c"]), write("other", &["x", "y"]));
    let read = |shots, shots_from, limit| {
        let tasks = Tasks::read(&TaskSource { file: &file, shots, shots_from, limit })?;
        let asked = tasks.questions.iter().map(|question| format!("{}{}", question.line, question.prompt));
        Ok::<_, TaskError>((tasks.examples(), asked.collect::<Vec<_>>()))
    };
    assert_eq!(read(0, None, None).unwrap(), (String::new(), vec!["1a".into(), "3b".into(), "5c".into()]));
    assert_eq!(read(2, None, None).unwrap(), ("a right\n\nb right\n\n".into(), vec!["5c".into()]));
    assert_eq!(read(1, Some(&other), Some(2)).unwrap(), ("x right\n\n".into(), vec!["1a".into(), "3b".into()]));
    let words = |result: Result<_, TaskError>| {
        result.unwrap_err().to_string().replace(&folder.path().display().to_string(), "")
    };
    assert_eq!(words(read(3, None, None)), "`/file` has 3 questions, too few for 3 solved examples and a question");
    assert_eq!(words(read(3, Some(&other), None)), "`/other` has 2 examples, and 3 are wanted");
}
