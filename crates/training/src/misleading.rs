//! Settings that are right, but whose losses would mislead, or whose time is badly spent.

use std::path::Path;

use kiln_data::batches::Windows;
use kiln_models::{Tokenizer, TokenizerConfig};

use crate::config::{Config, DEFAULT_PROMPT};

/// More passes over a text than these teach next to nothing: Muennighoff et al., "Scaling Data-Constrained Language
/// Models", 2023, <https://arxiv.org/abs/2305.16264>, where up to 4 were nearly as good as new text and the returns
/// were gone by about 40: by their fit of what D tokens out of U are worth, 92 % of all that repeating can give.
pub const MOST_PASSES: f64 = 40.0;

/// From here on a model that [can memorize](can_memorize) the text is in need of dropout. Of the passes that are of use
/// these bring a half, 1 - exp(-11 / 15.39); at 4.5 passes dropout still did harm (`docs/new.md`).
const PASSES_BEFORE_DROPOUT: f64 = 12.0;

/// A token that a text holds less often is learned badly: Gowda and May, "Finding the Optimal Vocabulary Size for
/// Neural Machine Translation", 2020, <https://arxiv.org/abs/2004.02334>. The mean over the vocabulary is the least
/// that can be asked for, for most tokens are rarer than it.
pub const LEAST_OCCURRENCES: u64 = 100;

/// From this number of documents on, every tenth one can validate.
pub const MANY_DOCUMENTS: u64 = 20;

/// What is known of a text; what isn't, nothing is said about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextNumbers {
    /// Tokens of the training split.
    pub training_tokens: Option<u64>,
    /// Tokens that the model knows.
    pub vocabulary: Option<usize>,
    /// Documents of both splits.
    pub documents: Option<u64>,
    /// How often the separator is in the text.
    pub separators: Option<u64>,
}

/// A sentence or two for each thing that will mislead.
pub fn misleading(config: &Config, text: &TextNumbers) -> Vec<String> {
    let rules = [streams, separator, end, passes, memorized, vocabulary];
    rules.into_iter().filter_map(|rule| rule(config, text)).collect()
}

/// Whether a model without dropout would learn a text by heart: it has more numbers than the text has tokens, and reads
/// it often.
pub fn can_memorize(parameters: u64, training_tokens: u64, passes: f64) -> bool {
    parameters > training_tokens && passes > PASSES_BEFORE_DROPOUT
}

/// Whether the tokens of a vocabulary are too rare in a text.
pub fn is_vocabulary_large(training_tokens: u64, vocabulary: usize) -> bool {
    training_tokens / (vocabulary as u64).max(1) < LEAST_OCCURRENCES
}

/// The prompts of samples that have what a tokenizer doesn't know, each with what comes of it. The default prompt is
/// left out: where the text has no line ends, such samples begin a document.
pub fn unreadable_prompts(config: &Config, tokenizer: &Tokenizer) -> Vec<String> {
    let run = &config.run;
    let chosen = run.prompts.iter().filter(|prompt| run.sample_every.is_some() && *prompt != DEFAULT_PROMPT);
    let is_lossless = matches!(config.tokenizer, TokenizerConfig::Character(_));
    let unreadable = |prompt: &String| match tokenizer.encode(prompt) {
        Err(error) => Some(format!("there will be no samples after the prompt {prompt:?} of `run.prompts`: {error}")),
        Ok(tokens) if is_lossless && tokenizer.decode(&tokens) != *prompt => Some(format!(
            "the prompt {prompt:?} of `run.prompts` has characters that the training text lacks, which the model reads \
             as the unknown token"
        )),
        Ok(_) => None,
    };
    chosen.filter_map(unreadable).collect()
}

/// What comes of files that hold the same text. Where the files are is the configuration's, so a text that is gone or
/// has yet to be downloaded says nothing.
pub fn copied(config: &Config, cache: &Path) -> Option<String> {
    let copies = config.data.copies(cache).unwrap_or_default();
    let worst = copies.iter().find(|copy| copy.validates).or(copies.first())?;
    let (path, of) = (worst.path.display(), worst.of.display());
    let more = match copies.len() - 1 {
        0 => String::new(),
        1 => " (and one more file is a copy)".to_owned(),
        more => format!(" (and {more} more files are copies)"),
    };
    Some(if worst.validates {
        format!(
            "the validation file `{path}` holds the same text as `{of}`, which is trained on{more}: the validation \
             loss measures what the model remembers, not what it has learned; validate on another text"
        )
    } else {
        format!(
            "`{path}` holds the same text as `{of}`{more}: where one is trained on and the other validates, the \
             validation loss measures what the model remembers; name each text once"
        )
    })
}

/// Passes over the training split.
fn passes_of(config: &Config, text: &TextNumbers) -> Option<f64> {
    // A batch of pairs has room for as many tokens of sources as of targets.
    let texts = if config.data.has_pairs() { 2.0 } else { 1.0 };
    let tokens = texts * config.run.tokens_per_step() as f64 * config.run.steps as f64;
    text.training_tokens.map(|training| tokens / training.max(1) as f64)
}

/// Each stream reads its own stretch of the text from its start.
fn streams(config: &Config, text: &TextNumbers) -> Option<String> {
    let passes = passes_of(config, text).filter(|passes| *passes < 0.95)?;
    (config.run.windows == Windows::Streams).then(|| {
        format!(
            "each of the {} streams reads only the first {:.0} % of its part of the text, so that the rest is never \
             seen; take `run.steps = {}` or more, or `windows = \"shuffled\"`",
            config.run.batch,
            100.0 * passes,
            (config.run.steps as f64 / passes).ceil()
        )
    })
}

/// A separator that is mistyped leaves everything one document.
fn separator(config: &Config, text: &TextNumbers) -> Option<String> {
    let separator = config.data.separator.as_ref().filter(|separator| !separator.is_empty())?;
    (text.separators? == 0).then(|| {
        format!(
            "`data.separator` is {separator:?}, which is nowhere in the text: each file is one document; if that is \
             what you want, write `separator = \"\"`"
        )
    })
}

/// Documents are often in an order, by time or by name, so that the last ones are of another kind.
fn end(config: &Config, text: &TextNumbers) -> Option<String> {
    let documents = text.documents.filter(|documents| *documents >= MANY_DOCUMENTS)?;
    (!config.data.splits_by_document() && !config.data.has_pairs()).then(|| {
        format!(
            "validation is the last {} % of the text, from the end of {documents} documents: where they are in an \
             order, it is of another kind than what is trained on; `data.validation = \"every 10th document\"` takes \
             from all of them",
            100.0 * config.data.validation_fraction
        )
    })
}

fn passes(config: &Config, text: &TextNumbers) -> Option<String> {
    let passes = passes_of(config, text).filter(|passes| *passes > MOST_PASSES)?;
    Some(format!(
        "the text is read {passes:.1} times, and after about {MOST_PASSES} it has next to nothing left to teach; take \
         fewer steps or more text"
    ))
}

fn memorized(config: &Config, text: &TextNumbers) -> Option<String> {
    // Adapters have far fewer parameters than the model.
    if config.model.has_dropout() || config.adapter.is_some() {
        return None;
    }
    let (passes, tokens) = (passes_of(config, text)?, text.training_tokens?);
    let parameters = config.model.parameter_count(text.vocabulary?, config.run.context);
    can_memorize(parameters, tokens, passes).then(|| {
        format!(
            "the model has more parameters ({parameters}) than the text has tokens ({tokens}), reads it {passes:.1} \
             times and has no dropout: it can learn the text by heart; write `dropout = 0.1`, and compare training \
             with validation losses"
        )
    })
}

fn vocabulary(config: &Config, text: &TextNumbers) -> Option<String> {
    // How many characters there are nobody chooses.
    let key = match config.tokenizer {
        TokenizerConfig::BytePair(_) => "`tokenizer.byte-pair.vocabulary-size`",
        TokenizerConfig::File(_) => "a smaller vocabulary",
        TokenizerConfig::Character(_) | TokenizerConfig::Byte(_) => return None,
    };
    let (tokens, vocabulary) = (text.training_tokens?, text.vocabulary? as u64);
    let occurrences = tokens / vocabulary.max(1);
    is_vocabulary_large(tokens, vocabulary as usize).then(|| {
        let lower = if key.starts_with('`') { format!("lower {key}") } else { format!("take {key}") };
        format!(
            "the vocabulary is large for the text: each of its {vocabulary} tokens occurs {occurrences} times on \
             average, and what occurs less than about {LEAST_OCCURRENCES} times is learned badly; {lower}"
        )
    })
}

#[cfg(test)]
mod tests {
    use kiln_settings::Source;

    use super::*;

    fn config(data: &str, tokenizer: &str, run: &str) -> Config {
        of_model("gru]\nhidden = 4", data, tokenizer, run)
    }

    fn of_model(model: &str, data: &str, tokenizer: &str, run: &str) -> Config {
        let text = format!(
            "[data]\n{data}\n[data.file]\npaths = ['a.txt']\n[tokenizer.{tokenizer}\n[model.{model}\n\
             [optimizer.adamw]\n[schedule.constant]\nrate = 1e-3\n[run]\nbatch = 4\ncontext = 10\n{run}\n"
        );
        Config::read(&Source::new("test", text), &[]).unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn said(config: &Config, training_tokens: u64, vocabulary: usize, documents: u64) -> Vec<String> {
        let (training_tokens, vocabulary) = (Some(training_tokens), Some(vocabulary));
        misleading(
            config,
            &TextNumbers { training_tokens, vocabulary, documents: Some(documents), separators: Some(0) },
        )
    }

    #[test]
    fn a_separator_that_is_nowhere_is_said() {
        let said = |separator: &str, separators| {
            let config = config(separator, "byte]\nspecial-tokens = ['<|end|>']", "steps = 1");
            let numbers = TextNumbers { training_tokens: None, vocabulary: None, documents: Some(1), separators };
            misleading(&config, &numbers)
        };
        let said_of = said("separator = '<|typo|>'", Some(0));
        assert!(said_of.len() == 1 && said_of[0].contains(r#"`data.separator` is "<|typo|>", which is nowhere"#));
        for (separator, separators) in [
            ("separator = '<|typo|>'", Some(1)),
            ("separator = '<|typo|>'", None),
            ("separator = ''", Some(0)),
            ("", Some(0)),
        ] {
            assert_eq!(said(separator, separators), Vec::<String>::new());
        }
    }

    #[test]
    fn copies_of_a_text_are_said_and_most_of_all_where_one_validates() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        for (name, text) in [("a.txt", "one"), ("b.txt", "one"), ("c.txt", "two"), ("d.txt", "one")] {
            std::fs::write(path(name), text).expect("it can be written");
        }
        let said = |names: &[&str], validation: Option<&str>| {
            let mut config = config("", "byte]", "steps = 100");
            let file = config.data.file.as_mut().expect("the text is a file");
            file.paths = names.iter().map(|name| path(name)).collect();
            config.data.validation_files = validation.map(|name| vec![path(name)]);
            copied(&config, folder.path()).unwrap_or_default()
        };
        assert_eq!(said(&["a.txt", "c.txt", "a.txt"], None), "");
        let (a, b, d) = (path("a.txt"), path("b.txt"), path("d.txt"));
        let words = said(&["a.txt", "b.txt", "c.txt"], None);
        assert!(words.starts_with(&format!("`{b}` holds the same text as `{a}`: where one is")), "{words}");
        let words = said(&["a.txt", "b.txt", "d.txt"], None);
        assert!(words.starts_with(&format!("`{b}` holds the same text as `{a}` (and one more file is")), "{words}");
        let words = said(&["c.txt", "a.txt"], Some("d.txt"));
        assert!(
            words.starts_with(&format!("the validation file `{d}` holds the same text as `{a}`, which")),
            "{words}"
        );
        assert_eq!(said(&["a.txt", "c.txt"], Some("c.txt")), "");
    }

    #[test]
    fn streams_below_one_pass_say_how_much_is_read_and_how_many_steps_read_all() {
        // 100 steps of 40 tokens are half of 8,000.
        let streams = config("", "byte]", "steps = 100\nwindows = 'streams'");
        let said_of = said(&streams, 8_000, 256, 1);
        assert_eq!(said_of.len(), 1);
        assert!(said_of[0].starts_with("each of the 4 streams reads only the first 50 % of"), "{said_of:?}");
        assert!(said_of[0].contains("`run.steps = 200`"), "{said_of:?}");
        assert_eq!(said(&streams, 4_000, 256, 1), Vec::<String>::new());
        assert_eq!(said(&config("", "byte]", "steps = 100"), 8_000, 256, 1), Vec::<String>::new());
    }

    #[test]
    fn a_split_from_the_end_of_many_documents_is_said() {
        let end = config("", "byte]", "steps = 100");
        assert_eq!(said(&end, 4_000, 256, 19), Vec::<String>::new());
        let said_of = said(&end, 4_000, 256, 20);
        assert!(said_of.len() == 1 && said_of[0].contains("the last 10 % of the text"), "{said_of:?}");
        let every = config("validation = 'every 10th document'", "byte]", "steps = 100");
        assert_eq!(said(&every, 4_000, 256, 20), Vec::<String>::new());
    }

    #[test]
    fn more_than_forty_passes_are_counted() {
        let run = config("", "byte]", "steps = 4001");
        let said_of = said(&run, 4_000, 256, 1);
        assert!(said_of.len() == 1 && said_of[0].contains("is read 40.0 times"), "{said_of:?}");
        assert_eq!(said(&run, 4_001, 256, 1), Vec::<String>::new());
    }

    #[test]
    fn a_model_that_can_learn_the_text_by_heart_and_has_no_dropout_is_said() {
        // 1301 steps of 40 tokens are 13.01 passes over 4,000. The table of 256 rows of 16, two layers of three gates
        // with two matrices of 16 x 16 and two biases, and the head are more; with a width of 4 they are fewer.
        let with = |model: &str, steps: u64| of_model(model, "", "byte]", &format!("steps = {steps}"));
        let said_of = said(&with("gru]\nhidden = 16", 1301), 4_000, 256, 1);
        assert!(said_of.len() == 1 && said_of[0].contains("by heart"), "{said_of:?}");
        assert!(said_of[0].contains(" reads it 13.0 times"), "{said_of:?}");
        let fine = [
            with("gru]\nhidden = 4", 1301),
            with("gru]\nhidden = 16", 1200),
            with("gru]\nhidden = 16\ndropout = 0.1", 1301),
            with("gru]\nhidden = 16\noutput-dropout = 0.1", 1301),
        ];
        for config in &fine {
            assert_eq!(said(config, 4_000, 256, 1), Vec::<String>::new());
        }
        let transformer = "transformer]\nlayers = 1\nheads = 1\nwidth = 32";
        assert_eq!(said(&with(transformer, 1301), 4_000, 256, 1).len(), 1);
        assert_eq!(said(&with(&format!("{transformer}\ndropout = 0.1"), 1301), 4_000, 256, 1).len(), 0);
    }

    #[test]
    fn a_vocabulary_is_too_large_where_its_tokens_are_rare() {
        let run = config("", "byte-pair]\nvocabulary-size = 512", "steps = 1000");
        let said_of = said(&run, 51_199, 512, 1);
        assert!(said_of.len() == 1 && said_of[0].contains("512 tokens occurs 99 times"), "{said_of:?}");
        assert!(said_of[0].ends_with("lower `tokenizer.byte-pair.vocabulary-size`"), "{said_of:?}");
        assert_eq!(said(&run, 51_200, 512, 1), Vec::<String>::new());
        assert_eq!(said(&config("", "character]", "steps = 1"), 4_000, 512, 1), Vec::<String>::new());
    }
}
