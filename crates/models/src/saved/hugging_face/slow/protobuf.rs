//! The fields of a message of Protocol Buffers (<https://protobuf.dev/programming-guides/encoding>), as far as
//! SentencePiece has them. Nothing is copied, and no length is believed before it was compared with what is left.

/// The value of a field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Field<'a> {
    /// A whole number of any length.
    Whole(u64),
    /// A text, bytes, or another message.
    Bytes(&'a [u8]),
    /// Four bytes.
    Four([u8; 4]),
    /// Eight bytes, which nothing here needs.
    Eight,
}

impl<'a> Field<'a> {
    pub(super) fn whole(self) -> Option<u64> {
        match self {
            Self::Whole(whole) => Some(whole),
            _ => None,
        }
    }

    pub(super) fn flag(self) -> Option<bool> {
        self.whole().map(|whole| whole != 0)
    }

    pub(super) fn float(self) -> Option<f32> {
        match self {
            Self::Four(bytes) => Some(f32::from_le_bytes(bytes)),
            _ => None,
        }
    }

    pub(super) fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// The fields of a message, with their numbers; after an error there are no more.
pub(super) struct Fields<'a> {
    left: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { left: message }
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, left) = self.left.split_at_checked(count)?;
        self.left = left;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    /// Seven bits a byte, the lowest first.
    fn whole(&mut self) -> Option<u64> {
        let mut whole = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            whole |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(whole);
            }
        }
        None
    }

    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let key = self.whole()?;
        let field = match key & 7 {
            0 => Field::Whole(self.whole()?),
            1 => self.array::<8>().map(|_| Field::Eight)?,
            2 => {
                let length = usize::try_from(self.whole()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Four(self.array()?),
            _ => return None,
        };
        Some((key >> 3, field))
    }
}

/// What isn't a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoMessage;

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>), NoMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left.is_empty() {
            return None;
        }
        let field = self.field().ok_or(NoMessage);
        if field.is_err() {
            self.left = &[];
        }
        Some(field)
    }
}
