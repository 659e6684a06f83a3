//! A model that reads texts token by token, several side by side.

use burn::tensor::{Int, Tensor, TensorData};
use kiln_kernels::{awake, multiplies_packed};
use kiln_models::{LanguageModel, State};

/// Longest window that is read in one forward pass: it bounds what the pass keeps in memory, and how many different
/// shapes a device ever sees.
const LONGEST_READ: usize = 256;

/// What gives logits for the next token of each row when it has read more of the row's text. A trait so that tests can
/// put a known function in the place of a model.
pub(super) trait Reader {
    /// Number of logits.
    fn vocabulary_size(&self) -> usize;

    /// The logits after each row's `tokens`, at least one, which follow everything that the row has read before; the
    /// first call says how many rows there are. The error is what the device says.
    fn read(&mut self, tokens: &[&[u32]]) -> Result<Vec<Vec<f32>>, String>;

    /// How many tokens the only row can read before what it has read is cut; none where it reads one at a time.
    fn room(&self) -> usize {
        0
    }

    /// The logits after each of `tokens`, which follow everything that the only row has read and fit its
    /// [`room`](Self::room).
    fn read_each(&mut self, _: &[u32]) -> Result<Vec<Vec<f32>>, String> {
        Err("this reader gives logits of last tokens alone".to_owned())
    }

    /// Forgets the last `count` tokens of what [`read_each`](Self::read_each) read.
    fn forget(&mut self, _: usize) {}

    /// Keeps the rows `rows`, in that order, one several times if it is named so, and forgets the others.
    fn keep(&mut self, rows: &[usize]);
}

/// Reads with a language model and its state.
///
/// A recurrent model reads texts of any length. A transformer's context is finite: a row's token that no longer fits
/// starts the row anew from the last half of a context (the new token among it), so that each re-reading pays for as
/// many tokens again. Between two of them the model sees between half a context and a whole one.
#[derive(Clone)]
pub(super) struct ModelReader<'a> {
    model: &'a LanguageModel,
    /// `None` before the first token.
    state: Option<State>,
    /// The tokens of each row in a transformer's cache; empty for recurrent models.
    windows: Vec<Vec<u32>>,
    is_on_cpu: bool,
}

impl<'a> ModelReader<'a> {
    pub(super) fn new(model: &'a LanguageModel) -> Self {
        let is_on_cpu = multiplies_packed(&model.device());
        Self { model, state: None, windows: Vec::new(), is_on_cpu }
    }

    /// How many tokens the only row can be asked to forget, and then some: none that a recurrent model has read.
    pub(super) fn remembered(&self) -> usize {
        if let [window] = &self.windows[..]
            && self.model.longest_window().is_some()
        {
            return window.len();
        }
        0
    }

    /// What each row has to read so that its `tokens` are read: they alone, or its whole new window.
    fn unread(&mut self, tokens: &[&[u32]], state: State) -> (Vec<Vec<u32>>, State) {
        let Some(context) = self.model.longest_window() else {
            return (tokens.iter().map(|tokens| tokens.to_vec()).collect(), state);
        };
        let (mut unread, mut anew) = (Vec::new(), Vec::new());
        for (row, tokens) in tokens.iter().enumerate() {
            let (window, fits) = slide(&self.windows[row], tokens, context);
            if !fits && !self.windows[row].is_empty() {
                anew.push(row);
            }
            unread.push(if fits { tokens.to_vec() } else { window.clone() });
            self.windows[row] = window;
        }
        if anew.is_empty() {
            return (unread, state);
        }
        let fresh = self.model.initial_state(anew.len());
        (unread, state.put_rows(&anew, fresh))
    }

    /// Reads what every row has to read, behind what is in the state.
    fn advance(&mut self, unread: &[Vec<u32>], mut state: State) -> Result<Vec<Vec<f32>>, String> {
        let mut logits = vec![Vec::new(); unread.len()];
        // Rows that read a single token do not pay for the length of the others.
        let (single, several): (Vec<usize>, Vec<usize>) = (0..unread.len()).partition(|&row| unread[row].len() == 1);
        for group in [single, several] {
            let longest = group.iter().map(|&row| unread[row].len()).max().unwrap_or(0);
            for start in (0..longest).step_by(LONGEST_READ) {
                let rows: Vec<usize> = group.iter().copied().filter(|&row| unread[row].len() > start).collect();
                let part = |&row: &usize| &unread[row][start..unread[row].len().min(start + LONGEST_READ)];
                let parts: Vec<&[u32]> = rows.iter().map(part).collect();
                let (last, after) = self.read_window(&rows, &parts, state);
                state = after;
                let is_read = |row: usize| unread[row].len() <= start + LONGEST_READ;
                // Only the logits that are wanted are read back; the others keep the device busy meanwhile.
                if rows.iter().any(|&row| is_read(row)) {
                    let values = to_host(last)?;
                    for (values, &row) in values.chunks(self.model.vocabulary_size()).zip(&rows) {
                        logits[row] = values.to_vec();
                    }
                }
            }
        }
        self.state = Some(state);
        Ok(logits)
    }

    /// Reads one window of the rows `rows`: the logits after the last token of each, `[rows, V]`.
    fn read_window(&self, rows: &[usize], parts: &[&[u32]], state: State) -> (Tensor<2>, State) {
        let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
        let steps = lengths.iter().copied().max().unwrap_or(0);
        let padded = |part: &&[u32]| {
            let padding = std::iter::repeat_n(0, steps - part.len());
            part.iter().map(|&token| token as i32).chain(padding).collect::<Vec<i32>>()
        };
        let tokens = TensorData::new(parts.iter().flat_map(padded).collect(), [rows.len(), steps]);
        let tokens = Tensor::<2, Int>::from_data(tokens, &self.model.device());
        if rows.len() == state.rows() {
            return self.read_tokens(tokens, &lengths, state);
        }
        let (last, after) = self.read_tokens(tokens, &lengths, state.take_rows(rows));
        (last, state.put_rows(rows, after))
    }
}

impl ModelReader<'_> {
    /// On a CPU a token is some hundred short operations, between which no thread should fall asleep.
    fn read_tokens(&self, tokens: Tensor<2, Int>, lengths: &[usize], state: State) -> (Tensor<2>, State) {
        let read = || self.model.read(tokens, lengths, state);
        if self.is_on_cpu { awake(read) } else { read() }
    }
}

impl Reader for ModelReader<'_> {
    fn vocabulary_size(&self) -> usize {
        self.model.vocabulary_size()
    }

    fn read(&mut self, tokens: &[&[u32]]) -> Result<Vec<Vec<f32>>, String> {
        let Some(state) = self.state.take() else {
            // Texts that begin alike are read once.
            let (distinct, places) = distinct(tokens);
            self.windows = vec![Vec::new(); distinct.len()];
            let (unread, state) = self.unread(&distinct, self.model.initial_state(distinct.len()));
            let logits = self.advance(&unread, state)?;
            self.keep(&places);
            return Ok(places.into_iter().map(|place| logits[place].clone()).collect());
        };
        let (unread, state) = self.unread(tokens, state);
        self.advance(&unread, state)
    }

    fn room(&self) -> usize {
        match (self.model.longest_window(), &self.windows[..]) {
            (Some(context), [window]) => context - window.len(),
            // A recurrent state cannot go back.
            _ => 0,
        }
    }

    fn read_each(&mut self, tokens: &[u32]) -> Result<Vec<Vec<f32>>, String> {
        let state = self.state.take().ok_or("nothing was read before")?;
        let data = TensorData::new(tokens.iter().map(|&token| token as i32).collect(), [1, tokens.len()]);
        let read = Tensor::<2, Int>::from_data(data, &self.model.device());
        let (logits, state) = self.model.forward_ragged(read, &[tokens.len()], state);
        self.windows.iter_mut().for_each(|window| window.extend(tokens));
        self.state = Some(state);
        let values = to_host(logits.squeeze_dim(0))?;
        Ok(values.chunks(self.model.vocabulary_size()).map(<[f32]>::to_vec).collect())
    }

    fn forget(&mut self, count: usize) {
        self.state = self.state.take().and_then(|state| state.shortened(count));
        self.windows.iter_mut().for_each(|window| window.truncate(window.len() - count));
    }

    fn keep(&mut self, rows: &[usize]) {
        self.state = self.state.take().map(|state| state.take_rows(rows));
        self.windows = rows.iter().map(|&row| self.windows[row].clone()).collect();
    }
}

/// The different texts, and which of them each text is.
fn distinct<'a>(texts: &[&'a [u32]]) -> (Vec<&'a [u32]>, Vec<usize>) {
    let mut distinct: Vec<&[u32]> = Vec::new();
    let place = |text: &&'a [u32]| {
        distinct.iter().position(|other| other == text).unwrap_or_else(|| {
            distinct.push(text);
            distinct.len() - 1
        })
    };
    let places = texts.iter().map(place).collect();
    (distinct, places)
}

/// The window of a transformer after `tokens` came, and whether they could be added to the one that was there. If not,
/// the new window is the end of the text: half a context, but of a text that is read for the first time a whole one.
pub(super) fn slide(window: &[u32], tokens: &[u32], context: usize) -> (Vec<u32>, bool) {
    let mut all = [window, tokens].concat();
    let fits = all.len() <= context;
    if !fits {
        let kept = if window.is_empty() { context } else { (context / 2).max(1) };
        all.drain(..all.len() - kept);
    }
    (all, fits)
}

fn to_host(logits: Tensor<2>) -> Result<Vec<f32>, String> {
    let data = logits.try_into_data().map_err(|error| error.to_string())?;
    data.try_into_vec_as::<f32>().map_err(|error| error.to_string())
}
