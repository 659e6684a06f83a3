//! A grown model's logits beside those of the model that it grew from.

use burn::tensor::{Device, Int, Tensor};
use kiln_models::LanguageModel;
use kiln_models::saved::SavedModel;

use super::*;
use crate::config::StartConfig;
use crate::start::tests::{base, characters, config};
use crate::start::{WarmStart, warm_start};

/// The model that a start model of `from` grows to, both with all their parameters moved, so that none is 0 or 1.
fn grow(from_text: &str, to: &str, more: &str) -> Result<(LanguageModel, LanguageModel, WarmStart), String> {
    let (tokenizer, device) = (characters("abcdefg"), Device::flex());
    let [from, to] = [config(from_text), config(to)];
    let mut index = 0_u32;
    let moved = kiln_parameters::map(from.init(7, 6, 3, &device), |_, values| {
        index += 1;
        let mut noise = vec![0.0; values.dims()[0]];
        fill_uniform(9, index, 0.3, &mut noise);
        values + Tensor::from_data(noise.as_slice(), &device)
    });
    let start = SavedModel { model: moved, ..base(from_text, &tokenizer, 7, 6) };
    let settings: StartConfig = toml::from_str(&format!("from = \"runs/base\"\ngrow = true\n{more}")).unwrap();
    let fresh = to.init(7, 6, 4, &device);
    let (grown, report) = warm_start(fresh, &to, &tokenizer, &start, &settings).map_err(|error| error.to_string())?;
    Ok((start.model, grown, report))
}

fn logits(model: &LanguageModel) -> Vec<f32> {
    let tokens = Tensor::<2, Int>::from_data([[0, 1, 2, 3, 4, 5], [6, 5, 6, 1, 0, 2]], &Device::flex());
    model.forward(tokens, None).0.into_data().iter().collect()
}

/// The largest difference of two logits.
fn difference(small: &LanguageModel, large: &LanguageModel) -> f32 {
    let (expected, found) = (logits(small), logits(large));
    expected.iter().zip(&found).map(|(one, other)| (one - other).abs()).fold(0.0, f32::max)
}

#[test]
fn transformers_of_many_kinds_grow_in_every_direction_and_compute_the_same() {
    let kinds = [
        "",
        "tied = false",
        "bias = true\nnorm = \"rms\"\nposition = \"rotary\"\nactivation = \"swiglu\"\ntied = false",
        "scaled-embeddings = true\nnorm-placement = \"both\"\nactivation = \"geglu-tanh\"\nposition = \"rotary\"",
        "scaled-embeddings = true\nlogit-soft-cap = 3.0\nattention-window = 2",
        "query-key-norm = true\nparallel-residual = true",
        "query-key-norm = true\nquery-key-norm-over = \"all-heads\"\nnorm-placement = \"after\"",
    ];
    for kind in kinds {
        let of = |sizes: &str| format!("[transformer]\n{sizes}\n{kind}");
        let from = of("layers = 2\nheads = 2\nwidth = 8\nfeed-forward = 12");
        for sizes in [
            "layers = 2\nheads = 2\nwidth = 8\nfeed-forward = 17",
            "layers = 5\nheads = 2\nwidth = 8\nfeed-forward = 12",
            "layers = 2\nheads = 4\nwidth = 16\nfeed-forward = 12",
            "layers = 3\nheads = 6\nwidth = 24\nfeed-forward = 40",
        ] {
            let (small, large, report) = grow(&from, &of(sizes), "").unwrap_or_else(|error| panic!("{kind}: {error}"));
            let largest = logits(&small).iter().fold(0.0_f32, |most, logit| most.max(logit.abs()));
            let furthest = difference(&small, &large);
            assert!(largest > 0.05 && furthest < 2e-5 * largest.max(1.0), "{kind}, {sizes}: {furthest} of {largest}");
            assert_eq!(report.grown_from, Some(config(&from).parameter_count(7, 6)));
            assert_eq!(report.numbers, config(&of(sizes)).parameter_count(7, 6));
            assert!(report.new.is_empty() && report.left.is_empty());
        }
    }
}

#[test]
fn grouped_heads_grow_in_groups_and_in_their_number() {
    let of = |heads: usize, key_values: usize| {
        format!("[transformer]\nlayers = 1\nheads = {heads}\nkey-value-heads = {key_values}\nwidth = 8\nhead-width = 4")
    };
    for (heads, key_values) in [(4, 2), (8, 2), (6, 3), (12, 4)] {
        let (small, large, _) = grow(&of(4, 2), &of(heads, key_values), "").unwrap();
        assert!(difference(&small, &large) < 2e-5, "{heads} {key_values}");
    }
}

#[test]
fn recurrent_layers_grow_in_width() {
    for (family, kind) in [("lstm", ""), ("lstm", "tied = true"), ("gru", ""), ("gru", "tied = true"), ("rnn", "")] {
        let of = |hidden: usize| format!("[{family}]\nlayers = 2\nhidden = {hidden}\n{kind}");
        let (small, large, report) = grow(&of(6), &of(15), "").unwrap();
        assert!(difference(&small, &large) < 2e-5, "{family} {kind}");
        assert_eq!(report.numbers, config(&of(15)).parameter_count(7, 6));
    }
}

/// Else they would have the same gradient for ever.
#[test]
fn a_copy_and_its_original_pass_on_different_shares() {
    let axis = Axis::around(2, 5);
    assert_eq!(axis.0, [0, 1, 0, 1, 0]);
    let shares = axis.shares("blocks.0.feed_forward.output.weight");
    assert!((shares[0] + shares[2] + shares[4] - 1.0).abs() < 1e-6 && (shares[1] + shares[3] - 1.0).abs() < 1e-6);
    assert!((shares[0] - shares[2]).abs() > 1e-3 && shares.iter().all(|share| (0.15..0.8).contains(share)));
    assert_ne!(shares, axis.shares("blocks.1.feed_forward.output.weight"));
}

#[test]
fn what_cannot_grow_is_named() {
    let small = "[transformer]\nlayers = 2\nheads = 2\nwidth = 8";
    for (to, words) in [
        ("[transformer]\nlayers = 1\nheads = 2\nwidth = 8", "`layers` is 1, less than the start model's 2"),
        ("[transformer]\nlayers = 2\nheads = 2\nwidth = 12", "a head of 4 columns can't become one of 6"),
        ("[transformer]\nlayers = 2\nheads = 3\nwidth = 12", "`width` 12 is no multiple of 8, which the norms need"),
        ("[transformer]\nlayers = 2\nheads = 2\nwidth = 8\nfeed-forward = 9", "`feed-forward` is 9, less than"),
        ("[transformer]\nlayers = 2\nheads = 2\nwidth = 8\nbias = true", "`model.transformer.bias` is true"),
        ("[lstm]\nlayers = 2\nhidden = 8", "it is a lstm, and the start model a transformer"),
    ] {
        let Err(error) = grow(small, to, "") else { panic!("{to}") };
        assert!(error.contains(words), "{words}: {error}");
    }
    let Err(error) = grow("[gru]\nlayers = 1\nhidden = 8", "[gru]\nlayers = 2\nhidden = 8", "") else { panic!() };
    assert!(error.contains("a recurrent layer can't pass on what it reads"), "{error}");
}
