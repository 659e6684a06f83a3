//! Rotary positions on the CPU, in place.

use crate::cpu::{Real, Rows, for_rows, simd};

/// Which columns of which rows are rotated by which angles.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RotarySizes<'a, T> {
    /// T: row n belongs to sequence n / T, and is at position `starts[n / T] + n % T`.
    pub(crate) steps: usize,
    /// The position of each sequence's first row, `[B]`.
    pub(crate) starts: &'a [usize],
    /// Numbers in a row.
    pub(crate) columns: usize,
    /// Heads that are rotated, from the first column on.
    pub(crate) heads: usize,
    /// D.
    pub(crate) head_width: usize,
    /// R, the columns of a head that are rotated, its first ones: an even number.
    pub(crate) rotated: usize,
    /// `[context, R / 2]`.
    pub(crate) cosines: &'a [T],
    /// `[context, R / 2]`.
    pub(crate) sines: &'a [T],
}

/// Rotates each pair (x_j, x_(j + R/2)) of the first heads of rows `[N, columns]` by the angle of its position (Su et
/// al. 2021, <https://arxiv.org/abs/2104.09864>, with pairs half of the rotated columns apart):
///
/// ```text
/// y_j         = x_j cos - x_(j + R/2) sin
/// y_(j + R/2) = x_(j + R/2) cos + x_j sin
/// ```
///
/// The other columns stay.
pub(crate) fn rotate<T: Real>(rows: &mut [T], sizes: &RotarySizes<'_, T>) {
    rotate_by(rows, sizes, T::ONE);
}

/// The gradient of [`rotate`]'s rows from the gradient of what it gives, in place: the rotation by the opposite angles.
pub(crate) fn rotate_backward<T: Real>(gradient: &mut [T], sizes: &RotarySizes<'_, T>) {
    rotate_by(gradient, sizes, -T::ONE);
}

fn rotate_by<T: Real>(rows: &mut [T], sizes: &RotarySizes<'_, T>, sign: T) {
    let RotarySizes { steps, starts, columns, heads, head_width, rotated, cosines, sines } = *sizes;
    let half = rotated / 2;
    assert!(rotated.is_multiple_of(2), "pairs need an even number of columns, not {rotated}");
    assert!(rotated <= head_width, "{rotated} columns are in a head of {head_width}");
    assert!(heads * head_width <= columns, "{heads} heads of {head_width} are in rows of {columns}");
    let positions = starts.iter().max().map_or(0, |start| start + steps);
    assert!(cosines.len() == sines.len() && cosines.len() >= positions * half, "tables for all positions");
    assert_eq!(rows.len(), starts.len() * steps * columns, "{steps} rows of {columns} for each start");
    if rows.is_empty() || half == 0 {
        return;
    }
    for_rows(rows.len() / columns, heads * rotated, Rows::new(rows, columns), |range, rows| {
        simd(
            #[inline(always)]
            || {
                for (index, row) in range.zip(rows.data.chunks_exact_mut(columns)) {
                    let first = (starts[index / steps] + index % steps) * half;
                    let angles = (&cosines[first..][..half], &sines[first..][..half]);
                    row[..heads * head_width]
                        .chunks_exact_mut(head_width)
                        .for_each(|head| rotate_head(head, angles, sign));
                }
            },
        );
    });
}

#[inline(always)]
fn rotate_head<T: Real>(head: &mut [T], (cosines, sines): (&[T], &[T]), sign: T) {
    // What follows the second half of the rotated columns stays.
    let (first, second) = head.split_at_mut(cosines.len());
    for ((first, second), (cosine, sine)) in first.iter_mut().zip(second).zip(cosines.iter().zip(sines)) {
        let sine = sign * *sine;
        let (x, y) = (*first, *second);
        *first = x * *cosine - y * sine;
        *second = y * *cosine + x * sine;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::tests::numbers;

    fn tables(context: usize, rotated: usize) -> [Vec<f64>; 2] {
        let half = rotated / 2;
        let angle =
            |index: usize| (index / half) as f64 * 10_000f64.powf(-2.0 * (index % half) as f64 / rotated as f64);
        [f64::cos, f64::sin].map(|function| (0..context * half).map(|index| function(angle(index))).collect())
    }

    /// Calls `check` with rows before and after the rotation.
    fn each(check: impl Fn(&[f64], &[f64], &RotarySizes<'_, f64>)) {
        let cases: [(&[usize], usize, usize, [usize; 2]); 6] = [
            (&[2, 0], 3, 3, [8, 8]),
            (&[0, 1], 65, 2, [6, 6]),
            (&[6, 6, 0, 31, 1, 6, 2, 3], 250, 5, [64, 64]),
            (&[9], 1, 1, [2, 2]),
            (&[4, 0], 65, 3, [8, 2]),
            (&[1], 70, 2, [7, 6]),
        ];
        for (starts, steps, heads, [head_width, rotated]) in cases {
            let [cosines, sines] = tables(31 + steps, rotated);
            let columns = (heads + 2) * head_width;
            let (cosines, sines) = (&cosines[..], &sines[..]);
            let sizes = RotarySizes { steps, starts, columns, heads, head_width, rotated, cosines, sines };
            let before = numbers::<f64>(starts.len() * steps * columns, 1);
            let mut after = before.clone();
            rotate(&mut after, &sizes);
            check(&before, &after, &sizes);
        }
    }

    #[test]
    fn agrees_with_its_definition() {
        each(|before, after, sizes| {
            let half = sizes.rotated / 2;
            for (index, after) in after.iter().enumerate() {
                let (row, column) = (index / sizes.columns, index % sizes.columns);
                let (head, place) = (column / sizes.head_width, column % sizes.head_width);
                let angle = (sizes.starts[row / sizes.steps] + row % sizes.steps) * half + place % half;
                let (cosine, sine) = (sizes.cosines[angle], sizes.sines[angle]);
                let expected = match (head < sizes.heads && place < sizes.rotated, place < half) {
                    (false, _) => before[index],
                    (true, true) => before[index] * cosine - before[index + half] * sine,
                    (true, false) => before[index] * cosine + before[index - half] * sine,
                };
                assert!((after - expected).abs() < 1e-15);
            }
        });
    }

    #[test]
    fn the_gradient_is_the_inverse_rotation_and_products_stay() {
        each(|before, after, sizes| {
            let mut back = after.to_vec();
            rotate_backward(&mut back, sizes);
            assert!(back.iter().zip(before).all(|(back, before)| (back - before).abs() < 1e-14));
            // Two heads of a row turn by the same angles, which keeps their product: <R x, R y> = <x, y>.
            let product = |row: &[f64]| -> f64 {
                let (first, last) = (&row[..sizes.head_width], &row[(sizes.heads - 1) * sizes.head_width..]);
                first.iter().zip(last).map(|(first, last)| first * last).sum()
            };
            for (before, after) in before.chunks(sizes.columns).zip(after.chunks(sizes.columns)) {
                assert!((product(before) - product(after)).abs() < 1e-13);
            }
        });
    }

    #[test]
    fn products_depend_on_distances_only() {
        let [cosines, sines] = tables(20, 8);
        let product = |[first, second]: [usize; 2]| -> f64 {
            let turned = |seed: u64, start: usize| {
                let mut head = numbers::<f64>(8, seed);
                let sizes = RotarySizes {
                    steps: 1,
                    starts: &[start],
                    columns: 8,
                    heads: 1,
                    head_width: 8,
                    rotated: 8,
                    cosines: &cosines,
                    sines: &sines,
                };
                rotate(&mut head, &sizes);
                head
            };
            turned(1, first).iter().zip(turned(2, second)).map(|(first, second)| first * second).sum()
        };
        assert!((product([3, 7]) - product([13, 17])).abs() < 1e-14);
    }
}
