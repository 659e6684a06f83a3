//! Several texts being written at the same time.

use std::collections::VecDeque;

use super::draft::Guesser;
use super::guesses::{Guess, Guesses};
use super::reader::Reader;
use super::request::{Finish, GenerateError, Piece};
use super::row::Row;

/// Texts being written together: an iterator over their pieces, each with the number of its request.
///
/// Every text that has not ended gets its next token from one reading of the model, in the order of the requests; a
/// text that ends leaves the batch. What a request gives doesn't depend on those beside it, but for the last bits of
/// sums that a device adds up in another order for another number of rows.
pub struct Batch<'a> {
    reader: Box<dyn Reader + 'a>,
    rows: Vec<Row>,
    /// The rows that the reader reads, in its order.
    reading: Vec<usize>,
    /// The model that guesses; without one, the text itself is looked up.
    guesser: Option<Box<dyn Guesser + 'a>>,
    guesses: Guesses,
    ready: VecDeque<(usize, Result<Piece, GenerateError>)>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(reader: Box<dyn Reader + 'a>, rows: Vec<Row>) -> Self {
        // Those that are over before they begin are never read.
        let reading = (0..rows.len()).filter(|&row| !rows[row].is_over()).collect();
        Self { reader, rows, reading, guesser: None, guesses: Guesses::default(), ready: VecDeque::new() }
    }

    /// The same, but the end token is a token like any other, so that as many tokens come as were asked for.
    #[must_use]
    pub fn past_end_token(mut self) -> Self {
        self.rows.iter_mut().for_each(Row::write_past_end_token);
        self
    }

    /// The same, with guesses of another model.
    pub(super) fn with_guesser(mut self, guesser: Box<dyn Guesser + 'a>) -> Result<Self, GenerateError> {
        let known = guesser.vocabulary_size();
        let needed = self.rows.iter().map(Row::vocabulary).max().unwrap_or(0);
        if known < needed {
            return Err(GenerateError::SecondModel { known, needed });
        }
        self.guesser = Some(guesser);
        Ok(self)
    }

    /// How many tokens were guessed so far, and how many rightly.
    pub fn guesses(&self) -> Guesses {
        self.guesses
    }

    /// Why the text of a request ended; nothing before that, and nothing after an error.
    ///
    /// # Panics
    /// When there is no such request.
    pub fn finish(&self, request: usize) -> Option<Finish> {
        self.rows[request].finish()
    }

    /// The next token of every text that has not ended.
    fn read(&mut self) {
        let going: Vec<usize> =
            (0..self.reading.len()).filter(|&place| !self.rows[self.reading[place]].is_over()).collect();
        if going.is_empty() {
            return;
        }
        if going.len() < self.reading.len() {
            self.reader.keep(&going);
            self.reading = going.into_iter().map(|place| self.reading[place]).collect();
        }
        if let [row] = self.reading[..]
            && self.speculate(row)
        {
            return;
        }
        let unread: Vec<&[u32]> = self.reading.iter().map(|&row| self.rows[row].unread()).collect();
        match self.reader.read(&unread) {
            Ok(logits) => {
                let written = self.reading.iter().zip(logits);
                self.ready.extend(written.map(|(&row, logits)| (row, self.rows[row].write(&logits, None))));
            }
            Err(message) => {
                for &row in &self.reading {
                    self.rows[row].fail();
                    self.ready.push_back((row, Err(GenerateError::Device(message.clone()))));
                }
            }
        }
    }
}

impl Batch<'_> {
    /// Reads the next token of the only text with guesses behind it, and chooses as far as they are right; whether
    /// there were any.
    fn speculate(&mut self, number: usize) -> bool {
        let row = &mut self.rows[number];
        let count = row.guesses(self.reader.room().saturating_sub(1));
        let guesses = match &mut self.guesser {
            Some(guesser) if count > 0 => guesser.guess(row, count),
            _ => Ok(row.look_up(count)),
        };
        let read = guesses.and_then(|guesses| {
            let tokens = row.unread().iter().copied().chain(guesses.iter().map(Guess::token)).collect::<Vec<u32>>();
            let logits = if guesses.is_empty() { Ok(Vec::new()) } else { self.reader.read_each(&tokens) };
            Ok((guesses, logits.map_err(GenerateError::Device)?))
        });
        match read {
            Ok((guesses, _)) if guesses.is_empty() => return false,
            Ok((guesses, logits)) => {
                let mut right = 0;
                for logits in logits {
                    let guess = guesses.get(right);
                    let piece = row.write(&logits, guess);
                    let is_right =
                        guess.is_some() && piece.as_ref().ok().map(|piece| piece.token) == guess.map(Guess::token);
                    self.ready.push_back((number, piece));
                    right += usize::from(is_right);
                    if !is_right || row.is_over() {
                        break;
                    }
                }
                self.guesses.made += guesses.len();
                self.guesses.right += right;
                self.reader.forget(guesses.len() - right);
            }
            Err(error) => {
                row.fail();
                self.ready.push_back((number, Err(error)));
            }
        }
        true
    }
}

impl Iterator for Batch<'_> {
    type Item = (usize, Result<Piece, GenerateError>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.ready.is_empty() {
            self.read();
        }
        self.ready.pop_front()
    }
}

impl std::iter::FusedIterator for Batch<'_> {}
