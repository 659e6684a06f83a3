use burn::tensor::{Tensor, TensorData};
use kiln_models::{LstmConfig, ModelConfig, RnnConfig};

use super::*;
use crate::testing::{study_of, text};

fn windows() -> Vec<Vec<u32>> {
    (0..5).map(|first| (0..26).map(|place| (first * 3 + place * place) % 7).collect()).collect()
}

/// An LSTM whose states are not read back, and whose forget gate has this bias everywhere.
fn lstm(forget_bias: f32) -> LanguageModel {
    let config = ModelConfig::Lstm(LstmConfig { layers: 1, hidden: 6, ..LstmConfig::default() });
    kiln_parameters::map(config.init(7, 32, 1, &Device::flex()), |parameter, values| match parameter.path.as_str() {
        "layers.0.hidden_weight" => values.zeros_like(),
        "layers.0.bias" | "layers.0.input_weight" => {
            let value = if parameter.shape.len() == 1 { forget_bias } else { 0.0 };
            let numbers = values.clone().into_data();
            let numbers = numbers.iter::<f32>().enumerate();
            let changed = numbers.map(|(place, number)| if (6..12).contains(&(place % 24)) { value } else { number });
            Tensor::from_data(TensorData::new(changed.collect::<Vec<f32>>(), values.dims()), &values.device())
        }
        _ => values,
    })
}

fn memory(model: &LanguageModel) -> Decay {
    let found = norms(model, &windows()).expect("a processor does not fail");
    let of_memory = found.iter().find(|norms| norms.states == States::Memory(0)).expect("it has one");
    Curve::of_windows(of_memory).decay.expect("there are enough distances")
}

/// A claim must be able to be wrong: with its forget gate at nearly zero an LSTM is said to forget.
#[test]
fn an_lstm_that_is_made_to_forget_is_said_to_forget() {
    let forgetful = memory(&lstm(-1.0));
    let gate = 1.0 / (1.0 + 1.0_f64.exp());
    assert!((forgetful.per_token.mean / gate - 1.0).abs() < 1e-3, "{forgetful:?}");
    assert!((forgetful.distance.mean + 1.0 / gate.ln()).abs() < 1e-3, "{forgetful:?}");
    assert_eq!(forgetful.verdict, Verdict::Forgets);
    // At -20 nothing is left in single precision after a few tokens, which is no reason to say something else.
    let numb = Curve::of_windows(&norms(&lstm(-20.0), &windows()).expect("it computes")[2]);
    assert!(numb.lags.len() < 25 && numb.decay.is_none_or(|decay| decay.verdict == Verdict::Forgets), "{numb:?}");
    let retentive = memory(&lstm(6.0));
    assert_eq!(retentive.verdict, Verdict::Remembers, "{retentive:?}");
}

#[test]
fn a_curve_is_that_by_hand() {
    // Two windows that fall by 1/2 and by 1/8 a token: by 1/4 in the mean of the logarithms.
    let falling = |factor: f64| (0..5).map(|lag| factor.powi(lag)).collect();
    let curve = Curve::of_windows(&Norms { states: States::Inputs, norms: vec![falling(0.5), falling(0.125)] });
    let decay = curve.decay.expect("there are five distances");
    assert!((decay.per_token.mean - 0.25).abs() < 1e-12);
    assert!((decay.distance.mean - 1.0 / 4.0_f64.ln()).abs() < 1e-12);
    // Two values have a wide interval: Student's quantile with one degree of freedom is 12.7.
    assert_eq!((decay.verdict, decay.distance.high), (Verdict::Undecided, f64::INFINITY));
    assert!((curve.lags[2].mean - 1.0 / 16.0).abs() < 1e-12);
    // What has vanished ends the curve.
    let gone = vec![vec![1.0, 0.5, 0.25, 0.125, 0.0], vec![1.0, 0.5, 0.25, 0.125, 0.06]];
    assert_eq!(Curve::of_windows(&Norms { states: States::Inputs, norms: gone }).lags.len(), 4);
}

#[test]
fn the_radius_of_a_matrix_with_complex_eigenvalues_is_found() {
    let config = ModelConfig::Rnn(RnnConfig { layers: 1, hidden: 2, ..RnnConfig::default() });
    let model = kiln_parameters::map(config.init(7, 8, 1, &Device::flex()), |parameter, values| {
        if parameter.path != "layers.0.hidden_weight" {
            return values;
        }
        Tensor::from_data(TensorData::new(vec![0.3_f32, -0.4, 0.4, 0.3], [4]), &values.device())
    });
    // 0.3 + 0.4 i.
    assert!((spectral_radii(&model)[0] - 0.5).abs() < 1e-6);
    let lstm = ModelConfig::Lstm(LstmConfig { layers: 3, hidden: 4, ..LstmConfig::default() });
    assert_eq!(spectral_radii(&lstm.init(7, 8, 1, &Device::flex())).len(), 3);
}

#[test]
fn a_study_has_a_curve_of_every_state_at_every_stage() {
    let mut study = study_of(
        "[[models]]\nname = \"LSTM\"\nmodel.lstm = { layers = 2, hidden = 6 }\n\
         [[models]]\nname = \"transformer\"\nmodel.transformer = { layers = 1, heads = 2, width = 8 }\n\
         [study.gradients]\nat = [0, 2, 4]\nlags = 6\nwindows = 4\n",
        "steps = 4\nbatch = 2\ncontext = 8\n",
    );
    study.seeds = 2;
    let crate::Experiment::Gradients(config) = &study.study else { panic!("it is that") };
    let found = super::study(&study, config, &text(), &Device::flex(), &mut |_| true).expect("it trains");
    let stages: Vec<u64> = found[0].stages.iter().map(|stage| stage.0).collect();
    assert_eq!(stages, [0, 2, 4]);
    let states = |model: usize| found[model].stages[0].1.iter().map(|curve| curve.states).collect::<Vec<_>>();
    use States::{Hidden, Inputs, Memory};
    assert_eq!(states(0), [Inputs, Hidden(0), Memory(0), Hidden(1), Memory(1)]);
    assert_eq!(states(1), [Inputs, Hidden(0)]);
    assert!(found.iter().flat_map(|model| &model.stages).all(|(_, curves)| curves[0].lags.len() == 7));
    assert_eq!((found[0].radii.len(), found[1].radii.len()), (2, 0));
}
