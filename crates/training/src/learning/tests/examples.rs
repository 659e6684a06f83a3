//! Examples of which some tokens are predicted: losses, updates, evaluations, resumption.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Tensor, TensorData};
use kiln_data::batches::Windows;
use kiln_data::shards::ExampleReading;
use kiln_models::saved::apply_tensors;
use kiln_parameters::{catalogue, flat_gradient};

use super::*;
use crate::config::DpoConfig;
use crate::evaluation::evaluate_as;
use crate::learning::gradients::{Mean, Measure};
use crate::run::References;

/// Numbers of `scripts/reference/examples.py`.
#[derive(serde::Deserialize)]
struct Reference {
    masked: Masked,
    reference: Numbers,
    pairs: Vec<Pair>,
    preferences: Vec<Preference>,
}

#[derive(serde::Deserialize)]
struct Pair {
    prompt: Vec<u32>,
    chosen: Vec<u32>,
    rejected: Vec<u32>,
}

#[derive(serde::Deserialize)]
struct Preference {
    beta: f64,
    smoothing: f64,
    references: Vec<[f32; 2]>,
    margins: Vec<f64>,
    loss: f64,
    gradients: Numbers,
}

#[derive(serde::Deserialize)]
struct Masked {
    parameters: Numbers,
    batches: Vec<Vec<Row>>,
    losses: Vec<f64>,
    loss: f64,
    gradients: Numbers,
}

#[derive(serde::Deserialize)]
struct Row {
    tokens: Vec<u32>,
    counted: Vec<u8>,
}

type Numbers = BTreeMap<String, Values>;

#[derive(Clone, serde::Deserialize)]
struct Values {
    shape: Vec<usize>,
    data: Vec<f32>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../../../fixtures/examples.json")).unwrap()
}

const ELMAN: &str = "[rnn]\nlayers = 1\nhidden = 4\nembedding = 3";

/// A tokenizer of five tokens.
fn five_tokens() -> Tokenizer {
    let config: TokenizerConfig = toml::from_str("[character]").unwrap();
    Tokenizer::train(&config, &mut std::iter::once(Ok("abcde".to_owned()))).unwrap()
}

/// The network of the reference.
fn model(parameters: Numbers) -> LanguageModel {
    let config: ModelConfig = toml::from_str(ELMAN).unwrap();
    let tensors = parameters.into_iter().map(|(path, Values { shape, data })| (path, TensorData::new(data, shape)));
    apply_tensors(config.init(5, 8, 1, &Device::flex()), tensors.collect(), "fixture".as_ref()).unwrap()
}

fn file(examples: &[Row], tokenizer: &Tokenizer) -> TokenFile {
    let example = |row: &Row| (row.tokens.clone(), row.counted.iter().map(|counted| *counted == 1).collect());
    let examples: Vec<(Vec<u32>, Vec<bool>)> = examples.iter().map(example).collect();
    TokenFile::examples_in_memory(&examples, tokenizer, Default::default()).unwrap()
}

fn scalar(tensor: &Tensor<1>) -> f64 {
    tensor.clone().into_scalar::<f64>()
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 3e-6 * expected.abs().max(1.0), "{found} {expected}");
}

fn check_gradients(model: &LanguageModel, found: &burn::optim::GradientsParams, expected: &Numbers) {
    let parameters = catalogue(model);
    assert_eq!(parameters.len(), expected.len());
    for parameter in parameters {
        let gradient = flat_gradient(found, &parameter).unwrap().into_data();
        let expected = &expected[&parameter.path].data;
        assert_eq!(gradient.num_elements(), expected.len());
        gradient.iter::<f64>().zip(expected).for_each(|(found, expected)| close(found, f64::from(*expected)));
    }
}

#[test]
fn the_mean_over_the_tokens_that_count_and_its_gradient_are_those_of_pytorch() {
    let Masked { parameters, batches, losses, loss, gradients } = reference().masked;
    let (model, tokenizer) = (model(parameters).train(), five_tokens());
    let inputs: Vec<TrainingInput> = batches
        .iter()
        .map(|batch| {
            let order = BatchOrder::new(file(batch, &tokenizer), Windows::Shuffled, 2, 8, 1).unwrap();
            TrainingInput::new(order.read(0).unwrap())
        })
        .collect();
    for (input, expected) in inputs.iter().zip(&losses) {
        close(scalar(&training_step(&model, input.clone()).0.loss), *expected);
    }
    let counted: u64 = inputs.iter().map(|input| input.batch.counted()).sum();
    // Whole batches, and their halves, of other counts still.
    for cut in [false, true] {
        let mut mean = Mean::new(false);
        for input in &inputs {
            let share = input.batch.counted() as f64 / counted as f64;
            let input = TrainingInput { share, ..input.clone() };
            for piece in if cut { input.halves() } else { vec![input] } {
                mean.add(&model, piece, Measure::default());
            }
        }
        close(scalar(&mean.loss.take().unwrap()), loss);
        check_gradients(&model, &mean.gradients(), &gradients);
    }
    // The same in an evaluation, whose mean is over all batches too.
    let all: Vec<Row> = batches.into_iter().flatten().collect();
    let file = file(&all, &tokenizer);
    for rows in [1, 3, 4] {
        let plan = EvaluationPlan::new(&file, 1.0, rows, 8, false).unwrap();
        let found = evaluate(&model.valid(), &file, &plan.into(), &mut |_| true).unwrap().unwrap();
        close(found.loss, loss);
        assert_eq!(found.tokens, counted);
    }
}

/// The pairs of the reference, a chosen and a rejected answer in turns.
fn preferences(pairs: &[Pair], tokenizer: &Tokenizer) -> TokenFile {
    let example = |prompt: &[u32], answer: &[u32]| {
        let counted = [vec![false; prompt.len()], vec![true; answer.len()]].concat();
        ([prompt, answer].concat(), counted)
    };
    let both = |pair: &Pair| [example(&pair.prompt, &pair.chosen), example(&pair.prompt, &pair.rejected)];
    let examples: Vec<(Vec<u32>, Vec<bool>)> = pairs.iter().flat_map(both).collect();
    let reading = ExampleReading { pairs: true, ..Default::default() };
    TokenFile::examples_in_memory(&examples, tokenizer, reading).unwrap()
}

#[test]
fn the_loss_of_preferences_and_its_gradient_are_those_of_pytorch() {
    let Reference { masked, reference, pairs, preferences: cases } = reference();
    let (own, other, tokenizer) = (model(masked.parameters), model(reference), five_tokens());
    let file = preferences(&pairs, &tokenizer);
    // The reference model's own log-probabilities are those of PyTorch.
    let found = References::of(&other, [&file, &file], 8, &mut |_| {}).unwrap();
    let folder = tempfile::tempdir().unwrap();
    found.write(folder.path()).unwrap();
    let read = References::read(folder.path()).unwrap();
    assert_eq!(read, found);
    assert!(read.clone().put([file.clone(), file.clone()], 9, folder.path()).is_err(), "of another context");
    let [file, _] = read.put([file.clone(), file], 8, folder.path()).unwrap();
    let model = own.train();
    for Preference { beta, smoothing, references, margins, loss, gradients } in cases {
        let order = BatchOrder::new(file.clone(), Windows::Shuffled, 2, 8, 1).unwrap();
        let batch = order.read(0).unwrap();
        assert_eq!((batch.rows, batch.terms(), batch.counted()), (4, 2, 11));
        // Pairs are sorted by their longer answer: the order of the reference is the other one.
        let expected: Vec<f32> = references.iter().rev().flatten().copied().collect();
        let swapped = batch.references.clone().unwrap();
        let is_swapped = (swapped[0] - expected[0]).abs() < 1e-4;
        let expected = if is_swapped { expected } else { references.iter().flatten().copied().collect() };
        swapped.iter().zip(&expected).for_each(|(found, expected)| close(f64::from(*found), f64::from(*expected)));
        let preference = Some(DpoConfig { beta, label_smoothing: smoothing });
        let input = TrainingInput { preference, ..TrainingInput::new(batch) };
        for pieces in [vec![input.clone()], input.halves()] {
            let mut mean = Mean::new(false);
            let mut margin = 0.0;
            for piece in pieces {
                let share = piece.share;
                let (output, _) = training_step(&model, piece.clone());
                margin += share * scalar(&output.parts.unwrap()[0]);
                mean.add(&model, piece, Measure::default());
            }
            close(scalar(&mean.loss.take().unwrap()), loss);
            close(margin, margins.iter().sum::<f64>() / 2.0);
            check_gradients(&model, &mean.gradients(), &gradients);
        }
        let plan = EvaluationPlan::new(&file, 1.0, 1, 8, false).unwrap();
        let found = evaluate_as(&model.valid(), &file, &plan.into(), preference, &mut |_| true).unwrap().unwrap();
        close(found.loss, loss);
        let measured = found.preference.unwrap();
        close(measured.margin, margins.iter().sum::<f64>() / 2.0);
        close(measured.accuracy, margins.iter().filter(|margin| **margin > 0.0).count() as f64 / 2.0);
        assert_eq!(found.tokens, 5);
    }
}

#[test]
fn a_run_on_preferences_learns_them_and_resumes_with_the_same_bits() {
    let mut world = World::new(TRANSFORMER, "windows = \"shuffled\"\naccumulate = 2");
    world.run.context = 16;
    world.finetuning.preference = Some(PreferenceConfig::Dpo(DpoConfig { beta: 0.5, label_smoothing: 0.0 }));
    let token = |letter: u8| world.tokenizer.encode(&char::from(letter).to_string()).unwrap();
    let pair = |number: usize| {
        let letter = SENTENCE.as_bytes()[number % 26];
        Pair { prompt: token(letter), chosen: [token(b'a'), token(b'b')].concat(), rejected: token(b'x') }
    };
    let pairs: Vec<Pair> = (0..26).map(pair).collect();
    let file = preferences(&pairs, &world.tokenizer);
    // Without the start model's log-probabilities there is nothing to hold to.
    world.train = file.clone();
    world.validation = file.clone();
    assert!(matches!(world.train("none", &Notes::default()), Err(TrainError::NoReferences)));
    let references = References::of(&world.first_model(), [&file, &file], 16, &mut |_| {}).unwrap();
    [world.train, world.validation] = references.put([file.clone(), file], 16, world.folder.path()).unwrap();
    let whole = Notes::default();
    let outcome = world.train("whole", &whole).unwrap();
    let steps = whole.steps.lock().unwrap().clone();
    // Two models that are the same prefer nothing: ln 2. Dropout makes them differ a little.
    assert!((steps[0].train_loss - 2.0_f64.ln()).abs() < 0.05, "{}", steps[0].train_loss);
    assert!(steps[0].margin.is_some() && steps[0].hard_loss.is_none());
    let measured = outcome.evaluation.unwrap();
    let learned = measured.preference.unwrap();
    assert!(measured.loss < 0.4 && learned.margin > 1.0 && learned.accuracy == 1.0, "{measured:?}");
    for stop in [1, 5, 7] {
        let name = format!("stopped-{stop}");
        world.train(&name, &Notes { stop_after: Some(stop), ..Notes::default() }).unwrap();
        world.train(&name, &Notes::default()).unwrap();
        let ((expected_folder, expected), (folder, found)) = (world.newest("whole"), world.newest(&name));
        assert_eq!(found, expected, "stopped after {stop}");
        assert_eq!(weights(&folder), weights(&expected_folder), "stopped after {stop}");
    }
}

/// Sums of two digits: the answer alone is predicted.
fn sums(world: &World, numbers: std::ops::Range<u32>) -> TokenFile {
    let letter = |number: u32| SENTENCE.as_bytes()[number as usize % 26] as char;
    let example = |number: u32| {
        let prompt = world.tokenizer.encode(&"the ".repeat(1 + number as usize % 2)).unwrap();
        let answer = world.tokenizer.encode(&format!("{0}{0}{0}", letter(number))).unwrap();
        let counted = [vec![false; prompt.len()], vec![true; answer.len()]].concat();
        ([prompt, answer].concat(), counted)
    };
    let examples: Vec<_> = numbers.map(example).collect();
    TokenFile::examples_in_memory(&examples, &world.tokenizer, Default::default()).unwrap()
}

fn world_of_examples(model: &str, run: &str) -> World {
    let mut world = World::new(model, run);
    world.run.context = 16;
    (world.train, world.validation) = (sums(&world, 0..50), sums(&world, 50..60));
    world
}

#[test]
fn a_run_on_examples_that_was_stopped_ends_with_the_bits_of_one_that_was_not() {
    for (model, windows) in [(TRANSFORMER, "random"), (TRANSFORMER, "shuffled"), (LSTM, "shuffled")] {
        let mut world = world_of_examples(model, &format!("windows = \"{windows}\"\naccumulate = 3\nclip-norm = 0.5"));
        world.estimates = EstimatesConfig { noise_every: Some(3), sharpness_every: Some(4), ..Default::default() };
        let whole = Notes::default();
        let outcome = world.train("whole", &whole).unwrap();
        assert_eq!(outcome.evaluation.unwrap().tokens, 30);
        // Three tokens of each example count.
        assert_eq!(whole.steps.lock().unwrap().last().unwrap().tokens, 12 * 3 * 4 * 3);
        for stop in [1, 5, 7] {
            let name = format!("stopped-{stop}");
            world.train(&name, &Notes { stop_after: Some(stop), ..Notes::default() }).unwrap();
            world.train(&name, &Notes::default()).unwrap();
            let ((expected_folder, expected), (folder, found)) = (world.newest("whole"), world.newest(&name));
            assert_eq!(found, expected, "{windows}, stopped after {stop}");
            assert_eq!(weights(&folder), weights(&expected_folder), "{windows}, stopped after {stop}");
        }
    }
}

#[test]
fn what_does_not_count_teaches_nothing() {
    let world = world_of_examples(&TRANSFORMER.replace("dropout = 0.1", ""), "");
    let model = world.first_model().train();
    let order = BatchOrder::new(world.train.clone(), Windows::Shuffled, 4, 16, 1).unwrap();
    let batch = order.read(0).unwrap();
    let mut other = batch.clone();
    let weights = batch.weights.clone().unwrap();
    let places = other.targets.iter_mut().zip(&weights).filter(|(_, weight)| **weight == 0.0);
    places.for_each(|(target, _)| *target = (*target + 1) % 5);
    assert_ne!(batch.targets, other.targets);
    let [(one, gradients), (two, others)] =
        [batch, other].map(|batch| training_step(&model, TrainingInput::new(batch)));
    assert_eq!(scalar(&one.loss).to_bits(), scalar(&two.loss).to_bits());
    for parameter in catalogue(&model) {
        let [one, other] = [&gradients, &others].map(|found| flat_gradient(found, &parameter).unwrap().into_data());
        assert_eq!(one, other, "{}", parameter.path);
    }
}
