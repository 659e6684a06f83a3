//! Numbers in a checkpoint's JSON that come back with every bit.

/// For `#[serde(with = "exact_number")]`: the number as text. serde_json reads a number of 17 digits with an error in its
/// last bit at times, which would be enough for a resumed run to leave the way of the one that was not stopped; Rust's own
/// reading does not.
pub(crate) mod exact_number {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
