//! Mistakes in the settings, and how much state they imply.

use kiln_parameters::{PartCount, Role};

use crate::optimizers::*;

fn keys(config: &OptimizerConfig) -> Vec<String> {
    config.validate().into_iter().map(|violation| violation.key).collect()
}

#[test]
fn mistakes_in_the_settings_are_named() {
    let adamw = AdamwConfig { betas: [1.0, 0.9], epsilon: 0.0, weight_decay: -1.0 };
    assert_eq!(keys(&OptimizerConfig::Adamw(adamw)), ["adamw.betas", "adamw.epsilon", "adamw.weight-decay"]);
    let sgd = SgdConfig { momentum: 0.0, nesterov: true, weight_decay: f64::NAN };
    assert_eq!(keys(&OptimizerConfig::Sgd(sgd)), ["sgd.nesterov", "sgd.weight-decay"]);
    let muon = MuonConfig { momentum: 0.0, rest_rate: 0.0, rest_epsilon: f64::INFINITY, ..MuonConfig::default() };
    assert_eq!(keys(&OptimizerConfig::Muon(muon)), ["muon.nesterov", "muon.rest-rate", "muon.rest-epsilon"]);
    // Without a distance between the points, the mean could not be distinguished from the moving point.
    let free = ScheduleFreeSgdConfig { momentum: 0.0, weight_decay: 0.0 };
    assert_eq!(keys(&OptimizerConfig::ScheduleFreeSgd(free)), ["schedule-free-sgd.momentum"]);
    let free = ScheduleFreeAdamwConfig { betas: [1.0, 1.0], ..ScheduleFreeAdamwConfig::default() };
    assert_eq!(keys(&OptimizerConfig::ScheduleFreeAdamw(free)), ["schedule-free-adamw.betas"]);
}

#[test]
fn state_is_counted_by_what_a_rule_keeps_of_each_part() {
    let (hidden, gains, tables) = (1536, 40, 112);
    let roles = [(Role::HiddenMatrix, hidden), (Role::Gain, gains)];
    let parts = [PartCount::new("tables", &[(Role::Embedding, tables)]), PartCount::new("blocks.*", &roles)];
    let count = |config: OptimizerConfig| config.state_bytes(&parts, StateBits::ThirtyTwo) / 4;
    assert_eq!(count(OptimizerConfig::Sgd(SgdConfig::default())), 0);
    assert_eq!(count(OptimizerConfig::Adamw(AdamwConfig::default())), 2 * (hidden + gains + tables));
    assert_eq!(count(OptimizerConfig::Lion(LionConfig::default())), hidden + gains + tables);
    assert_eq!(count(OptimizerConfig::Muon(MuonConfig::default())), hidden + 2 * (gains + tables));
    let bytes = |bits| OptimizerConfig::Adamw(AdamwConfig::default()).state_bytes(&parts, bits);
    assert_eq!(bytes(StateBits::ThirtyTwo), 4 * 2 * (hidden + gains + tables));
    // 2 * 1536 numbers are 12 blocks.
    assert_eq!(bytes(StateBits::Eight), 2 * hidden + 12 * 4 + 4 * 2 * (gains + tables));
    let centered = RmspropConfig { centered: true, momentum: 0.9, ..RmspropConfig::default() };
    assert_eq!(count(OptimizerConfig::Rmsprop(centered)), 3 * (hidden + gains + tables));
}
