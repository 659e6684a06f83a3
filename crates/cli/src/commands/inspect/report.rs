//! What every report of `kiln inspect` has.

use serde::Serialize;

/// What was found out, for people and for programs.
pub(super) trait Report: Serialize {
    /// The lines for people; what files say is in it as they say it.
    fn words(&self) -> String;

    /// Whether nothing is damaged.
    fn is_whole(&self) -> bool;
}
