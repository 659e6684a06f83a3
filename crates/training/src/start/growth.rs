//! A model made wider or deeper that computes what it did: copies of units that share what one passed on.
//!
//! Wider: each new unit is a copy of an old one, and what a unit and its copies pass on are shares of what the unit
//! passed on before, which add up to it (Chen, Goodfellow and Shlens, "Net2Net: Accelerating Learning via Knowledge
//! Transfer", 2016, <https://arxiv.org/abs/1511.05641>, section 2.2). The shares are drawn, so that copies learn
//! different things. Deeper: new blocks are copies whose parts add nothing yet, above the others (Wu et al., "LLaMA
//! Pro", 2024, <https://arxiv.org/abs/2401.02415>, section 3.2).

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use kiln_kernels::fill_uniform;
use kiln_models::{LstmConfig, ModelConfig, NormPlacement, TransformerConfig};

/// The tensors of a model of the configuration `to` that compute what `tensors`, of the configuration `from`, do.
///
/// # Errors
/// What cannot grow, in words.
pub(super) fn grown(
    tensors: BTreeMap<String, TensorData>,
    from: &ModelConfig,
    to: &ModelConfig,
) -> Result<BTreeMap<String, TensorData>, Vec<String>> {
    match (from, to) {
        (ModelConfig::Transformer(from), ModelConfig::Transformer(to)) => {
            let problems = transformer_problems(from, to);
            if !problems.is_empty() {
                return Err(problems);
            }
            let axes = TransformerAxes::new(from, to);
            let mut grown: BTreeMap<String, TensorData> =
                tensors.into_iter().map(|(path, data)| (path.clone(), axes.tensor(&path, &data))).collect();
            deepen(&mut grown, [from.layers, to.layers], to.norm_placement);
            Ok(grown)
        }
        _ => grown_recurrent(tensors, from, to),
    }
}

/// `from` with the sizes of `to`: what has to be the configuration of the grown model.
pub(super) fn resized(from: &ModelConfig, to: &ModelConfig) -> ModelConfig {
    let mut resized = from.clone();
    match (&mut resized, to) {
        (ModelConfig::Transformer(resized), ModelConfig::Transformer(to)) => {
            (resized.layers, resized.heads, resized.width) = (to.layers, to.heads, to.width);
            resized.key_value_heads = to.key_value_heads;
            resized.head_width = to.head_width;
            resized.feed_forward = to.feed_forward;
        }
        (ModelConfig::Rnn(resized), ModelConfig::Rnn(to)) => {
            (resized.hidden, resized.embedding) = (to.hidden, to.embedding);
        }
        (ModelConfig::Lstm(resized), ModelConfig::Lstm(to)) => {
            (resized.hidden, resized.embedding) = (to.hidden, to.embedding);
        }
        (ModelConfig::Gru(resized), ModelConfig::Gru(to)) => {
            (resized.hidden, resized.embedding) = (to.hidden, to.embedding);
        }
        _ => {}
    }
    resized
}

/// Where each place of an axis comes from.
#[derive(Debug, Clone, PartialEq)]
struct Axis(Vec<usize>);

impl Axis {
    /// `to` places, which go round the `from` old ones.
    fn around(from: usize, to: usize) -> Self {
        Self((0..to).map(|place| place % from).collect())
    }

    /// Each place as `width` neighbours.
    fn of_width(&self, width: usize) -> Self {
        Self(self.0.iter().flat_map(|from| (0..width).map(move |column| from * width + column)).collect())
    }

    /// The axis `count` times, one behind the other, of `length` old places each.
    fn repeated(&self, count: usize, length: usize) -> Self {
        Self((0..count).flat_map(|block| self.0.iter().map(move |from| block * length + from)).collect())
    }

    fn and(mut self, other: &Self, length: usize) -> Self {
        self.0.extend(other.0.iter().map(|from| length + from));
        self
    }

    /// The share that each place has of what its old one passed on; those of one old place add up to 1.
    fn shares(&self, path: &str) -> Vec<f32> {
        let mut weights = vec![0.0; self.0.len()];
        let stream = path.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(u32::from(byte)));
        fill_uniform(0, stream, 0.5, &mut weights);
        let old = self.0.iter().max().map_or(0, |last| last + 1);
        let mut sums = vec![0.0; old];
        weights.iter_mut().zip(&self.0).for_each(|(weight, from)| {
            *weight += 1.0;
            sums[*from] += *weight;
        });
        weights.iter().zip(&self.0).map(|(weight, from)| weight / sums[*from]).collect()
    }
}

/// Rows and columns of a matrix, or the places of a vector as columns; `None` stays as it is.
fn spread(path: &str, data: &TensorData, rows: Option<&Axis>, columns: Option<&Axis>) -> TensorData {
    let values: Vec<f32> = data.iter::<f32>().collect();
    let shape = data.shape().to_vec();
    let width = shape.last().copied().unwrap_or(1);
    let same = |length: usize| Axis((0..length).collect());
    let (of_rows, of_columns) = (same(values.len() / width), same(width));
    let columns = columns.unwrap_or(&of_columns);
    let shares = rows.map(|rows| rows.shares(path));
    let mut spread = Vec::new();
    for (row, from) in rows.unwrap_or(&of_rows).0.iter().enumerate() {
        let share = shares.as_ref().map_or(1.0, |shares| shares[row]);
        let old = &values[from * width..(from + 1) * width];
        spread.extend(columns.0.iter().map(|column| old[*column] * share));
    }
    let mut grown = shape;
    if let [first, .., last] = grown.as_mut_slice() {
        (*first, *last) = (rows.map_or(*first, |rows| rows.0.len()), columns.0.len());
    } else if let [only] = grown.as_mut_slice() {
        *only = columns.0.len();
    }
    TensorData::new(spread, grown)
}

/// The same of a vector whose numbers are shares of what is passed on.
fn shared(path: &str, data: &TensorData, axis: &Axis) -> TensorData {
    let shares = axis.shares(path);
    let grown = spread(path, data, None, Some(axis));
    let values: Vec<f32> = grown.iter::<f32>().zip(shares).map(|(value, share)| value * share).collect();
    TensorData::new(values, grown.shape().to_vec())
}

/// The axes of a transformer's tensors.
struct TransformerAxes {
    stream: Axis,
    query_key_value: Axis,
    attended: Axis,
    feed_forward_columns: Axis,
    feed_forward: Axis,
    /// Columns of norms over all heads, of queries and of keys.
    head_norms: Option<[Axis; 2]>,
    is_tied: bool,
    /// What embeddings are multiplied with, so that a factor of the width cancels.
    embedding_factor: f32,
}

impl TransformerAxes {
    fn new(from: &TransformerConfig, to: &TransformerConfig) -> Self {
        let width = from.head_width();
        let [old, new] = [from, to].map(|config| [config.key_value_heads(), config.heads / config.key_value_heads()]);
        let key_values = Axis::around(old[0], new[0]);
        // Query heads by their keys and values, so that copies see the copies of what they saw.
        let head = |place: usize| (place / new[1] % old[0]) * old[1] + place % new[1] % old[1];
        let heads = Axis((0..to.heads).map(head).collect()).of_width(width);
        let key_values = key_values.of_width(width);
        let (queries, keys) = (from.heads * width, old[0] * width);
        let inner = Axis::around(from.feed_forward_width(), to.feed_forward_width());
        let scaled = from.scaled_embeddings.then(|| (from.width as f32 / to.width as f32).sqrt());
        Self {
            stream: Axis::around(from.width, to.width),
            query_key_value: heads.clone().and(&key_values, queries).and(&key_values, queries + keys),
            feed_forward_columns: inner
                .repeated(from.feed_forward_columns() / from.feed_forward_width(), from.feed_forward_width()),
            feed_forward: inner,
            head_norms: from.has_norms_over_all_heads().then(|| [heads.clone(), key_values]),
            attended: heads,
            is_tied: from.tied,
            embedding_factor: scaled.unwrap_or(1.0),
        }
    }

    fn tensor(&self, path: &str, data: &TensorData) -> TensorData {
        let spread = |rows, columns| spread(path, data, rows, columns);
        let (stream, part) = (Some(&self.stream), path.splitn(3, '.').nth(2).unwrap_or_default());
        match path {
            "token_embedding.weight" => scaled(spread(None, stream), self.embedding_factor),
            "position_embedding.weight" => spread(None, stream),
            "output.weight" => spread(stream, None),
            // The head reads the table as it is, so that the last norm has to share.
            "final_norm.weight" | "final_norm.bias" if self.is_tied => {
                scaled(shared("final_norm", data, &self.stream), 1.0 / self.embedding_factor)
            }
            "final_norm.weight" | "final_norm.bias" => spread(None, stream),
            _ => match (part, &self.head_norms) {
                ("attention.query_key_value.weight", _) => spread(stream, Some(&self.query_key_value)),
                ("attention.query_key_value.bias", _) => spread(None, Some(&self.query_key_value)),
                ("attention.query_norm.weight", Some([queries, _])) => spread(None, Some(queries)),
                ("attention.key_norm.weight", Some([_, keys])) => spread(None, Some(keys)),
                ("attention.query_norm.weight" | "attention.key_norm.weight", None) => data.clone(),
                ("attention.output.weight", _) => spread(Some(&self.attended), stream),
                ("feed_forward.input.weight", _) => spread(stream, Some(&self.feed_forward_columns)),
                ("feed_forward.input.bias", _) => spread(None, Some(&self.feed_forward_columns)),
                ("feed_forward.output.weight", _) => spread(Some(&self.feed_forward), stream),
                // Norms of the stream, and biases of what is added to it.
                _ => spread(None, stream),
            },
        }
    }
}

fn scaled(data: TensorData, factor: f32) -> TensorData {
    let shape = data.shape().to_vec();
    TensorData::new(data.iter::<f32>().map(|value| value * factor).collect::<Vec<f32>>(), shape)
}

/// Copies of blocks above the others, which add nothing.
fn deepen(tensors: &mut BTreeMap<String, TensorData>, [old, new]: [usize; 2], placement: NormPlacement) {
    let ends: &[&str] = match placement {
        NormPlacement::Before => &["attention.output", "feed_forward.output"],
        NormPlacement::After | NormPlacement::Both => &["attention_output_norm", "feed_forward_output_norm"],
    };
    for layer in old..new {
        let prefix = format!("blocks.{}.", layer % old);
        let copies: Vec<(String, TensorData)> = tensors
            .iter()
            .filter_map(|(path, data)| Some((path.strip_prefix(&prefix)?.to_owned(), data.clone())))
            .map(|(part, data)| match ends.iter().any(|end| part.rsplit_once('.').is_some_and(|(of, _)| of == *end)) {
                true => (part, scaled(data, 0.0)),
                false => (part, data),
            })
            .collect();
        tensors.extend(copies.into_iter().map(|(part, data)| (format!("blocks.{layer}.{part}"), data)));
    }
}

fn transformer_problems(from: &TransformerConfig, to: &TransformerConfig) -> Vec<String> {
    let mut problems = Vec::new();
    let mut sizes = vec![
        ("layers", from.layers, to.layers),
        ("heads", from.heads / from.key_value_heads(), to.heads / to.key_value_heads().max(1)),
        ("key-value-heads", from.key_value_heads(), to.key_value_heads()),
        ("feed-forward", from.feed_forward_width(), to.feed_forward_width()),
    ];
    if from.head_width() != to.head_width() {
        problems.push(format!(
            "a head of {} columns can't become one of {}: `heads` has to grow with `width`, or write `head-width = {}`",
            from.head_width(),
            to.head_width(),
            from.head_width()
        ));
    }
    let multiples = [
        ("width", from.width, to.width, true),
        ("heads", from.heads, to.heads, from.has_norms_over_all_heads()),
        ("key-value-heads", from.key_value_heads(), to.key_value_heads(), from.has_norms_over_all_heads()),
    ];
    for (key, old, new, counts) in multiples {
        if counts && (new < old || new % old != 0) {
            problems.push(format!("`{key}` {new} is no multiple of {old}, which the norms need"));
        }
    }
    sizes.retain(|(_, old, new)| new < old);
    problems.extend(sizes.into_iter().map(|(key, old, new)| match key {
        "heads" => format!("{new} heads share a head of keys and values, and {old} in the start model"),
        _ => format!("`{key}` is {new}, less than the start model's {old}"),
    }));
    problems
}

/// H, E, whether the head is the table, and layers.
fn recurrent_sizes(config: &ModelConfig) -> Option<(usize, usize, bool, usize)> {
    let sizes = |hidden, embedding: Option<usize>, tied, layers| (hidden, embedding.unwrap_or(hidden), tied, layers);
    match config {
        ModelConfig::Rnn(config) => Some(sizes(config.hidden, config.embedding, config.tied, config.layers)),
        ModelConfig::Lstm(LstmConfig { hidden, embedding, tied, layers, .. }) => {
            Some(sizes(*hidden, *embedding, *tied, *layers))
        }
        ModelConfig::Gru(config) => Some(sizes(config.hidden, config.embedding, config.tied, config.layers)),
        ModelConfig::Transformer(_) | ModelConfig::EncoderDecoder(_) | ModelConfig::RecurrentEncoderDecoder(_) => None,
    }
}

fn grown_recurrent(
    tensors: BTreeMap<String, TensorData>,
    from: &ModelConfig,
    to: &ModelConfig,
) -> Result<BTreeMap<String, TensorData>, Vec<String>> {
    let (Some((hidden, embedding, is_tied, layers)), Some((new_hidden, new_embedding, _, new_layers))) =
        (recurrent_sizes(from), recurrent_sizes(to))
    else {
        // Which family each is, is said of all starts.
        return Ok(tensors);
    };
    let mut problems = Vec::new();
    for (key, old, new) in [("hidden", hidden, new_hidden), ("embedding", embedding, new_embedding)] {
        if new < old {
            problems.push(format!("`{key}` is {new}, less than the start model's {old}"));
        }
    }
    if new_layers != layers {
        problems.push(format!(
            "`layers` is {new_layers}, and {layers} in the start model: a recurrent layer can't pass on what it reads"
        ));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let gates = from.recurrent_gates();
    let [read, units] = [Axis::around(embedding, new_embedding), Axis::around(hidden, new_hidden)];
    let columns = units.repeated(gates, hidden);
    let grow = |path: &str, data: &TensorData| {
        let part = path.splitn(3, '.').nth(2).unwrap_or_default();
        let spread = |rows, columns| spread(path, data, rows, columns);
        match (path, part) {
            // The head reads the table too, so that its numbers are shares, and the lowest layer takes them as they
            // are.
            ("embedding.weight", _) if is_tied => shared_rows(path, data, &read),
            ("embedding.weight", _) => spread(None, Some(&read)),
            ("layers.0.input_weight", _) if is_tied => copied(data, &read, &columns),
            ("layers.0.input_weight", _) => spread(Some(&read), Some(&columns)),
            (_, "input_weight" | "hidden_weight") => spread(Some(&units), Some(&columns)),
            (_, "bias") => spread(None, Some(&columns)),
            (_, "hidden_bias") => spread(None, Some(&units)),
            ("output.weight", _) => spread(Some(&units), None),
            _ => data.clone(),
        }
    };
    Ok(tensors.iter().map(|(path, data)| (path.clone(), grow(path, data))).collect())
}

/// A table whose columns are shares.
fn shared_rows(path: &str, data: &TensorData, columns: &Axis) -> TensorData {
    let (shares, grown) = (columns.shares(path), spread(path, data, None, Some(columns)));
    let values: Vec<f32> =
        grown.iter::<f32>().enumerate().map(|(place, value)| value * shares[place % shares.len()]).collect();
    TensorData::new(values, grown.shape().to_vec())
}

/// A matrix whose rows are copied as they are.
fn copied(data: &TensorData, rows: &Axis, columns: &Axis) -> TensorData {
    let (values, width) = (data.iter::<f32>().collect::<Vec<f32>>(), data.shape()[1]);
    let copied: Vec<f32> = rows
        .0
        .iter()
        .flat_map(|row| columns.0.iter().map(move |column| row * width + column))
        .map(|at| values[at])
        .collect();
    TensorData::new(copied, [rows.0.len(), columns.0.len()])
}

#[cfg(test)]
mod tests;
