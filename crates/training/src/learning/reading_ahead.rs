//! Batches that a thread reads while the one before is worked on.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use kiln_data::batches::{Batch, Batches};
use kiln_data::shards::ShardError;

/// Batches by number, of which each is read ahead that follows the last one.
pub(super) struct ReadingAhead {
    batches: Arc<Batches>,
    /// Not on a CPU, whose threads are busy with the batch before.
    is_ahead: bool,
    next: Option<(u64, JoinHandle<Result<Batch, ShardError>>)>,
}

impl ReadingAhead {
    pub(super) fn new(batches: Batches, is_ahead: bool) -> Self {
        Self { batches: Arc::new(batches), is_ahead, next: None }
    }

    /// As [`Batches::read`].
    ///
    /// # Errors
    /// The same.
    pub(super) fn read(&mut self, batch: u64) -> Result<Batch, ShardError> {
        let begun = self.next.take().filter(|(number, _)| *number == batch);
        let read = match begun.map(|(_, reading)| reading.join()) {
            Some(Ok(read)) => read,
            // Another one is asked for, or none could be read ahead.
            Some(Err(_)) | None => self.batches.read(batch),
        };
        if self.is_ahead {
            let (batches, number) = (Arc::clone(&self.batches), batch + 1);
            let reading = thread::Builder::new().name("batches".to_string()).spawn(move || batches.read(number));
            self.next = reading.ok().map(|reading| (number, reading));
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use kiln_data::batches::{BatchOrder, Windows};
    use kiln_data::shards::{TextIdentity, TokenFileWriter};

    use super::*;

    #[test]
    fn batches_are_the_same_read_ahead_or_not_in_any_order() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = TokenFileWriter::create(&folder.path().join("tokens"), [0; 32], 50).unwrap();
        writer.push(&(0..50).collect::<Vec<u32>>()).unwrap();
        let file = writer.finish(TextIdentity::default()).unwrap();
        let order = || BatchOrder::new(file.clone(), Windows::Shuffled, 2, 3, 1).unwrap();
        let mut ahead = ReadingAhead::new(Batches::Windows(order()), true);
        for batch in [0, 1, 2, 5, 6, 1, 2, 2, 100] {
            let (found, expected) = (ahead.read(batch).unwrap(), order().read(batch).unwrap());
            assert_eq!(found, Batch::Windows(expected), "batch {batch}");
        }
    }
}
