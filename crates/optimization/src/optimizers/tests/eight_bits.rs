//! State in 8 bits against levels of bitsandbytes and steps of PyTorch (scripts/reference/eight_bits.py).

use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Tensor, TensorData};
use kiln_kernels::{EightBits, Levels};
use kiln_parameters::{Role, catalogue};

use super::*;

#[derive(Deserialize)]
struct Fixture {
    levels: LevelsFixture,
    adamw: AdamwFixture,
}

#[derive(Deserialize)]
struct LevelsFixture {
    signed: Vec<f32>,
    non_negative: Vec<f32>,
    values: Vec<f32>,
    codes: [Vec<u8>; 2],
    scales: [Vec<f32>; 2],
}

#[derive(Deserialize)]
struct AdamwFixture {
    before: Vec<f32>,
    gradients: Vec<Vec<f32>>,
    after: Vec<Vec<f32>>,
}

fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../../../fixtures/eight_bits.json")).unwrap()
}

/// A matrix beside a vector.
#[derive(Module, Debug)]
struct Layer {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Layer {
    fn new(weight: &[f32]) -> Self {
        let device = Device::flex().autodiff();
        let data = TensorData::new(weight.to_vec(), [2, weight.len() / 2]);
        Self {
            weight: Param::from_tensor(Tensor::from_data(data, &device)),
            bias: Param::from_tensor(Tensor::from_data([1.0_f32, -1.0], &device)),
        }
    }

    fn numbers(&self) -> Vec<f32> {
        self.weight.val().into_data().iter().collect()
    }

    /// Gradients of which the matrix has these and the vector ones.
    fn gradients(&self, of_weight: &[f32]) -> GradientsParams {
        let [rows, columns] = self.weight.dims();
        let given = Tensor::<2>::from_data(TensorData::new(of_weight.to_vec(), [rows, columns]), &self.weight.device());
        let loss = self.weight.val().mul(given).sum() + self.bias.val().sum();
        GradientsParams::from_grads(loss.backward(), self)
    }
}

#[test]
fn levels_are_those_of_bitsandbytes_and_codes_the_nearest() {
    let LevelsFixture { signed, non_negative, values, codes, scales } = fixture().levels;
    for (which, (kind, levels)) in [(Levels::Signed, signed), (Levels::NonNegative, non_negative)].iter().enumerate() {
        let all = EightBits::from_parts((0..=255).collect(), vec![1.0]).unwrap().unpack(*kind);
        for (level, expected) in all.iter().zip(levels) {
            assert!((level - expected).abs() <= 3e-7 * expected.abs(), "{level} {expected}");
        }
        let is_signed = *kind == Levels::Signed;
        let values: Vec<f32> = values.iter().map(|value| if is_signed { *value } else { value.abs() }).collect();
        let packed = EightBits::pack(&values, *kind);
        assert_eq!(packed.codes(), codes[which]);
        assert_eq!(packed.scales(), scales[which]);
    }
}

fn config() -> OptimizerConfig {
    OptimizerConfig::Adamw(AdamwConfig { betas: [0.9, 0.99], epsilon: 1e-8, weight_decay: 0.1 })
}

#[test]
fn steps_of_adamw_are_those_of_pytorch_and_a_restored_state_takes_the_same() {
    let AdamwFixture { before, gradients, after } = fixture().adamw;
    let mut layer = Layer::new(&before);
    assert_eq!(catalogue(&layer)[0].role, Role::HiddenMatrix);
    let mut optimizer = config().build_with(StateBits::Eight);
    for (step, (gradients, expected)) in gradients.iter().zip(&after).enumerate() {
        let given = layer.gradients(gradients);
        layer = optimizer.update(layer, given, 1.0, 0.01);
        let moved = layer.numbers();
        let furthest = moved.iter().zip(expected).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max);
        assert!(furthest < 2e-6, "step {step}: {furthest}");
        let state = optimizer.state().unwrap();
        let mut restored = config().build_with(StateBits::Eight);
        restored.restore(state.clone(), optimizer.step(), &catalogue(&layer), &Device::flex()).unwrap();
        assert_eq!(restored.state().unwrap(), state);
        optimizer = restored;
    }
    let state = optimizer.state().unwrap();
    let types: Vec<_> = state.iter().map(|(name, data)| (name.as_str(), data.dtype(), data.num_elements())).collect();
    use burn::tensor::DType::{F32, U8};
    let expected = [
        ("bias/first_moment", F32, 2),
        ("bias/second_moment", F32, 2),
        ("weight/first_moment", U8, 600),
        ("weight/first_moment.scales", F32, 3),
        ("weight/second_moment", U8, 600),
        ("weight/second_moment.scales", F32, 3),
    ];
    assert_eq!(types, expected);
}

/// Every rule but those with an average, beside itself in single precision.
#[test]
fn no_rule_goes_far_from_its_steps_in_single_precision() {
    let AdamwFixture { before, gradients, .. } = fixture().adamw;
    for name in ["adam", "adamw", "sgd", "rmsprop", "lion", "muon"] {
        let settings = if name == "sgd" { "momentum = 0.9" } else { "" };
        let config: OptimizerConfig = toml::from_str(&format!("[{name}]\n{settings}")).unwrap();
        let [plain, packed] = [StateBits::ThirtyTwo, StateBits::Eight].map(|bits| {
            let (mut layer, mut optimizer) = (Layer::new(&before), config.build_with(bits));
            for gradients in &gradients {
                let given = layer.gradients(gradients);
                layer = optimizer.update(layer, given, 1.0, 0.01);
            }
            layer.numbers()
        });
        let norm = |numbers: &mut dyn Iterator<Item = f32>| numbers.map(|number| number * number).sum::<f32>().sqrt();
        let apart = norm(&mut plain.iter().zip(&packed).map(|(one, other)| one - other));
        let moved = norm(&mut plain.iter().zip(&before).map(|(one, other)| one - other));
        assert!(apart > 0.0 && apart < 0.1 * moved, "{name}: {apart} of {moved}");
    }
}

#[test]
fn a_damaged_state_is_refused_by_name() {
    let AdamwFixture { before, gradients, .. } = fixture().adamw;
    let layer = Layer::new(&before);
    let mut optimizer = config().build_with(StateBits::Eight);
    let given = layer.gradients(&gradients[0]);
    let layer = optimizer.update(layer, given, 1.0, 0.01);
    let refused = |name: &str, data: Option<TensorData>, bits: StateBits| {
        let mut state = optimizer.state().unwrap();
        state.remove(name);
        state.extend(data.map(|data| (name.to_owned(), data)));
        let mut restored = config().build_with(bits);
        restored.restore(state, 1, &catalogue(&layer), &Device::flex()).unwrap_err().to_string()
    };
    let scales = "weight/first_moment.scales";
    let words = refused(scales, Some(TensorData::new(vec![1.0_f32, f32::NAN, 1.0], [3])), StateBits::Eight);
    assert!(words.contains(scales) && words.contains("not finite"), "{words}");
    assert!(refused(scales, None, StateBits::Eight).contains("lacks `weight/first_moment.scales`"));
    let words = refused(scales, Some(TensorData::new(vec![1.0_f32; 2], [2])), StateBits::Eight);
    assert!(words.contains("2 numbers instead of 3"), "{words}");
    let words = refused("none", None, StateBits::ThirtyTwo);
    assert!(words.contains("does not hold 32-bit numbers"), "{words}");
}
