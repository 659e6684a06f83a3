//! Where documents start in a batch.

use std::collections::BTreeMap;

/// In which rows of a batch of windows a document starts before a column, for each column where one does: there a
/// recurrent state begins anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DocumentStarts(BTreeMap<usize, Vec<usize>>);

impl DocumentStarts {
    /// In windows of `columns` tokens, `inputs` `[B, T]`, before each token `end`: it ends one document and is what the
    /// next is predicted from, as it is where a text is written without a prompt.
    pub fn find(inputs: &[i32], columns: usize, end: u32) -> Self {
        let mut starts: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let ends = inputs.iter().enumerate().filter(|(_, token)| i64::from(**token) == i64::from(end));
        ends.for_each(|(place, _)| starts.entry(place % columns).or_default().push(place / columns));
        Self(starts)
    }

    /// The columns and their rows, both rising.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (usize, &[usize])> {
        self.0.iter().map(|(column, rows)| (*column, rows.as_slice()))
    }

    /// Those of the first `rows` rows, and of the others.
    #[must_use]
    pub fn split(&self, rows: usize) -> (Self, Self) {
        let part = |keep: &dyn Fn(usize) -> Option<usize>| {
            let kept = self.0.iter().map(|(column, rows)| (*column, rows.iter().copied().filter_map(keep).collect()));
            Self(kept.filter(|(_, rows): &(usize, Vec<usize>)| !rows.is_empty()).collect())
        };
        (part(&|row| (row < rows).then_some(row)), part(&|row| row.checked_sub(rows)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(columns: &[(usize, &[usize])]) -> DocumentStarts {
        DocumentStarts(columns.iter().map(|(column, rows)| (*column, rows.to_vec())).collect())
    }

    #[test]
    fn a_document_starts_before_the_token_that_ends_the_one_before() {
        let found = DocumentStarts::find(&[9, 1, 2, 9, 3, 9, 4, 4, 4, 9, 9, 4], 4, 9);
        assert_eq!(found, starts(&[(0, &[0]), (1, &[1, 2]), (2, &[2]), (3, &[0])]));
        assert_eq!(found.split(2), (starts(&[(0, &[0]), (1, &[1]), (3, &[0])]), starts(&[(1, &[0]), (2, &[0])])));
        assert_eq!(DocumentStarts::find(&[-1, 1], 2, u32::MAX), DocumentStarts::default());
    }
}
