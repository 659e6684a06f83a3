//! What is taken from another model, what isn't, and what is said of it.

use std::iter::once;

use burn::tensor::{Device, Int};
use kiln_models::saved::ModelDescription;
use kiln_models::{Draws, TokenizerConfig};

use super::*;

const TRANSFORMER: &str = "[transformer]\nlayers = 2\nheads = 2\nwidth = 8";
const LSTM: &str = "[lstm]\nlayers = 2\nhidden = 6";

pub(super) fn characters(text: &str) -> Tokenizer {
    let config: TokenizerConfig = toml::from_str("[character]").unwrap();
    Tokenizer::train(&config, &mut once(Ok(text.to_owned()))).unwrap()
}

pub(super) fn config(model: &str) -> ModelConfig {
    toml::from_str(model).unwrap()
}

fn settings(more: &str) -> StartConfig {
    toml::from_str(&format!("from = \"runs/base\"\n{more}")).unwrap()
}

/// A model that was saved, with `rows` of its tables.
pub(super) fn base(model: &str, tokenizer: &Tokenizer, rows: usize, context: usize) -> SavedModel {
    let description = ModelDescription::new(config(model), tokenizer, context);
    SavedModel {
        model: config(model).init(rows, context, 5, &Device::flex()),
        tokenizer: tokenizer.clone(),
        description,
        folder: "runs/base".into(),
        run: "runs/base".into(),
        start: Vec::new(),
        end: Vec::new(),
        chat_template: None,
        step: None,
        warning: None,
    }
}

/// A drawn model of this configuration, warmed.
fn warmed(
    model: &str,
    tokenizer: &Tokenizer,
    context: usize,
    base: &SavedModel,
    more: &str,
) -> Result<(LanguageModel, WarmStart), String> {
    let fresh = config(model).init(tokenizer.vocabulary_size(), context, 6, &Device::flex());
    warm_start(fresh, &config(model), tokenizer, base, &settings(more)).map_err(|error| error.to_string())
}

fn numbers(model: &LanguageModel, path: &str) -> Vec<f32> {
    collect_tensors(model).unwrap()[path].iter().collect()
}

fn losses(model: &LanguageModel) -> Vec<f32> {
    let window = |tokens: [[i32; 4]; 1]| Tensor::<2, Int>::from_data(tokens, &Device::flex());
    let (losses, _) = model.losses(window([[0, 1, 2, 3]]), window([[1, 2, 3, 0]]), None, &mut Draws::none());
    losses.into_data().iter().collect()
}

#[test]
fn all_of_a_model_of_the_same_vocabulary_is_taken_bit_by_bit() {
    let tokenizer = characters("abcd");
    for model in [TRANSFORMER, LSTM] {
        let base = base(model, &tokenizer, 4, 8);
        let (warm, report) = warmed(model, &tokenizer, 8, &base, "").unwrap();
        assert!(losses(&warm) == losses(&base.model), "{model}");
        assert_eq!((report.left.len(), report.new.len(), report.vocabulary), (0, 0, None));
        assert_eq!(report.numbers, config(model).parameter_count(4, 8));
        // Dropout is no part of the function.
        warmed(&format!("{model}\ndropout = 0.1"), &tokenizer, 8, &base, "").unwrap();
    }
}

#[test]
fn a_context_may_be_shorter_and_rows_beyond_the_tokens_are_left() {
    let tokenizer = characters("abcd");
    let (base, warm) = {
        let base = base(TRANSFORMER, &tokenizer, 6, 8);
        let warm = warmed(TRANSFORMER, &tokenizer, 5, &base, "").unwrap();
        (base, warm)
    };
    assert_eq!(warm.1.vocabulary, Some(SharedVocabulary { known: 4, others: 0, left: 2 }));
    let path = "position_embedding.weight";
    assert_eq!(numbers(&warm.0, path), numbers(&base.model, path)[..5 * 8]);
    let path = "token_embedding.weight";
    assert_eq!(numbers(&warm.0, path), numbers(&base.model, path)[..4 * 8]);
    let error = warmed(TRANSFORMER, &tokenizer, 9, &base, "").unwrap_err();
    let words = "`position_embedding.weight` has the shape [9, 8], and [8, 8] in the start model; write `start.st";
    assert!(error.contains(words), "{error}");
}

#[test]
fn learned_positions_are_read_between_rows_where_they_are_stretched() {
    let tokenizer = characters("abcd");
    let base = base(TRANSFORMER, &tokenizer, 4, 3);
    let (warm, _) = warmed(TRANSFORMER, &tokenizer, 5, &base, "stretch-positions = true").unwrap();
    let [old, new] = [&base.model, &warm].map(|model| numbers(model, "position_embedding.weight"));
    let row = |table: &[f32], row: usize| table[row * 8..(row + 1) * 8].to_vec();
    for (place, kept) in [(0, 0), (2, 1), (4, 2)] {
        assert_eq!(row(&new, place), row(&old, kept));
    }
    for (place, below) in [(1, 0), (3, 1)] {
        let middle = row(&old, below).into_iter().zip(row(&old, below + 1)).map(|(one, other)| 0.5 * one + 0.5 * other);
        assert_eq!(row(&new, place), middle.collect::<Vec<_>>());
    }
}

#[test]
fn a_rotation_may_be_another_one_and_is_named() {
    let tokenizer = characters("abcd");
    let rotary = format!("{TRANSFORMER}\nposition = \"rotary\"");
    let base = base(&rotary, &tokenizer, 4, 8);
    let longer = format!("{rotary}\n[transformer.rotary-scaling.linear]\nfactor = 2.0");
    let (warm, report) = warmed(&longer, &tokenizer, 16, &base, "").unwrap();
    assert_eq!(report.rotated, ["`model.transformer.rotary-scaling.linear.factor` is 2.0, and left out there"]);
    assert_eq!(numbers(&warm, "token_embedding.weight"), numbers(&base.model, "token_embedding.weight"));
}

#[test]
fn tokens_of_another_vocabulary_are_found_by_their_text_and_the_others_are_the_mean() {
    // Sorted: b c e, and a b c d.
    let (theirs, ours) = (characters("bce"), characters("abcd"));
    let base = base(LSTM, &theirs, 3, 8);
    let (warm, report) = warmed(LSTM, &ours, 8, &base, "").unwrap();
    assert_eq!(report.vocabulary, Some(SharedVocabulary { known: 2, others: 2, left: 1 }));
    let [table, taken] = [&base.model, &warm].map(|model| numbers(model, "embedding.weight"));
    let row = |numbers: &[f32], row: usize| numbers[row * 6..(row + 1) * 6].to_vec();
    let mean: Vec<f32> = (0..6).map(|column| (table[column] + table[6 + column] + table[12 + column]) / 3.0).collect();
    let close = |found: &[f32], expected: &[f32]| {
        assert!(found.iter().zip(expected).all(|(one, other)| (one - other).abs() < 1e-6), "{found:?} {expected:?}");
    };
    close(&row(&taken, 0), &mean);
    assert_eq!(row(&taken, 1), row(&table, 0));
    assert_eq!(row(&taken, 2), row(&table, 1));
    close(&row(&taken, 3), &mean);
    // The head has its tokens in columns.
    let [head, taken] = [&base.model, &warm].map(|model| numbers(model, "output.weight"));
    for unit in 0..6 {
        let theirs = &head[unit * 3..unit * 3 + 3];
        let mean = theirs.iter().sum::<f32>() / 3.0;
        close(&taken[unit * 4..unit * 4 + 4], &[mean, theirs[0], theirs[1], mean]);
    }
    let [bias, taken] = [&base.model, &warm].map(|model| numbers(model, "output.bias"));
    let mean = bias.iter().sum::<f32>() / 3.0;
    close(&taken, &[mean, bias[0], bias[1], mean]);
}

#[test]
fn patterns_choose_what_is_taken_and_the_rest_is_drawn_as_usual() {
    let tokenizer = characters("abcd");
    let base = base(TRANSFORMER, &tokenizer, 4, 8);
    let fresh = config(TRANSFORMER).init(4, 8, 6, &Device::flex());
    let (warm, report) =
        warmed(TRANSFORMER, &tokenizer, 8, &base, "only = [\"blocks.*\"]\nexcept = [\"*.1.*\"]").unwrap();
    for (path, data) in collect_tensors(&warm).unwrap() {
        let is_taken = path.starts_with("blocks.0.");
        let from = if is_taken { &base.model } else { &fresh };
        assert!(data == collect_tensors(from).unwrap()[&path], "{path}");
        assert_eq!((report.taken.contains(&path), report.left.contains(&path)), (is_taken, !is_taken), "{path}");
        assert_eq!(report.new.contains(&path), !is_taken, "{path}");
    }
    // Another architecture may give what fits: the tables here.
    let deeper = TRANSFORMER.replace("layers = 2", "layers = 3");
    let (_, report) = warmed(&deeper, &tokenizer, 8, &base, "only = [\"*_embedding.*\"]").unwrap();
    assert_eq!(report.taken, ["token_embedding.weight", "position_embedding.weight"]);
}

#[test]
fn everything_that_differs_is_named() {
    let tokenizer = characters("abcd");
    let base = base(TRANSFORMER, &tokenizer, 4, 8);
    let other = "[transformer]\nlayers = 1\nheads = 4\nwidth = 8\nfeed-forward = 16\nactivation = \"swiglu\"";
    let error = warmed(other, &tokenizer, 8, &base, "").unwrap_err();
    for words in [
        "the model cannot start from `runs/base`:\n",
        "`model.transformer.layers` is 1, and 2 there",
        "`model.transformer.heads` is 4, and 2 there",
        "`model.transformer.feed-forward` is 16, and left out there",
        "`model.transformer.activation` is \"swiglu\", and \"gelu\" there",
        "`blocks.0.feed_forward.output.weight` has the shape [16, 8], and [32, 8] in the start model",
        "`blocks.1.feed_forward.output.weight` is a parameter of the start model alone",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
    let error = warmed(LSTM, &tokenizer, 8, &base, "").unwrap_err();
    assert!(error.contains("it is a lstm, and the start model a transformer"), "{error}");
    let error = warmed(TRANSFORMER, &tokenizer, 8, &base, "only = [\"layers.*\"]").unwrap_err();
    assert!(error.starts_with("`start.only`: `layers.*` fits no parameter of `runs/base`, which has `tok"), "{error}");
    let error = warmed(TRANSFORMER, &tokenizer, 8, &base, "except = [\"*\"]").unwrap_err();
    assert!(error.starts_with("`start.only` and `start.except` leave nothing to take from `runs/base`"), "{error}");
}
