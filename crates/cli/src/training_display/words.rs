//! Numbers as people read them.

use std::time::Duration;

use kiln_data::shards::EntropyFloor;

/// How far a loss is from the best that any model could reach on the built-in corpus.
pub(crate) fn floor_words(nats_per_character: f64, floor: &EntropyFloor) -> String {
    let best = floor.validation_nats_per_character;
    format!(
        "{nats_per_character:.4} nats/character, the best possible is {best:.4} ({:+.4})",
        nats_per_character - best
    )
}

/// `1,234,567`
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `2 h 5 min`, `2 min 41 s`, `8 s`
pub(crate) fn duration(seconds: f64) -> String {
    let seconds = Duration::try_from_secs_f64(seconds).map_or(0, |duration| duration.as_secs());
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}
