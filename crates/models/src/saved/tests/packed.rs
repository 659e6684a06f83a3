//! Models that are read with as they are packed, against the same ones with parameters.

use burn::tensor::{Device, Int, Tensor, TensorData};
use kiln_kernels::Draws;
use kiln_packed::Format;
use kiln_storage::Which;
use kiln_storage::formats::tensors_to_safetensors;

use super::super::{ModelDescription, SavedModel, SavedModelError, WeightProblem, collect_tensors, write_model};
use super::open::{a_run, configs, replace_weights, tokenizer, write_run};
use crate::LanguageModel;

const CONTEXT: usize = 32;

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().iter::<f32>().collect()
}

fn assert_close(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1e-30_f32, |largest, number| largest.max(number.abs()));
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= tolerance * largest, "{what}: {found}, not {expected}");
    }
}

/// Logits of a window, of a step after it, and the losses of another window, of two rows.
fn outputs(model: &LanguageModel) -> [Vec<f32>; 3] {
    let device = Device::flex();
    let ids: Vec<i32> = (0..40).map(|index| index * 3 % model.vocabulary_size() as i32).collect();
    let window = |range: std::ops::Range<usize>| {
        let columns = range.len() / 2;
        Tensor::<1, Int>::from_data(&ids[range], &device).reshape([2, columns])
    };
    let (logits, state) = model.forward(window(0..20), Some(model.initial_state(2)));
    let next = Tensor::<1, Int>::from_data([1, 2], &device);
    let (step, _) = model.step(next, state.unwrap());
    let (losses, _) = model.losses(window(0..20), window(20..40), None, &mut Draws::none());
    [values(logits), values(step), values(losses)]
}

#[test]
fn every_family_gives_the_same_numbers_packed() {
    let folder = tempfile::tempdir().unwrap();
    for (index, config) in configs().into_iter().enumerate() {
        let tokenizer = tokenizer("hello world");
        let model = config.init(tokenizer.vocabulary_size(), CONTEXT, 1, &Device::flex());
        let run = folder.path().join(index.to_string());
        let description = ModelDescription::new(config, &tokenizer, CONTEXT);
        write_run(&run, &model, &description, &tokenizer);
        let open = || SavedModel::open_to_read(&run, Which::Best, &Device::flex()).unwrap();
        let expected = outputs(&model);
        for (found, expected) in outputs(&open().model).iter().zip(&expected) {
            assert_close(description.model.name(), found, expected, 2e-6);
        }
        // Rows that are no whole blocks stay as they are.
        for (format, tolerance) in
            [(Format::F32, 2e-6), (Format::F16, 2e-3), (Format::Bf16, 2e-2), (Format::Q8_0, 5e-2)]
        {
            let repacked = open().repacked(format).unwrap();
            for (found, expected) in outputs(&repacked.model).iter().zip(&expected) {
                assert_close(&format!("{} in {format:?}", description.model.name()), found, expected, tolerance);
            }
        }
        let bytes = open().model.bytes_of_matrices();
        assert_eq!(2 * open().repacked(Format::F16).unwrap().model.bytes_of_matrices(), bytes);
    }
}

#[test]
fn what_is_not_finite_is_named_in_packed_matrices_too() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path();
    let (model, description, _) = a_run(run);
    let mut tensors = collect_tensors(&model).unwrap();
    let name = "layers.1.hidden_weight";
    let data = &tensors[name];
    let mut numbers: Vec<f32> = data.iter::<f32>().collect();
    numbers[0] = f32::INFINITY;
    tensors.insert(name.to_owned(), TensorData::new(numbers, data.shape().clone()));
    replace_weights(run, &tensors_to_safetensors(&tensors, &description.to_metadata().unwrap()).unwrap());
    let error = SavedModel::open_to_read(run, Which::Best, &Device::flex()).err().unwrap();
    let SavedModelError::Weights { problems, .. } = error else { panic!("{error}") };
    assert_eq!(problems, [WeightProblem::NotFinite { name: name.to_owned(), index: 0 }]);
}

/// A model of every family whose matrices are packed: 4 bits where they fit, half precision elsewhere.
fn packed_models() -> impl Iterator<Item = SavedModel> {
    let folder = tempfile::tempdir().unwrap();
    configs().into_iter().enumerate().map(move |(index, config)| {
        let tokenizer = tokenizer("hello world");
        let model = config.init(tokenizer.vocabulary_size(), CONTEXT, 1, &Device::flex());
        let run = folder.path().join(index.to_string());
        write_run(&run, &model, &ModelDescription::new(config, &tokenizer, CONTEXT), &tokenizer);
        SavedModel::open_to_read(&run, Which::Best, &Device::flex()).unwrap().repacked(Format::Q4_0).unwrap()
    })
}

#[test]
fn packed_matrices_are_saved_bit_by_bit() {
    for saved in packed_models() {
        let folder = tempfile::tempdir().unwrap();
        write_model(&saved, folder.path()).unwrap();
        let again = SavedModel::open_to_read(folder.path(), Which::Best, &Device::flex()).unwrap();
        assert_eq!(again.model.packed_tensors(), saved.model.packed_tensors());
        assert_eq!(outputs(&again.model), outputs(&saved.model));
        // Parameters are the numbers that the blocks stand for.
        let mut parameters = SavedModel::open(folder.path(), Which::Best, &Device::flex()).unwrap().model;
        for matrix in parameters.matrices() {
            let packed = &saved.model.packed_tensors()[&matrix.name];
            let mut numbers = Vec::new();
            packed.matrix.unpack(0..packed.matrix.outputs(), &mut numbers);
            assert_eq!(matrix.rows(), numbers, "{}", matrix.name);
        }
    }
}

#[test]
fn products_of_two_thin_matrices_are_saved_with_their_ranks() {
    for config in configs() {
        let folder = tempfile::tempdir().unwrap();
        let tokenizer = tokenizer("hello world");
        let model = config.init(tokenizer.vocabulary_size(), CONTEXT, 1, &Device::flex());
        let run = folder.path().join("run");
        let description = ModelDescription::new(config, &tokenizer, CONTEXT);
        write_run(&run, &model, &description, &tokenizer);
        let mut saved = SavedModel::open(&run, Which::Best, &Device::flex()).unwrap();
        for mut product in saved.model.products() {
            let [outputs, inputs] = product.sizes();
            let thin = |count: usize| (0..count).map(|index| (index as f32).sin() / 4.0).collect();
            saved.description.ranks.insert(product.name.clone(), 2);
            product.factor(2, thin(2 * inputs), thin(2 * outputs));
        }
        let [small, wrong] = ["small", "wrong"].map(|name| folder.path().join(name));
        for folder in [&small, &wrong] {
            std::fs::create_dir(folder).unwrap();
        }
        write_model(&saved, &small).unwrap();
        let again = SavedModel::open(&small, Which::Best, &Device::flex()).unwrap();
        assert_eq!(again.description.ranks, saved.description.ranks);
        let packed = SavedModel::open_to_read(&small, Which::Best, &Device::flex()).unwrap();
        for model in [again.model, packed.model] {
            for (found, expected) in outputs(&model).iter().zip(outputs(&saved.model)) {
                assert_close(saved.description.model.name(), found, &expected, 2e-6);
            }
        }
        saved.description.ranks.values_mut().for_each(|rank| *rank = usize::MAX);
        write_model(&saved, &wrong).unwrap();
        let error = SavedModel::open(&wrong, Which::Best, &Device::flex()).err().unwrap().to_string();
        assert!(error.contains("a rank of 18446744073709551615"), "{error}");
    }
}

#[test]
fn a_packed_cache_gives_nearly_the_same_and_its_rows_are_rows() {
    for config in configs() {
        let model = config.init(11, CONTEXT, 1, &Device::flex());
        let packed = model.clone().with_packed_cache().unwrap();
        let read = |model: &LanguageModel| {
            let ids: Vec<i32> = (0..24).map(|index| index * 7 % 11).collect();
            let tokens = Tensor::<1, Int>::from_data(&ids[..], &Device::flex()).reshape([2, 12]);
            let (_, state) = model.read(tokens.clone(), &[12, 5], model.initial_state(2));
            let (logits, _) = model.read(tokens.narrow(1, 0, 3), &[3, 2], state.clone());
            let alone = state.take_rows(&[1]).joined(state.take_rows(&[0]));
            let next = Tensor::<1, Int>::from_data([3, 3], &Device::flex());
            let (step, _) = model.step(next.clone(), state);
            let (swapped, _) = model.step(next, alone);
            let (step, swapped) = (values(step), values(swapped));
            assert_eq!([&step[11..], &step[..11]].concat(), swapped, "{}", config.name());
            [values(logits), step]
        };
        for (found, expected) in read(&packed).iter().zip(read(&model)) {
            assert_close(config.name(), found, &expected, 2e-2);
        }
    }
}
