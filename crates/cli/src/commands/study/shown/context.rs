//! The use of context.

use kiln_convergence::Band;
use kiln_figures::{Axis, Chart};
use kiln_study::context::ContextFindings;

use super::{Numbers, Picture, Shown, bands, edges, short, table, with_band};

pub(super) fn show(found: &[ContextFindings]) -> Shown {
    let over = match found.first() {
        Some(first) if first.over_repeats => "the trainings",
        _ => "places of the text",
    };
    let losses =
        curves("What context is worth", "tokens of context", Axis::linear("loss, nats"), found, |model| &model.losses);
    let y = Axis::logarithmic("divergence, nats");
    let divergences =
        curves("What a token back is worth", "how far back, tokens", y, found, |model| &model.divergences);
    let pictures = vec![
        Picture::of(
            "losses",
            &losses,
            format!("The loss of a token by how many tokens before it the model reads. Bands: 95 % over {over}."),
        ),
        Picture::of(
            "divergences",
            &divergences,
            "How far a prediction moves (Kullback-Leibler divergence) where the token so far back is another one.",
        ),
    ];
    let row = |model: &ContextFindings| {
        let all = model.losses.last().map(|last| last.1);
        let mut row = vec![model.name.clone()];
        row.extend(model.losses.iter().map(|(_, band)| with_band(*band, 3)));
        row.push(used(model).map_or_else(String::new, |tokens| tokens.to_string()));
        all.map(|_| row)
    };
    let mut header = vec!["model".to_owned()];
    header.extend(found.first().iter().flat_map(|model| &model.losses).map(|(tokens, _)| format!("with {tokens}")));
    header.push("used".to_owned());
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    Shown {
        sentences: found.iter().filter_map(sentence).collect(),
        pictures,
        tables: vec![table(
            "The loss by tokens of context, nats; used: the fewest tokens whose loss is within 0.01 of the lowest.",
            &header,
            found.iter().filter_map(row).collect(),
        )],
        numbers: vec![numbers(found)],
    }
}

fn curves(
    title: &str,
    x: &str,
    y: Axis,
    found: &[ContextFindings],
    of: fn(&ContextFindings) -> &Vec<(usize, Band)>,
) -> Chart {
    let curve = |model: &ContextFindings| {
        (model.name.clone(), of(model).iter().map(|(place, band)| (*place as f64, edges(*band))).collect())
    };
    bands(title, Axis::logarithmic(x), y, found.iter().map(curve).collect())
}

/// With how many tokens the loss is within 0.01 of the lowest.
fn used(model: &ContextFindings) -> Option<usize> {
    let lowest = model.losses.iter().map(|(_, band)| band.mean).fold(f64::INFINITY, f64::min);
    model.losses.iter().find(|(_, band)| band.mean <= lowest + 0.01).map(|(tokens, _)| *tokens)
}

fn sentence(model: &ContextFindings) -> Option<String> {
    let ((_, one), (tokens, all)) = (model.losses.first()?, model.losses.last()?);
    Some(format!(
        "{}: the loss falls from {} nats with one token of context to {} with {tokens}; {} of them bring it within \
         0.01 of its lowest.",
        model.name,
        short(one.mean),
        short(all.mean),
        used(model)?
    ))
}

fn numbers(found: &[ContextFindings]) -> Numbers {
    let mut rows = Vec::new();
    for model in found {
        for (what, curve) in [("loss", &model.losses), ("divergence", &model.divergences)] {
            for (tokens, band) in curve {
                rows.push(vec![
                    model.name.clone(),
                    what.to_owned(),
                    tokens.to_string(),
                    band.mean.to_string(),
                    band.half_width.to_string(),
                ]);
            }
        }
    }
    Numbers { ending: "context", header: vec!["model", "what", "tokens", "nats", "half_width"], rows }
}
