//! What the settings of every optimizer answer.

use kiln_settings::Violation;

use super::UpdateRule;

/// The settings of an optimizer: one table under `[optimizer]`.
pub(super) trait Settings {
    /// The rule with these constants.
    fn rule(&self) -> Box<dyn UpdateRule>;

    /// Whether the rule moves each number by itself, so that it can move any vector and takes a rate for each element;
    /// a rule that looks at matrices as matrices cannot.
    fn is_elementwise(&self) -> bool;

    /// Every broken rule of the constants, keys relative to the table.
    fn validate(&self) -> Vec<Violation>;
}
