//! What is left out is the least, and what remains is the model without it.

use burn::tensor::TensorData;
use kiln_models::saved::{apply_tensors, collect_tensors};
use kiln_models::{LanguageModel, LstmConfig, ModelConfig, TransformerConfig};

use crate::tests::{CONTEXT, VOCABULARY, calibration, distance, families, logits, model};
use crate::{Across, Calibration, CompressConfig, CompressionError, PruneConfig, Score, compress};

fn pruned(
    model: &mut LanguageModel,
    description: &mut ModelConfig,
    prune: PruneConfig,
    calibration: &Calibration,
) -> Result<Vec<(String, f64)>, CompressionError> {
    let config = CompressConfig { prune: Some(prune), ..CompressConfig::default() };
    Ok(compress(model, description, CONTEXT, &config, calibration, &mut |_| true)?.zeros)
}

/// The model with the numbers of some columns or rows of parameters made 0.
fn silenced(model: &LanguageModel, silence: impl Fn(&str, usize, usize) -> bool) -> LanguageModel {
    let mut tensors = collect_tensors(model).unwrap();
    for (name, data) in &mut tensors {
        let shape = data.shape().to_vec();
        let columns = *shape.last().unwrap();
        let number = |(index, number): (usize, f32)| {
            if silence(name, index / columns, index % columns) { 0.0 } else { number }
        };
        *data = TensorData::new(data.iter::<f32>().enumerate().map(number).collect::<Vec<f32>>(), shape);
    }
    apply_tensors(model.clone(), tensors, "silenced".as_ref()).unwrap()
}

#[test]
fn neurons_that_do_nothing_are_left_out_and_nothing_changes() {
    let [config, ..] = families();
    // Every other neuron of the second block writes nothing.
    let model = silenced(&model(&config), |name, row, _| name.ends_with("feed_forward.output.weight") && row % 2 == 1);
    for score in [Score::Magnitude, Score::Wanda] {
        let (mut smaller, mut description) = (model.clone(), config.clone());
        let prune = PruneConfig { neurons: 0.5, score, ..PruneConfig::default() };
        pruned(&mut smaller, &mut description, prune, &calibration()).unwrap();
        let ModelConfig::Transformer(left) = &description else { unreachable!() };
        assert_eq!(left.feed_forward_width(), 128);
        assert!(smaller.bytes_of_matrices() < model.bytes_of_matrices());
        assert!(distance(&logits(&smaller), &logits(&model)) < 1e-6);
    }
}

#[test]
fn heads_that_do_nothing_are_left_out_and_nothing_changes() {
    let [config, ..] = families();
    let ModelConfig::Transformer(options) = &config else { unreachable!() };
    let width = options.head_width();
    // The first two of four heads share the first of two heads of keys and values.
    let model = silenced(&model(&config), |name, row, _| name.ends_with("attention.output.weight") && row < 2 * width);
    let (mut smaller, mut description) = (model.clone(), config.clone());
    let prune = PruneConfig { heads: 1, ..PruneConfig::default() };
    pruned(&mut smaller, &mut description, prune, &calibration()).unwrap();
    let ModelConfig::Transformer(left) = &description else { unreachable!() };
    assert_eq!((left.heads, left.key_value_heads(), left.head_width()), (2, 1, width));
    assert!(distance(&logits(&smaller), &logits(&model)) < 1e-6);
}

#[test]
fn a_layer_that_does_nothing_is_left_out_and_nothing_changes() {
    let config =
        ModelConfig::Transformer(TransformerConfig { layers: 3, width: 64, heads: 4, ..TransformerConfig::default() });
    let model = silenced(&model(&config), |name, _, _| name.starts_with("blocks.1.") && name.contains("output"));
    let (mut smaller, mut description) = (model.clone(), config.clone());
    let prune = PruneConfig { layers: 1, ..PruneConfig::default() };
    pruned(&mut smaller, &mut description, prune, &calibration()).unwrap();
    assert_eq!(
        (smaller.layers(), description.parameter_count(VOCABULARY, CONTEXT)),
        (2, {
            let ModelConfig::Transformer(options) = &config else { unreachable!() };
            let two = ModelConfig::Transformer(TransformerConfig { layers: 2, ..options.clone() });
            two.parameter_count(VOCABULARY, CONTEXT)
        })
    );
    assert!(distance(&logits(&smaller), &logits(&model)) < 1e-6);
}

#[test]
fn units_that_nothing_reads_are_left_out_of_recurrent_layers() {
    for config in families().into_iter().skip(1) {
        // Units from 32 on are read by nothing: their rows are 0 in all that reads them.
        let model = silenced(&model(&config), |name, row, _| {
            let reads = name.ends_with("hidden_weight") || name.ends_with("input_weight") || name == "output.weight";
            reads && row >= 32 && name != "layers.0.input_weight"
        });
        let (mut smaller, mut description) = (model.clone(), config.clone());
        let prune = PruneConfig { neurons: 0.5, ..PruneConfig::default() };
        pruned(&mut smaller, &mut description, prune, &calibration()).unwrap();
        assert!(description.validate().is_empty());
        assert!(smaller.bytes_of_matrices() * 2 < model.bytes_of_matrices() + 4 * VOCABULARY * 64 * 2);
        assert!(distance(&logits(&smaller), &logits(&model)) < 1e-6, "{}", config.name());
    }
}

#[test]
fn zeros_are_as_many_as_asked_for_and_the_least() {
    let [config, ..] = families();
    for across in [Across::Row, Across::Matrix, Across::Model] {
        let (mut sparse, mut description) = (model(&config), config.clone());
        let prune = PruneConfig { sparsity: 0.25, score: Score::Magnitude, across, ..PruneConfig::default() };
        let shares = pruned(&mut sparse, &mut description, prune, &Calibration::none()).unwrap();
        assert_eq!(shares.len(), 8);
        let mut original = model(&config);
        let (mut zeros, mut all) = (0, 0);
        for (mut matrix, before) in sparse.matrices().into_iter().zip(original.matrices()) {
            if !matrix.name.starts_with("blocks") {
                assert_eq!(matrix.rows(), before.rows());
                continue;
            }
            let [_, inputs] = matrix.sizes();
            let (numbers, before) = (matrix.rows(), before.rows());
            let lost = |range: std::ops::Range<usize>| {
                let gone = range.clone().filter(|index| numbers[*index] == 0.0).map(|index| before[index].abs());
                let stay = range.filter(|index| numbers[*index] != 0.0).map(|index| before[index].abs());
                (gone.clone().count(), gone.fold(0.0, f32::max), stay.fold(f32::INFINITY, f32::min))
            };
            let (count, ..) = lost(0..numbers.len());
            (zeros, all) = (zeros + count, all + numbers.len());
            if across == Across::Row {
                for start in (0..numbers.len()).step_by(inputs) {
                    let (count, gone, stay) = lost(start..start + inputs);
                    assert!(count == inputs / 4 && gone <= stay, "{count} of {inputs}, {gone} went, {stay} stays");
                }
            }
            matrix.set_rows(before);
        }
        assert!((zeros as f64 / all as f64 - 0.25).abs() < 1e-3, "{zeros} of {all}");
        // What was put back is the model as it was.
        assert_eq!(logits(&sparse), logits(&model(&config)));
    }
}

#[test]
fn two_of_four_stay_in_each_four() {
    for config in families() {
        let (mut sparse, mut description) = (model(&config), config.clone());
        let prune = PruneConfig { pattern: Some("2:4".to_owned()), ..PruneConfig::default() };
        let shares = pruned(&mut sparse, &mut description, prune, &calibration()).unwrap();
        assert!(shares.iter().all(|(_, share)| *share == 0.5), "{shares:?}");
        for matrix in sparse.matrices().into_iter().filter(|matrix| shares.iter().any(|(name, _)| *name == matrix.name))
        {
            let rows = matrix.rows();
            assert!(rows.chunks(4).all(|four| four.iter().filter(|number| **number == 0.0).count() == 2));
        }
    }
}

#[test]
fn what_wanda_keeps_is_worth_more_on_the_text() {
    // Inputs whose sizes differ: Wanda's zeros change the outputs less than those of the magnitude.
    let [config, ..] = families();
    let scaled = silenced(&model(&config), |_, _, _| false);
    let mut tensors = collect_tensors(&scaled).unwrap();
    for (name, data) in &mut tensors {
        if name.contains("norm") && name.ends_with("weight") {
            let gains =
                data.iter::<f32>().enumerate().map(|(index, gain)| gain * if index % 4 == 0 { 8.0 } else { 0.5 });
            *data = TensorData::new(gains.collect::<Vec<f32>>(), data.shape().clone());
        }
    }
    let model = apply_tensors(scaled, tensors, "scaled".as_ref()).unwrap();
    let off = |score: Score| {
        let (mut sparse, mut description) = (model.clone(), config.clone());
        let prune = PruneConfig { sparsity: 0.5, score, ..PruneConfig::default() };
        pruned(&mut sparse, &mut description, prune, &calibration()).unwrap();
        distance(&logits(&sparse), &logits(&model))
    };
    let (magnitude, wanda) = (off(Score::Magnitude), off(Score::Wanda));
    assert!(wanda < 0.8 * magnitude, "{wanda} by Wanda, {magnitude} by magnitude");
}

#[test]
fn what_cannot_be_left_out_is_refused() {
    let error = |config: ModelConfig, prune: PruneConfig| {
        let (mut model, mut description) = (model(&config), config);
        pruned(&mut model, &mut description, prune, &calibration()).unwrap_err().to_string()
    };
    let [transformer, lstm, ..] = families();
    let layers = PruneConfig { layers: 2, ..PruneConfig::default() };
    assert_eq!(error(transformer.clone(), layers.clone()), "2 layers can't be left out of 2: one must stay");
    assert!(error(lstm, layers).starts_with("a model of this kind can't be made smaller by its layers"));
    let heads = PruneConfig { heads: 2, ..PruneConfig::default() };
    assert_eq!(error(transformer, heads), "2 heads of keys and values can't be left out of 2: one must stay");
    let tied = ModelConfig::Lstm(LstmConfig { layers: 1, hidden: 64, tied: true, ..LstmConfig::default() });
    let units = PruneConfig { neurons: 0.5, ..PruneConfig::default() };
    assert!(error(tied, units).contains("its head is its table"));
    let words =
        |prune: PruneConfig| prune.validate().into_iter().map(|it| it.key + " " + &it.message).collect::<Vec<_>>();
    assert_eq!(words(PruneConfig { sparsity: 1.0, ..PruneConfig::default() }), ["sparsity must be in [0, 1), is 1"]);
    let pattern = PruneConfig { pattern: Some("4:2".to_owned()), ..PruneConfig::default() };
    assert_eq!(words(pattern), ["pattern must be N:M with N below M up to 64, is \"4:2\""]);
    assert_eq!(words(PruneConfig::default()), ["sparsity is 0, and nothing else is to be left out"]);
}
