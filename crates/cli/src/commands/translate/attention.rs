//! Where each token of a translation looks in its source: the cross-attention, as a picture.

use std::fmt::Write;
use std::path::Path;

use anyhow::Context;
use burn::tensor::{Int, Tensor, TensorData};
use kiln_models::LanguageModel;
use kiln_models::saved::SavedModel;

/// The side of a square, and room for words beside and above, in pixels.
const SQUARE: usize = 18;
const MARGIN: usize = 130;

/// Draws the mean over the heads and blocks of the decoder: a row for each token of the translation, a column for each
/// of the source, darker where more is looked at.
pub(super) fn draw(saved: &SavedModel, source: &[u32], target: &[u32], path: &Path) -> anyhow::Result<()> {
    let LanguageModel::EncoderDecoder(model) = &saved.model else { return Ok(()) };
    let end = saved.tokenizer.end_token().context("the tokenizer has no token that ends a text")?;
    let read = [source, &[end]].concat();
    let inputs = [&[end], target].concat();
    let tensor = |tokens: &[u32]| {
        let ids: Vec<i32> = tokens.iter().map(|token| *token as i32).collect();
        Tensor::<2, Int>::from_data(TensorData::new(ids, [1, tokens.len()]), &saved.model.device())
    };
    let weights = model.cross_attention_weights(tensor(&read), tensor(&inputs));
    let count = weights.len().max(1);
    let means = weights.into_iter().map(|weights| weights.mean_dim(0)).reduce(|sum, other| sum + other);
    let means = means.context("--attention: the model looks at no token of its source by itself")?;
    let means = means.div_scalar(count as f64);
    let means: Vec<f32> = means.try_into_data().map_err(|error| anyhow::anyhow!("{error}"))?.iter().collect();
    let words = |tokens: &[u32]| tokens.iter().map(|token| saved.tokenizer.decode(&[*token])).collect::<Vec<String>>();
    let written = [target, &[end]].concat();
    let picture = picture(&words(&read), &words(&written), &means);
    std::fs::write(path, picture).with_context(|| format!("cannot write {}", path.display()))
}

/// The weights `[rows, columns]` as squares.
fn picture(columns: &[String], rows: &[String], weights: &[f32]) -> String {
    let (width, height) = (MARGIN + SQUARE * columns.len() + 10, MARGIN + SQUARE * rows.len() + 10);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} \
         {height}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" \
         fill=\"white\"/>\n"
    );
    // Writing into a string can't fail.
    let mut put = |line: std::fmt::Arguments<'_>| _ = svg.write_fmt(line);
    for (index, word) in columns.iter().enumerate() {
        let (x, y) = (MARGIN + SQUARE * index + SQUARE / 2 + 4, MARGIN - 6);
        put(format_args!("<text transform=\"translate({x},{y}) rotate(-60)\">{}</text>\n", escaped(word)));
    }
    for (index, word) in rows.iter().enumerate() {
        let (x, y) = (MARGIN - 6, MARGIN + SQUARE * index + SQUARE / 2 + 4);
        put(format_args!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"end\">{}</text>\n", escaped(word)));
    }
    for (row, weights) in weights.chunks(columns.len().max(1)).enumerate() {
        for (column, weight) in weights.iter().enumerate() {
            let (x, y) = (MARGIN + SQUARE * column, MARGIN + SQUARE * row);
            put(format_args!(
                "<rect x=\"{x}\" y=\"{y}\" width=\"{SQUARE}\" height=\"{SQUARE}\" fill=\"#1f4e79\" \
                 fill-opacity=\"{weight:.3}\" stroke=\"#dddddd\" \
                 stroke-width=\"0.5\"><title>{weight:.3}</title></rect>\n"
            ));
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Text within SVG, with blanks to be seen.
fn escaped(text: &str) -> String {
    let text =
        if text.trim().is_empty() { text.replace(' ', "\u{2423}").replace('\n', "\u{23CE}") } else { text.to_owned() };
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_square_for_each_pair_of_tokens_and_every_word() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
        let picture = picture(&words(&["a", "<|end|>"]), &words(&["b", " ", "c"]), &[0.0, 1.0, 0.25, 0.75, 0.5, 0.5]);
        assert_eq!(picture.matches("<title>").count(), 6);
        assert!(picture.contains("fill-opacity=\"0.250\"") && picture.contains(">&lt;|end|&gt;</text>"), "{picture}");
        assert!(picture.contains(">\u{2423}</text>"));
    }
}
