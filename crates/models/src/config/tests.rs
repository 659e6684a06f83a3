use crate::ModelConfig;
use crate::family::Family;
use crate::recurrent::{GruConfig, LstmConfig, RnnConfig};
use crate::transformer::{
    AttentionLayer, FeedForwardActivation, NormKind, NormPlacement, PositionKind, QueryKeyNormSpan, TransformerConfig,
};
use kiln_settings::Violation;

fn messages(violations: &[Violation]) -> Vec<String> {
    violations.iter().map(|violation| format!("{}: {}", violation.key, violation.message)).collect()
}

#[test]
fn defaults_break_no_rule() {
    let configs = [
        ModelConfig::Rnn(RnnConfig::default()),
        ModelConfig::Lstm(LstmConfig::default()),
        ModelConfig::Gru(GruConfig::default()),
        ModelConfig::Transformer(TransformerConfig::default()),
    ];
    for config in configs {
        assert_eq!(config.validate(), Vec::new(), "{}", config.name());
    }
}

#[test]
fn an_empty_table_is_the_defaults_and_a_written_one_reads_back() {
    let read = |text: &str| serde_json::from_str::<ModelConfig>(text).expect("a valid table");
    assert_eq!(read(r#"{"lstm": {}}"#), ModelConfig::Lstm(LstmConfig::default()));
    assert_eq!(read(r#"{"transformer": {}}"#), ModelConfig::Transformer(TransformerConfig::default()));
    let config =
        read(r#"{"transformer": {"layers": 3, "key-value-heads": 2, "activation": "relu-squared", "norm": "rms"}}"#);
    assert_eq!(
        config,
        ModelConfig::Transformer(TransformerConfig {
            layers: 3,
            key_value_heads: Some(2),
            activation: FeedForwardActivation::ReluSquared,
            norm: NormKind::Rms,
            ..TransformerConfig::default()
        })
    );
    assert_eq!(read(&serde_json::to_string(&config).expect("a config is plain data")), config);
}

#[test]
fn unknown_keys_and_two_models_are_refused() {
    let error = |text: &str| serde_json::from_str::<ModelConfig>(text).expect_err("a mistake").to_string();
    assert!(error(r#"{"gru": {"hiden": 3}}"#).contains("unknown field `hiden`, expected one of `layers`, `hidden`"));
    assert!(error(r#"{"rnn": {"activation": "sigmoid"}}"#).contains("expected `tanh` or `relu`"));
    assert!(error(r#"{"lstn": {}}"#).contains("expected one of `rnn`, `lstm`, `gru`, `transformer`"));
    serde_json::from_str::<ModelConfig>(r#"{"gru": {}, "rnn": {}}"#).expect_err("two models");
}

#[test]
fn every_broken_rule_is_reported_at_once() {
    let config = ModelConfig::Transformer(TransformerConfig {
        layers: 0,
        heads: 5,
        width: 128,
        key_value_heads: Some(2),
        dropout: 1.0,
        norm_epsilon: 0.0,
        logit_soft_cap: Some(f64::NAN),
        ..TransformerConfig::default()
    });
    assert_eq!(
        messages(&config.validate()),
        [
            "transformer.layers: must be between 1 and 1024, is 0",
            "transformer.norm-epsilon: must be above 0, is 0",
            "transformer.dropout: must be at least 0 and below 1, is 1",
            "transformer.logit-soft-cap: must be above 0, is NaN",
            "transformer.heads: must divide width (128), is 5",
            "transformer.key-value-heads: must divide heads (5), is 2",
        ]
    );
    let help = config.validate().into_iter().find(|violation| violation.key == "transformer.heads");
    assert_eq!(help.and_then(|violation| violation.help).as_deref(), Some("the nearest that do: 4 and 8"));
}

#[test]
fn rules_between_keys_are_checked() {
    let tied = ModelConfig::Lstm(LstmConfig { embedding: Some(64), tied: true, ..LstmConfig::default() });
    assert_eq!(messages(&tied.validate()), ["lstm.tied: needs embedding = hidden, but they are 64 and 128"]);
    let single = ModelConfig::Gru(GruConfig { layers: 1, dropout: 0.1, ..GruConfig::default() });
    assert_eq!(
        messages(&single.validate()),
        ["gru.dropout: is 0.1, but it acts between layers and there is one layer"]
    );
    let odd = TransformerConfig { width: 9, heads: 3, position: PositionKind::Rotary, ..TransformerConfig::default() };
    assert_eq!(
        messages(&ModelConfig::Transformer(odd).validate()),
        ["transformer.heads: gives heads of width 3, but rotary positions need an even width"]
    );
    let infinite = ModelConfig::Lstm(LstmConfig { forget_bias: f64::INFINITY, ..LstmConfig::default() });
    assert_eq!(messages(&infinite.validate()), ["lstm.forget-bias: must be a finite number, is inf"]);
}

#[test]
fn rules_between_layers_and_positions_are_checked() {
    let broken = |config: TransformerConfig| messages(&ModelConfig::Transformer(config).validate());
    let rotary = TransformerConfig { position: PositionKind::Rotary, ..TransformerConfig::default() };
    let pattern = |kinds: &[AttentionLayer]| Some(kinds.to_vec());
    // Half of 60 / 6 columns.
    let odd = TransformerConfig { heads: 6, width: 60, rotary_fraction: 0.5, ..rotary.clone() };
    assert_eq!(broken(odd), ["transformer.rotary-fraction: rotates 5 of a head's 10 columns, which are no pairs"]);
    let little = TransformerConfig { rotary_fraction: 0.01, ..rotary.clone() };
    assert_eq!(broken(little), ["transformer.rotary-fraction: rotates 0 of a head's 64 columns, which are no pairs"]);
    for headless in [
        TransformerConfig { heads: 0, ..rotary.clone() },
        TransformerConfig { width: 0, ..rotary.clone() },
        TransformerConfig { head_width: Some(0), ..rotary.clone() },
    ] {
        assert_eq!(broken(headless).len(), 1);
    }
    let none = TransformerConfig { layer_pattern: pattern(&[]), ..rotary.clone() };
    assert_eq!(
        broken(none),
        ["transformer.layer-pattern: must name between 1 and 6 layers, as many as there are, names 0"]
    );
    let no_window = TransformerConfig { layer_pattern: pattern(&[AttentionLayer::Local]), ..rotary.clone() };
    assert_eq!(
        broken(no_window),
        ["transformer.layer-pattern: has \"local\" layers, but `attention-window` doesn't say what they see"]
    );
    let all_global = TransformerConfig {
        attention_window: Some(8),
        local_rotary_base: Some(100.0),
        layer_pattern: pattern(&[AttentionLayer::Global]),
        ..rotary
    };
    assert_eq!(
        broken(all_global),
        [
            "transformer.attention-window: is for local layers, and there is none",
            "transformer.local-rotary-base: is for local layers, and there is none"
        ]
    );
    let learned = TransformerConfig {
        attention_window: Some(8),
        local_rotary_base: Some(100.0),
        layer_pattern: pattern(&[AttentionLayer::Unrotated, AttentionLayer::Local]),
        ..TransformerConfig::default()
    };
    assert_eq!(
        broken(learned),
        [
            "transformer.layer-pattern: has \"unrotated\" layers, but `position` is \"learned\"",
            "transformer.local-rotary-base: is the base of a rotation, but `position` is \"learned\""
        ]
    );
}

#[test]
fn published_models_have_their_published_parameter_counts() {
    let gpt2 = TransformerConfig { layers: 12, heads: 12, width: 768, bias: true, ..TransformerConfig::default() };
    assert_eq!(ModelConfig::Transformer(gpt2).parameter_count(50257, 1024), 124_439_808);
    let tiny_llama = TransformerConfig {
        layers: 22,
        heads: 32,
        key_value_heads: Some(4),
        width: 2048,
        feed_forward: Some(5632),
        position: PositionKind::Rotary,
        norm: NormKind::Rms,
        activation: FeedForwardActivation::Swiglu,
        tied: false,
        ..TransformerConfig::default()
    };
    assert_eq!(ModelConfig::Transformer(tiny_llama).parameter_count(32000, 2048), 1_100_048_384);
    let pythia_70m = TransformerConfig {
        heads: 8,
        width: 512,
        position: PositionKind::Rotary,
        bias: true,
        tied: false,
        ..TransformerConfig::default()
    };
    assert_eq!(ModelConfig::Transformer(pythia_70m).parameter_count(50304, 2048), 70_426_624);
    let gemma2 = TransformerConfig {
        layers: 26,
        heads: 8,
        key_value_heads: Some(4),
        width: 2304,
        head_width: Some(256),
        feed_forward: Some(9216),
        position: PositionKind::Rotary,
        norm: NormKind::Rms,
        norm_placement: NormPlacement::Both,
        activation: FeedForwardActivation::GegluTanh,
        ..TransformerConfig::default()
    };
    assert_eq!(ModelConfig::Transformer(gemma2).parameter_count(256_000, 8192), 2_614_341_888);
    let olmo2 = TransformerConfig {
        layers: 16,
        heads: 16,
        width: 2048,
        feed_forward: Some(8192),
        position: PositionKind::Rotary,
        norm: NormKind::Rms,
        norm_placement: NormPlacement::After,
        activation: FeedForwardActivation::Swiglu,
        query_key_norm: true,
        query_key_norm_over: QueryKeyNormSpan::AllHeads,
        tied: false,
        ..TransformerConfig::default()
    };
    assert_eq!(ModelConfig::Transformer(olmo2).parameter_count(100_352, 4096), 1_484_916_736);
    // nanoGPT counts its character model, 10.65 M, without the position embedding.
    let nanogpt = ModelConfig::Transformer(TransformerConfig::default());
    assert_eq!(nanogpt.parameter_count(65, 256) - 256 * 384, 10_646_784);
}

#[test]
fn floating_point_operations_follow_the_published_formulae() {
    // 6 N + 12 layers context width for training, N being the weights that are multiplied with (Chowdhery et al. 2022).
    let config = TransformerConfig { layers: 4, heads: 4, width: 128, ..TransformerConfig::default() };
    let flops = ModelConfig::Transformer(config).flops_per_token(65, 64);
    let multiplied = 4 * 12 * 128 * 128 + 128 * 65;
    assert_eq!(flops.training, 6 * multiplied + 12 * 4 * 64 * 128);
    assert_eq!(flops.training, 3 * flops.forward);

    // The largest sizes that pass the rules do not overflow.
    let huge = TransformerConfig {
        layers: 1024,
        heads: 1,
        width: 1 << 17,
        feed_forward: Some(1 << 20),
        ..TransformerConfig::default()
    };
    assert!(huge.validate().is_empty());
    assert!(ModelConfig::Transformer(huge).flops_per_token(1 << 32, 1 << 24).training > 1 << 50);

    let lstm = ModelConfig::Lstm(LstmConfig { embedding: Some(64), ..LstmConfig::default() });
    let multiplied = 4 * 128 * (64 + 128) + 4 * 128 * (128 + 128) + 128 * 65;
    assert_eq!(lstm.flops_per_token(65, 50).forward, 2 * multiplied);
}
