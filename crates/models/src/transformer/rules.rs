//! What a transformer's options must fulfil.

use kiln_settings::Violation;
use kiln_settings::rules::{positive, probability, size};

use super::config::TransformerConfig;
use super::options::{AttentionLayer, PositionKind};

impl TransformerConfig {
    /// Every broken rule.
    pub(super) fn broken_rules(&self) -> Vec<Violation> {
        let sizes = [
            size("layers", self.layers, 1024),
            size("heads", self.heads, 1 << 12),
            size("width", self.width, 1 << 17),
            self.head_width.and_then(|width| size("head-width", width, 1 << 16)),
            self.feed_forward.and_then(|inner| size("feed-forward", inner, 1 << 20)),
            positive("rotary-base", self.rotary_base),
            self.local_rotary_base.and_then(|base| positive("local-rotary-base", base)),
            self.attention_window.and_then(|window| size("attention-window", window, 1 << 32)),
            self.attention_scale.and_then(|scale| positive("attention-scale", scale)),
            positive("norm-epsilon", self.norm_epsilon),
            probability("dropout", self.dropout),
            self.attention_soft_cap.and_then(|cap| positive("attention-soft-cap", cap)),
            self.logit_soft_cap.and_then(|cap| positive("logit-soft-cap", cap)),
        ];
        let mut violations: Vec<Violation> = sizes.into_iter().flatten().collect();
        self.check_heads(&mut violations);
        self.check_rotation(&mut violations);
        self.check_layers(&mut violations);
        if let Some(scaling) = &self.rotary_scaling {
            let learned = (self.position == PositionKind::Learned).then(|| {
                Violation::new("rotary-scaling", "stretches a rotation, but `position` is \"learned\"")
                    .with_help("write `position = \"rotary\"`")
            });
            violations.extend(learned);
            let pairs = if self.heads == 0 { 0 } else { self.rotated_columns() / 2 };
            violations.extend(scaling.validate(pairs).into_iter().map(|violation| violation.under("rotary-scaling")));
        }
        violations
    }

    fn check_heads(&self, violations: &mut Vec<Violation>) {
        let (heads, width) = (self.heads, self.width);
        if heads == 0 || width == 0 {
            return;
        }
        if self.head_width.is_none() && !width.is_multiple_of(heads) {
            let violation = Violation::new("heads", format!("must divide width ({width}), is {heads}"));
            violations.push(violation.with_help(divisors_help(width, heads)));
        }
        if let Some(key_value_heads) = self.key_value_heads
            && (key_value_heads == 0 || !heads.is_multiple_of(key_value_heads))
        {
            let violation =
                Violation::new("key-value-heads", format!("must divide heads ({heads}), is {key_value_heads}"));
            violations.push(violation.with_help(divisors_help(heads, key_value_heads)));
        }
    }

    fn check_rotation(&self, violations: &mut Vec<Violation>) {
        let fraction = self.rotary_fraction;
        if !(fraction > 0.0 && fraction <= 1.0) {
            violations.push(Violation::new("rotary-fraction", format!("must be above 0 and at most 1, is {fraction}")));
            return;
        }
        // What is wrong with the width of a head is reported elsewhere.
        let has_heads = self.heads > 0 && (self.head_width.is_some() || self.width.is_multiple_of(self.heads));
        if self.position == PositionKind::Learned || !has_heads || self.head_width() == 0 {
            return;
        }
        let (width, rotated) = (self.head_width(), self.rotated_columns());
        if rotated > 0 && rotated.is_multiple_of(2) {
            return;
        }
        let violation = if fraction < 1.0 {
            let message = format!("rotates {rotated} of a head's {width} columns, which are no pairs");
            Violation::new("rotary-fraction", message).with_help("choose it so that the number is even and not 0")
        } else {
            let message = format!("gives heads of width {width}, but rotary positions need an even width");
            Violation::new("heads", message).with_help("change heads or width, or use position = \"learned\"")
        };
        violations.push(violation);
    }

    fn check_layers(&self, violations: &mut Vec<Violation>) {
        let mut broken = |key: &str, message: String| violations.push(Violation::new(key, message));
        let has = |kind: AttentionLayer| match &self.layer_pattern {
            Some(pattern) => pattern.contains(&kind),
            None => self.attention_window.is_some() && kind == AttentionLayer::Local,
        };
        if let Some(pattern) = &self.layer_pattern
            && !(1..=self.layers).contains(&pattern.len())
        {
            let (found, layers) = (pattern.len(), self.layers);
            broken(
                "layer-pattern",
                format!("must name between 1 and {layers} layers, as many as there are, names {found}"),
            );
        }
        if has(AttentionLayer::Local) && self.attention_window.is_none() {
            broken(
                "layer-pattern",
                "has \"local\" layers, but `attention-window` doesn't say what they see".to_owned(),
            );
        }
        if has(AttentionLayer::Unrotated) && self.position == PositionKind::Learned {
            broken("layer-pattern", "has \"unrotated\" layers, but `position` is \"learned\"".to_owned());
        }
        for (key, is_there) in [
            ("attention-window", self.attention_window.is_some()),
            ("local-rotary-base", self.local_rotary_base.is_some()),
        ] {
            if is_there && !has(AttentionLayer::Local) {
                broken(key, "is for local layers, and there is none".to_owned());
            }
        }
        if self.local_rotary_base.is_some() && self.position == PositionKind::Learned {
            broken("local-rotary-base", "is the base of a rotation, but `position` is \"learned\"".to_owned());
        }
    }
}

/// The divisors of `number` on both sides of `near`, as advice.
fn divisors_help(number: usize, near: usize) -> String {
    // Beyond what any model has, which a damaged file may say, the search would take minutes.
    const LARGEST: usize = 1 << 20;
    let below = (1..near.min(LARGEST)).rev().find(|&candidate| number.is_multiple_of(candidate));
    let above = (near.saturating_add(1)..=number.min(LARGEST)).find(|&candidate| number.is_multiple_of(candidate));
    let choices: Vec<String> = below.into_iter().chain(above).map(|choice| choice.to_string()).collect();
    format!("the nearest that do: {}", choices.join(" and "))
}
