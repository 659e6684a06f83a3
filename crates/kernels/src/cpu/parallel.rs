//! Work split over threads, where that pays.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};

use super::real::Real;

/// What one thread must have to do before a second one is woken for the rest: about 15 microseconds of one pass over
/// memory. Waking a sleeping thread costs some microseconds.
const WORTH_A_THREAD: usize = 32 * 1024;

/// The same while the other threads wait [awake](awake()): what it takes to hand work over.
const WORTH_A_WAKING_THREAD: usize = 2 * 1024;

/// How many calls of [`awake`] run.
static AWAKE: AtomicUsize = AtomicUsize::new(0);

/// Runs `body`, during which all threads wait for work without sleeping: for many short operations one after the
/// other, each of which would end before a thread had been woken.
pub fn awake<Output: Send>(body: impl FnOnce() -> Output + Send) -> Output {
    if rayon::current_num_threads() == 1 {
        return body();
    }
    let is_over = AtomicBool::new(false);
    rayon::scope(|scope| {
        let own = rayon::current_thread_index();
        let is_over = &is_over;
        scope.spawn_broadcast(move |_, context| {
            while Some(context.index()) != own && !is_over.load(Ordering::Relaxed) {
                if rayon::yield_now() != Some(rayon::Yield::Executed) {
                    std::hint::spin_loop();
                }
            }
        });
        AWAKE.fetch_add(1, Ordering::Relaxed);
        // Also when `body` panics: the others would wait for ever.
        let _end = End(is_over);
        body()
    })
}

/// The end of a call of [`awake`].
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        AWAKE.fetch_sub(1, Ordering::Relaxed);
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Something that can be cut in two at a row.
pub(crate) trait Split: Send + Sized {
    /// The rows before `row` and the others.
    fn split(self, row: usize) -> (Self, Self);
}

/// A matrix to write into, by rows of `width`.
pub(crate) struct Rows<'a, T> {
    /// All rows, one after the other.
    pub(crate) data: &'a mut [T],
    /// Numbers in a row.
    pub(crate) width: usize,
}

impl<'a, T> Rows<'a, T> {
    pub(crate) fn new(data: &'a mut [T], width: usize) -> Self {
        Self { data, width }
    }
}

impl<T: Send> Split for Rows<'_, T> {
    fn split(self, row: usize) -> (Self, Self) {
        let (before, after) = self.data.split_at_mut(row * self.width);
        (Self::new(before, self.width), Self::new(after, self.width))
    }
}

impl Split for () {
    fn split(self, _row: usize) -> (Self, Self) {
        ((), ())
    }
}

impl<A: Split, B: Split> Split for (A, B) {
    fn split(self, row: usize) -> (Self, Self) {
        let (first, second) = (self.0.split(row), self.1.split(row));
        ((first.0, second.0), (first.1, second.1))
    }
}

impl<A: Split, B: Split, C: Split> Split for (A, B, C) {
    fn split(self, row: usize) -> (Self, Self) {
        let (first, second, third) = (self.0.split(row), self.1.split(row), self.2.split(row));
        ((first.0, second.0, third.0), (first.1, second.1, third.1))
    }
}

impl<T: Sync> Split for &[T] {
    fn split(self, row: usize) -> (Self, Self) {
        self.split_at(row)
    }
}

/// Several things one after the other, each with its number of rows, cut as if they were one.
pub(crate) struct Joined<S>(pub(crate) Vec<(usize, S)>);

impl<S: Split> Split for Joined<S> {
    fn split(self, row: usize) -> (Self, Self) {
        let (mut before, mut after, mut missing) = (Vec::new(), Vec::new(), row);
        for (rows, piece) in self.0 {
            if rows <= missing {
                before.push((rows, piece));
            } else if missing == 0 {
                after.push((rows, piece));
            } else {
                let (first, second) = piece.split(missing);
                before.push((missing, first));
                after.push((rows - missing, second));
            }
            missing -= rows.min(missing);
        }
        (Self(before), Self(after))
    }
}

/// How many parts `rows` rows are cut into, when each is as much work as reading and writing `work` numbers.
pub(crate) fn parts(rows: usize, work: usize) -> usize {
    let is_awake = AWAKE.load(Ordering::Relaxed) > 0;
    parts_of(rows, work, if is_awake { WORTH_A_WAKING_THREAD } else { WORTH_A_THREAD })
}

fn parts_of(rows: usize, work: usize, worth_a_thread: usize) -> usize {
    let worthwhile = rows.saturating_mul(work) / worth_a_thread;
    worthwhile.min(rayon::current_num_threads()).min(rows).max(1)
}

/// Calls `body` with ranges of rows, each with its part of `output`, on as many threads as pay. `work` is how many
/// numbers' reading and writing a row is worth.
pub(crate) fn for_rows<S: Split>(rows: usize, work: usize, output: S, body: impl Fn(Range<usize>, S) + Sync) {
    cut(0..rows, parts(rows, work), output, &body);
}

fn cut<S: Split>(rows: Range<usize>, parts: usize, output: S, body: &(impl Fn(Range<usize>, S) + Sync)) {
    if parts <= 1 {
        return body(rows, output);
    }
    let first = parts / 2;
    let count = rows.len() * first / parts;
    let middle = rows.start + count;
    let (before, after) = output.split(count);
    rayon::join(|| cut(rows.start..middle, first, before, body), || cut(middle..rows.end, parts - first, after, body));
}

/// Calls `body` with every task; a thread that is free takes the next one. `work` is how many numbers' reading and
/// writing all of them are worth together.
pub(crate) fn for_tasks<Task: Send>(tasks: Vec<Task>, work: usize, body: impl Fn(Task) + Sync) {
    if parts(tasks.len(), work / tasks.len().max(1)) <= 1 {
        tasks.into_iter().for_each(&body);
    } else {
        tasks.into_par_iter().with_max_len(1).for_each(&body);
    }
}

/// The sum over ranges of rows of vectors of `length` numbers, which `body` adds to; the ranges depend only on the
/// numbers of rows and threads, and are added in order, so that the same call gives the same bits.
pub(crate) fn sum_of_rows<T: Real, S: Split>(
    rows: usize,
    work: usize,
    length: usize,
    output: S,
    body: impl Fn(Range<usize>, S, &mut [T]) + Sync,
) -> Vec<T> {
    // Not more parts while others are awake: the sum's last bits depend on their number.
    summed(0..rows, parts_of(rows, work, WORTH_A_THREAD), length, output, &body)
}

fn summed<T: Real, S: Split>(
    rows: Range<usize>,
    parts: usize,
    length: usize,
    output: S,
    body: &(impl Fn(Range<usize>, S, &mut [T]) + Sync),
) -> Vec<T> {
    if parts <= 1 {
        let mut sum = vec![T::ZERO; length];
        body(rows, output, &mut sum);
        return sum;
    }
    let first = parts / 2;
    let count = rows.len() * first / parts;
    let middle = rows.start + count;
    let (before, after) = output.split(count);
    let (mut sum, other) = rayon::join(
        || summed(rows.start..middle, first, length, before, body),
        || summed(middle..rows.end, parts - first, length, after, body),
    );
    sum.iter_mut().zip(other).for_each(|(sum, other)| *sum += other);
    sum
}
