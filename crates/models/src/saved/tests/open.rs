use std::fs;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Int, Tensor, TensorData};

use kiln_parameters::catalogue;
use kiln_storage::formats::tensors_to_safetensors;
use kiln_storage::layout::WEIGHTS_FILE;
use kiln_storage::{StorageError, Which, read_safetensors};

use super::super::{
    HostModel, ModelDescription, SavedModel, SavedModelError, collect_tensors, load_weights, read_description,
};
use super::write_with;
use crate::{LanguageModel, ModelConfig, Tokenizer, TokenizerConfig};

const CONTEXT: usize = 8;

pub(super) fn tokenizer(text: &str) -> Tokenizer {
    let config = TokenizerConfig::Character(crate::CharacterTokenizerConfig::default());
    Tokenizer::train(&config, &mut [Ok(text.to_owned())].into_iter()).unwrap()
}

/// One small model of each kind, by its table.
pub(super) fn configs() -> Vec<ModelConfig> {
    [
        r#"{"rnn":{"layers":1,"hidden":6}}"#,
        r#"{"lstm":{"layers":2,"hidden":5,"embedding":4}}"#,
        r#"{"gru":{"layers":1,"hidden":4,"tied":true}}"#,
        r#"{"transformer":{"layers":2,"heads":2,"width":8}}"#,
        concat!(
            r#"{"transformer":{"layers":1,"heads":2,"width":8,"position":"rotary","norm":"rms","#,
            r#""activation":"swiglu","tied":false}}"#
        ),
    ]
    .iter()
    .map(|json| serde_json::from_str(json).unwrap())
    .collect()
}

/// Writes a run with one checkpoint of `model`.
pub(super) fn write_run(
    run: &Path,
    model: &LanguageModel,
    description: &ModelDescription,
    tokenizer: &Tokenizer,
) -> PathBuf {
    let folder = write_with(run, 3, |staging| HostModel::copy(model, description)?.write(staging)).unwrap();
    tokenizer.save(&run.join("tokenizer.json")).unwrap();
    folder
}

/// A run of the small LSTM on the text "hello world".
pub(super) fn a_run(run: &Path) -> (LanguageModel, ModelDescription, PathBuf) {
    let tokenizer = tokenizer("hello world");
    let config = configs().swap_remove(1);
    let model = config.init(tokenizer.vocabulary_size(), CONTEXT, 1, &Device::flex());
    let description = ModelDescription::new(config, &tokenizer, CONTEXT);
    let folder = write_run(run, &model, &description, &tokenizer);
    (model, description, folder)
}

/// Replaces the checkpoint of `step` by one of a model that was trained with another tokenizer.
pub(super) fn another_model(run: &Path, step: u64) {
    let (tokenizer, config) = (tokenizer("hello, world!"), configs().swap_remove(1));
    let model = config.init(tokenizer.vocabulary_size(), CONTEXT, 1, &Device::flex());
    let description = ModelDescription::new(config, &tokenizer, CONTEXT);
    write_with(run, step, |staging| HostModel::copy(&model, &description)?.write(staging)).unwrap();
}

pub(super) fn open(run: &Path) -> Result<SavedModel, SavedModelError> {
    SavedModel::open(run, Which::Last, &Device::flex())
}

/// Why the run cannot be opened.
fn refuse(run: &Path) -> SavedModelError {
    match open(run) {
        Ok(_) => panic!("was opened and must not be"),
        Err(error) => error,
    }
}

fn logits(model: &LanguageModel) -> TensorData {
    let tokens = Tensor::<2, Int>::from_data([[0, 1, 2, 3], [3, 2, 1, 0]], &Device::flex());
    model.forward(tokens, None).0.into_data()
}

/// Replaces `model.safetensors` by other bytes, with a manifest that fits them.
pub(super) fn replace_weights(run: &Path, bytes: &[u8]) {
    write_with(run, 3, |staging| Ok(staging.write(WEIGHTS_FILE, bytes)?)).unwrap();
}

#[test]
fn every_kind_of_model_comes_back_bit_for_bit() {
    for config in configs() {
        let run = tempfile::tempdir().unwrap();
        let tokenizer = tokenizer("abcdefgh");
        let model = config.init(tokenizer.vocabulary_size(), CONTEXT, 1, &Device::flex());
        let description = ModelDescription::new(config, &tokenizer, CONTEXT);
        let folder = write_run(run.path(), &model, &description, &tokenizer);

        let opened = open(run.path()).unwrap();

        assert_eq!(collect_tensors(&opened.model).unwrap(), collect_tensors(&model).unwrap());
        assert_eq!(logits(&opened.model), logits(&model));
        assert_eq!(opened.description, description);
        assert_eq!((opened.step, opened.folder), (Some(3), folder.clone()));
        assert_eq!(opened.tokenizer.hash(), tokenizer.hash());
        assert_eq!(read_description(&folder.join(WEIGHTS_FILE)).unwrap(), description);
        assert_eq!(SavedModel::open(&folder, Which::Best, &Device::flex()).unwrap().step, Some(3));
    }
}

#[test]
fn weights_load_into_a_model_that_trains() {
    let run = tempfile::tempdir().unwrap();
    let (model, description, folder) = a_run(run.path());
    let fresh = description.model.blank(description.vocabulary_size, CONTEXT, &Device::flex().autodiff());
    let ids = catalogue(&fresh);

    let loaded = load_weights(fresh, &folder.join(WEIGHTS_FILE)).unwrap();

    assert_eq!(catalogue(&loaded), ids);
    assert_eq!(collect_tensors(&loaded).unwrap(), collect_tensors(&model).unwrap());
    assert!(loaded.device().is_autodiff());
}

#[test]
fn the_header_says_what_other_programs_look_for() {
    let run = tempfile::tempdir().unwrap();
    let (model, _, folder) = a_run(run.path());
    let file = read_safetensors(&folder.join(WEIGHTS_FILE)).unwrap();
    assert_eq!(file.metadata["format"], "pt");
    let names: Vec<_> = catalogue(&model).into_iter().map(|parameter| parameter.path).collect();
    assert!(names.contains(&"embedding.weight".to_owned()), "{names:?}");
    assert!(names.iter().all(|name| file.tensors.contains_key(name)));
    assert_eq!(names.len(), file.tensors.len());
}

#[test]
fn a_bit_flipped_or_a_cut_in_the_weights_is_detected() {
    let run = tempfile::tempdir().unwrap();
    let (.., folder) = a_run(run.path());
    let path = folder.join(WEIGHTS_FILE);
    let whole = fs::read(&path).unwrap();

    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 0x10;
    fs::write(&path, flipped).unwrap();
    assert!(matches!(refuse(run.path()), SavedModelError::Storage(StorageError::Damaged { other: None, .. })));

    fs::write(&path, &whole[..whole.len() - 4]).unwrap();
    let error = refuse(run.path());
    assert!(error.to_string().contains("model.safetensors"), "{error}");
}

#[test]
fn a_tokenizer_of_another_text_is_refused_and_both_are_named() {
    let run = tempfile::tempdir().unwrap();
    let (_, description, _) = a_run(run.path());
    let other = tokenizer("Hello World, and more");
    other.save(&run.path().join("tokenizer.json")).unwrap();

    let message = refuse(run.path()).to_string();

    let (expected, found) = (description.vocabulary_size, other.vocabulary_size());
    assert!(
        message.contains(&format!("({found} tokens")) && message.contains(&format!("({expected} tokens")),
        "{message}"
    );

    // As many tokens, and other ones.
    tokenizer("HELLO WORLD").save(&run.path().join("tokenizer.json")).unwrap();
    assert!(matches!(refuse(run.path()), SavedModelError::VocabularyMismatch { .. }));

    fs::remove_file(run.path().join("tokenizer.json")).unwrap();
    assert!(matches!(refuse(run.path()), SavedModelError::Tokenizer { .. }));
}

#[test]
fn tensors_that_do_not_fit_are_refused_by_name() {
    let run = tempfile::tempdir().unwrap();
    let (model, description, _) = a_run(run.path());
    let whole = collect_tensors(&model).unwrap();
    let metadata = description.to_metadata().unwrap();
    let bias = whole.keys().find(|name| name.ends_with("output.bias")).unwrap().clone();
    let size = whole[&bias].num_elements();

    // Another shape of as many numbers, another name, another type, and a value that is not finite.
    let mut shape = whole.clone();
    shape.insert(bias.clone(), TensorData::new(vec![0.0_f32; size], [1, size]));
    let mut name = whole.clone();
    let data = name.remove(&bias).unwrap();
    name.insert("output.offset".into(), data);
    let mut kind = whole.clone();
    kind.insert(bias.clone(), TensorData::new(vec![0.0_f64; size], [size]));
    let mut value = whole.clone();
    value.insert(bias.clone(), TensorData::new(vec![f32::NAN; size], [size]));

    for (tensors, words) in [(shape, "shape"), (name, "output.offset"), (kind, "F64"), (value, "not finite")] {
        replace_weights(run.path(), &tensors_to_safetensors(&tensors, &metadata).unwrap());
        let error = refuse(run.path());
        assert!(matches!(error, SavedModelError::Weights { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("model.safetensors") && message.contains(words), "{message}");
    }
}

#[test]
fn too_many_numbers_are_refused_before_a_model_is_built() {
    let run = tempfile::tempdir().unwrap();
    let (model, mut description, _) = a_run(run.path());
    let tensors = collect_tensors(&model).unwrap();
    let mut extra = tensors.clone();
    extra.insert("extra".into(), TensorData::new(vec![0.0_f32], [1]));
    replace_weights(run.path(), &tensors_to_safetensors(&extra, &description.to_metadata().unwrap()).unwrap());
    assert!(matches!(refuse(run.path()), SavedModelError::Description { .. }));

    // A description of terabytes: refused at once, since the file is small.
    description.model = serde_json::from_str(r#"{"lstm":{"layers":100,"hidden":65536}}"#).unwrap();
    replace_weights(run.path(), &tensors_to_safetensors(&tensors, &description.to_metadata().unwrap()).unwrap());
    let message = refuse(run.path()).to_string();
    assert!(message.contains("parameters, and it holds"), "{message}");
}

#[test]
fn a_description_that_is_missing_or_makes_no_sense_is_refused() {
    let run = tempfile::tempdir().unwrap();
    let (model, description, _) = a_run(run.path());
    let tensors = collect_tensors(&model).unwrap();
    let whole = description.to_metadata().unwrap();
    let changed = |from: &str, to: &str| {
        let mut metadata = whole.clone();
        let json = metadata.get_mut("kiln").unwrap();
        assert!(json.contains(from), "{json}");
        *json = json.replace(from, to);
        metadata
    };
    let mut without = whole.clone();
    without.remove("kiln");
    let cases = [
        (without, "no entry `kiln`"),
        (changed("\"lstm\"", "\"perceptron\""), "perceptron"),
        (changed("\"hidden\":5", "\"hidden\":0"), "hidden"),
        (changed("\"context\":8", "\"context\":0"), "context of 0"),
        (changed("\"context\":8", "\"context\":99999999999"), "context of 99999999999"),
    ];
    for (metadata, words) in cases {
        replace_weights(run.path(), &tensors_to_safetensors(&tensors, &metadata).unwrap());
        let error = refuse(run.path());
        assert!(matches!(error, SavedModelError::Description { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[test]
fn weights_that_are_not_finite_are_not_saved() {
    let run = tempfile::tempdir().unwrap();
    let (model, description, _) = a_run(run.path());
    let LanguageModel::Recurrent(mut model) = model else { unreachable!() };
    model.output.bias = model.output.bias.map(|bias| bias.map(|bias| bias / 0.0));
    let model = LanguageModel::Recurrent(model);

    let saved = HostModel::copy(&model, &description).map(|_| ());

    assert!(matches!(saved, Err(SavedModelError::Weights { .. })));
    assert!(!run.path().join(WEIGHTS_FILE).exists());
}

#[test]
fn a_checkpoint_without_weights_is_damaged() {
    let run = tempfile::tempdir().unwrap();
    a_run(run.path());
    write_with(run.path(), 3, |_| Ok(())).unwrap();
    assert!(refuse(run.path()).to_string().contains("lists no `model.safetensors`"));
}
