//! `validation = "every 10th document"`.

use std::str::FromStr;

use super::place::Split;

/// Of the documents of a corpus, numbered from 1, those whose number is a multiple of this are kept for validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EveryDocument(u64);

impl FromStr for EveryDocument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("must be \"every Nth document\" with N at least 2, is {text:?}");
        let words: Vec<&str> = text.split_whitespace().collect();
        let ["every", ordinal, "document"] = words[..] else { return Err(wrong()) };
        let digits = ordinal.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
        let number = digits.parse().ok().filter(|number| *number >= 2 && ordinal == ordinal_of(*number));
        number.map(Self).ok_or_else(wrong)
    }
}

/// `2nd`, `10th`.
fn ordinal_of(number: u64) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// Counts the documents of a corpus that is read from its start. One without text is none.
#[derive(Debug, Clone, Default)]
pub(super) struct Documents {
    begun: u64,
    is_inside: bool,
}

impl Documents {
    /// Text of a document comes. Gives the document's number, from 1.
    pub(super) fn text(&mut self) -> u64 {
        if !std::mem::replace(&mut self.is_inside, true) {
            self.begun += 1;
        }
        self.begun
    }

    /// A document ends.
    pub(super) fn end(&mut self) {
        self.is_inside = false;
    }

    /// Documents so far.
    pub(super) fn count(&self) -> u64 {
        self.begun
    }
}

impl EveryDocument {
    /// Which split the document with this number belongs to.
    pub(super) fn split(self, number: u64) -> Split {
        if number.is_multiple_of(self.0) { Split::Validation } else { Split::Train }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_are_read_as_they_are_written_in_english() {
        for (text, number) in [("every 10th document", 10), ("every 2nd document", 2), ("every 3rd  document", 3)] {
            assert_eq!(text.parse(), Ok(EveryDocument(number)), "{text}");
        }
        for number in [11, 12, 13, 21, 22, 23, 101, 111, 1_002] {
            assert_eq!(format!("every {} document", ordinal_of(number)).parse(), Ok(EveryDocument(number)));
        }
        assert_eq!([21, 112, 103].map(ordinal_of), ["21st", "112th", "103rd"]);
        let wrong = ["", "every document", "every 1st document", "every 0th document", "every 10 document", "10th"];
        for text in wrong.into_iter().chain(["every 2th document", "every -2nd document", "every +4th document"]) {
            assert!(text.parse::<EveryDocument>().is_err(), "{text}");
        }
    }
}
