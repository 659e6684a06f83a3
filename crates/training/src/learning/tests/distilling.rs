//! Learning from a teacher.

use super::*;
use crate::config::DistillationConfig;
use crate::learning::distilling::{Losses, step_in_parts};
use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Int, Tensor};
use kiln_data::batches::{Batch, HostBatch};
use kiln_models::saved::SavedModel;
use kiln_parameters::{catalogue, flat_gradient, map};

const RECURRENT: &str = "[gru]\nlayers = 1\nhidden = 10";
const ATTENTIVE: &str = "[transformer]\nlayers = 1\nheads = 2\nwidth = 8\nlogit-soft-cap = 20.0";

fn teacher_of(world: &World, model: &str, settings: &str) -> Result<Teacher, TeacherError> {
    let config: DistillationConfig = toml::from_str(&format!("teacher = \"base\"\n{settings}")).unwrap();
    let model: ModelConfig = toml::from_str(model).unwrap();
    let context = world.run.context;
    let saved = SavedModel {
        model: sharper(model.init(world.tokenizer.vocabulary_size(), context, 77, &Device::flex())),
        tokenizer: world.tokenizer.clone(),
        description: ModelDescription::new(model, &world.tokenizer, context),
        folder: "base".into(),
        run: "base".into(),
        start: Vec::new(),
        end: Vec::new(),
        chat_template: None,
        step: None,
        warning: None,
    };
    Teacher::new(&config, saved, &world.tokenizer, context)
}

/// A drawn model knows nothing; with larger weights it is at least sure of it.
fn sharper(model: LanguageModel) -> LanguageModel {
    map(model, |parameter, values| if parameter.role.is_matrix() { values * 4.0 } else { values })
}

fn input(world: &World, teacher: &Teacher) -> TrainingInput {
    let order = BatchOrder::new(world.train.clone(), world.run.windows, 4, world.run.context, 1).unwrap();
    let teaching = Some(Teaching { teacher: teacher.clone(), state: None });
    TrainingInput { teaching, ..TrainingInput::new(order.read(3).unwrap()) }
}

fn scalar(tensor: &Tensor<1>) -> f64 {
    tensor.clone().into_scalar::<f64>()
}

/// Numbers of `scripts/reference/distillation.py`.
#[derive(serde::Deserialize)]
struct Reference {
    student: [[f32; 5]; 3],
    teacher: [[f32; 5]; 3],
    targets: [i32; 3],
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    temperature: f64,
    weight: f64,
    hard: f64,
    soft: f64,
    loss: f64,
    gradient: Vec<f64>,
}

#[test]
fn losses_and_their_gradient_are_those_of_pytorch() {
    let device = Device::flex().autodiff();
    let reference = include_str!("../../../fixtures/distillation.json");
    let Reference { student, teacher, targets, cases } = serde_json::from_str(reference).unwrap();
    let close = |found: f64, expected: f64| {
        assert!((found - expected).abs() < 2e-6 * expected.abs().max(1.0), "{found} {expected}");
    };
    assert_eq!(cases.len(), 4);
    for case in cases {
        let logits = Tensor::<2>::from_data(student, &device).require_grad();
        let theirs = Tensor::<2>::from_data(teacher, &Device::flex());
        let targets = Tensor::<1, Int>::from_data(targets, &device);
        let losses = Losses::new(logits.clone(), targets, theirs, None, case.temperature);
        let loss = losses.weighted(case.weight);
        close(scalar(&losses.hard), case.hard);
        close(scalar(&losses.soft), case.soft);
        close(scalar(&loss), case.loss);
        let gradient = logits.grad(&loss.backward()).unwrap().into_data();
        gradient.iter::<f64>().zip(case.gradient).for_each(|(found, expected)| close(found, expected));
    }
}

/// The length of a gradient, and the difference quotient of the loss along it.
fn slopes(model: &LanguageModel, gradients: &GradientsParams, loss: impl Fn(&LanguageModel) -> f64) -> [f64; 2] {
    let parameters = catalogue(model);
    let flat = |parameter| flat_gradient(gradients, parameter);
    let squares: f64 = parameters.iter().filter_map(flat).map(|gradient| scalar(&gradient.square().sum())).sum();
    let length = squares.sqrt();
    let moved = |by: f64| {
        let moved = map(model.clone(), |parameter, values| match flat_gradient(gradients, parameter) {
            Some(gradient) => values + gradient * (by / length),
            None => values,
        });
        loss(&moved)
    };
    [length, (moved(1e-2) - moved(-1e-2)) / 2e-2]
}

#[test]
fn gradients_are_difference_quotients_for_every_pair_of_families() {
    for (student, teacher) in [(TRANSFORMER, RECURRENT), (LSTM, ATTENTIVE), (RECURRENT, RECURRENT), (ATTENTIVE, LSTM)] {
        let world = World::new(student, "");
        let teacher = teacher_of(&world, teacher, "temperature = 3.0\nweight = 0.7").unwrap();
        let model = sharper(world.first_model()).train();
        let (output, gradients) = training_step(&model, input(&world, &teacher));
        let [hard, soft] = output.parts.as_ref().unwrap();
        assert!((scalar(&output.loss) - 0.3 * scalar(hard) - 0.7 * scalar(soft)).abs() < 1e-6);
        let loss = |model: &LanguageModel| scalar(&training_step(model, input(&world, &teacher)).0.loss);
        let [length, quotient] = slopes(&model, &gradients, loss);
        assert!((quotient / length - 1.0).abs() < 3e-3, "{student}: {length} {quotient}");
        // The hard part is the plain loss.
        let plain = TrainingInput { teaching: None, ..input(&world, &teacher) };
        assert!((scalar(&training_step(&model, plain).0.loss) - scalar(hard)).abs() < 1e-5);
    }
}

#[test]
fn many_parts_are_as_one_and_a_share_is_a_share() {
    let world = World::new(TRANSFORMER, "");
    let teacher = teacher_of(&world, RECURRENT, "").unwrap();
    let model = world.first_model().train();
    let step = |part, share| {
        let input = TrainingInput { share, dropout_seed: Some(5), ..input(&world, &teacher) };
        step_in_parts(&model, input, &teacher, part)
    };
    let (whole, gradients) = step(1000, 1.0);
    let (parts, other) = step(5, 0.25);
    assert!((scalar(&whole.loss) - scalar(&parts.loss)).abs() < 1e-6);
    for parameter in catalogue(&model) {
        let [one, other] = [&gradients, &other].map(|found| flat_gradient(found, &parameter).unwrap());
        let (difference, size) = (scalar(&(one.clone() - other * 4.0).abs().max()), scalar(&one.abs().max()));
        assert!(difference <= 1e-5 * size.max(1e-3), "{}: {difference} of {size}", parameter.path);
    }
}

#[test]
fn tokens_without_a_weight_are_not_learned_from_either() {
    let world = World::new(TRANSFORMER, "");
    let teacher = teacher_of(&world, RECURRENT, "weight = 0.3").unwrap();
    let model = sharper(world.first_model()).train();
    let whole = input(&world, &teacher);
    let Batch::Windows(windows) = whole.batch.clone() else { panic!("it is a text") };
    let columns = windows.columns;
    // The second half of each row doesn't count, which is as if it weren't there.
    let weights = (0..windows.targets.len()).map(|place| f32::from(u8::from(place % columns < columns / 2)));
    let masked = HostBatch { weights: Some(weights.collect()), ..windows.clone() };
    let first_half = |tokens: &[i32]| tokens.chunks(columns).flat_map(|row| row[..columns / 2].to_vec()).collect();
    let (inputs, targets) = (first_half(&windows.inputs), first_half(&windows.targets));
    let shorter = HostBatch { inputs, targets, columns: columns / 2, ..windows };
    let [masked, shorter] = [masked, shorter].map(|windows| TrainingInput { batch: windows.into(), ..whole.clone() });
    for part in [5, 1000] {
        let (one, gradients) = step_in_parts(&model, masked.clone(), &teacher, part);
        let (other, others) = step_in_parts(&model, shorter.clone(), &teacher, part);
        assert!((scalar(&one.loss) - scalar(&other.loss)).abs() < 1e-5);
        for parameter in catalogue(&model) {
            let [one, other] = [&gradients, &others].map(|found| flat_gradient(found, &parameter).unwrap());
            let difference = scalar(&(one - other).abs().max());
            assert!(difference <= 1e-5, "{}: {difference}", parameter.path);
        }
    }
}

#[test]
fn a_student_whose_layers_are_computed_again_learns_the_same_bits() {
    let world = World::new(TRANSFORMER, "");
    let teacher = teacher_of(&world, RECURRENT, "").unwrap();
    let model = world.first_model().train();
    let step = |recompute| {
        let input = TrainingInput { recompute, dropout_seed: Some(5), ..input(&world, &teacher) };
        step_in_parts(&model, input, &teacher, 5)
    };
    let ((expected, all), (found, again)) = (step(false), step(true));
    assert!(found.loss.into_data() == expected.loss.into_data());
    for parameter in catalogue(&model) {
        let [one, other] = [&all, &again].map(|found| flat_gradient(found, &parameter).unwrap().into_data());
        assert!(one == other, "{}", parameter.path);
    }
}

#[test]
fn a_model_is_its_own_perfect_teacher() {
    let world = World::new(RECURRENT, "");
    let teacher = teacher_of(&world, RECURRENT, "weight = 1.0").unwrap();
    let own = sharper(world.model.init(world.tokenizer.vocabulary_size(), world.run.context, 77, &Device::flex()));
    let own = own.train();
    let (output, gradients) = training_step(&own, input(&world, &teacher));
    let [hard, soft] = output.parts.unwrap();
    assert!(scalar(&soft).abs() < 1e-5 && scalar(&hard) > 1.0);
    let largest = catalogue(&own).into_iter().filter_map(|parameter| flat_gradient(&gradients, &parameter));
    assert!(largest.map(|gradient| scalar(&gradient.abs().max())).fold(0.0, f64::max) < 1e-5);
}

#[test]
fn without_a_weight_the_teacher_has_no_say_and_with_one_it_has() {
    let losses = |settings: Option<&str>| {
        let mut world = World::new(LSTM, "windows = \"streams\"");
        world.finetuning.teacher = settings.map(|settings| teacher_of(&world, RECURRENT, settings).unwrap());
        let notes = Notes::default();
        world.train("run", &notes).unwrap();
        let steps = notes.steps.lock().unwrap();
        assert_eq!(steps[0].hard_loss.is_some() && steps[0].soft_loss.is_some(), settings.is_some());
        (steps.iter().map(|entry| entry.train_loss).collect::<Vec<_>>(), world.evaluations("run"))
    };
    let (plain, evaluations) = losses(None);
    let (weightless, also) = losses(Some("weight = 0.0"));
    let furthest = plain.iter().zip(&weightless).map(|(one, other)| (one - other).abs()).fold(0.0, f64::max);
    assert!(furthest < 1e-5, "{furthest}");
    let validation = |evaluations: &[EvaluationEntry]| evaluations.last().unwrap().valid_loss;
    assert!((validation(&evaluations) - validation(&also)).abs() < 1e-5);
    let (_, taught) = losses(Some("weight = 0.9"));
    assert!((validation(&evaluations) - validation(&taught)).abs() > 1e-3);
}

#[test]
pub(super) fn a_taught_run_that_was_stopped_ends_with_the_bits_of_one_that_was_not() {
    for (student, teacher, run) in [
        (LSTM, RECURRENT, "windows = \"streams\"\naccumulate = 2"),
        (LSTM, ATTENTIVE, "windows = \"streams\""),
        (TRANSFORMER, LSTM, ""),
    ] {
        let mut world = World::new(student, run);
        world.estimates = toml::from_str("noise-every = 3").unwrap();
        world.finetuning.teacher = Some(teacher_of(&world, teacher, "").unwrap());
        world.train("whole", &Notes::default()).unwrap();
        let (folder, expected) = world.newest("whole");
        let carried = expected.carried.iter().flatten().filter(|(name, _)| name.starts_with("teacher.")).count();
        assert_eq!(carried > 0, run.contains("streams") && teacher == RECURRENT, "{student} {teacher}");
        for stop in [1, 6] {
            let name = format!("stopped-{stop}");
            world.train(&name, &Notes { stop_after: Some(stop), ..Notes::default() }).unwrap();
            world.train(&name, &Notes::default()).unwrap();
            let (stopped, found) = world.newest(&name);
            assert_eq!(found, expected, "{student} {teacher}, stopped after {stop}");
            assert!(weights(&stopped) == weights(&folder));
        }
    }
}

#[test]
fn a_teacher_of_other_tokens_or_with_a_shorter_context_is_refused() {
    let (world, mut longer) = (World::new(LSTM, ""), World::new(LSTM, ""));
    longer.run.context = 16;
    let teacher = |world: &World, tokenizer: &Tokenizer| {
        let config: DistillationConfig = toml::from_str("teacher = \"base\"").unwrap();
        let model: ModelConfig = toml::from_str(ATTENTIVE).unwrap();
        let saved = SavedModel {
            model: model.init(tokenizer.vocabulary_size(), 8, 1, &Device::flex()),
            tokenizer: tokenizer.clone(),
            description: ModelDescription::new(model, tokenizer, 8),
            folder: "base".into(),
            run: "base".into(),
            start: Vec::new(),
            end: Vec::new(),
            chat_template: None,
            step: None,
            warning: None,
        };
        Teacher::new(&config, saved, &world.tokenizer, world.run.context).err().map(|error| error.to_string())
    };
    assert_eq!(teacher(&world, &world.tokenizer), None);
    let error = teacher(&longer, &world.tokenizer).unwrap();
    assert_eq!(error, "`distillation.teacher`: `base` reads at most 8 tokens, and `run.context` is 16");
    let characters: TokenizerConfig = toml::from_str("[character]").unwrap();
    let other = Tokenizer::train(&characters, &mut std::iter::once(Ok(" .abd".to_owned()))).unwrap();
    let error = teacher(&world, &other).unwrap();
    let expected = "`distillation.teacher`: `base` reads other tokens than the model that it is to teach: it has 5, \
                    the model 28, and token 4 is the first that differs";
    assert_eq!(error, expected);
}
