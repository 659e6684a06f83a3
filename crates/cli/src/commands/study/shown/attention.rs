//! Where heads look.

use kiln_figures::{Cell, Heat, Table, heat_svg};
use kiln_study::attention::{AllScores, AttentionFindings, AttentionMaps, HeadScores, Map};

use super::{Numbers, Picture, Shown, file_name, short, table};

pub(super) fn show(found: &[AttentionFindings]) -> Shown {
    let mut shown = Shown::default();
    for model in found {
        let [maps, rollout] = maps_chart(&model.name, &model.maps);
        let caption = "What each head gives to each token of a text: rows are the tokens that look, columns those that \
                       are looked at. Where the pointer rests on a cell, it says its weight.";
        let name = file_name(&model.name);
        shown.pictures.push(Picture { ending: format!("maps-{name}"), svg: maps, caption: caption.to_owned() });
        let caption = "Attention rollout: how much of each token reaches each token through all layers, half of each \
                       going past the attention.";
        shown.pictures.push(Picture { ending: format!("rollout-{name}"), svg: rollout, caption: caption.to_owned() });
        shown.tables.push(head_table(&model.name, &model.scores));
        shown.sentences.extend(sentences(model));
    }
    shown.numbers.push(numbers(found));
    shown
}

/// Pictures of all heads, and of the rollout.
pub(in crate::commands::study) fn maps_chart(name: &str, maps: &AttentionMaps) -> [String; 2] {
    let all: Vec<Heat> = heads(maps).collect();
    // Fewer side by side where there are many tokens, whose names are to be read.
    let columns = maps.maps.first().map_or(1, Vec::len).clamp(1, if maps.tokens.len() > 12 { 2 } else { 4 });
    let title = format!("Where the heads of {name} look");
    let through = heat("all layers", &maps.tokens, &maps.rollout);
    [heat_svg(&all, columns, &title), heat_svg(&[through], 1, &format!("Attention rollout of {name}"))]
}

/// The map of each head.
pub(in crate::commands::study) fn heads(maps: &AttentionMaps) -> impl Iterator<Item = Heat> {
    maps.maps.iter().enumerate().flat_map(move |(layer, heads)| {
        heads
            .iter()
            .enumerate()
            .map(move |(head, map)| heat(&format!("layer {}, head {}", layer + 1, head + 1), &maps.tokens, map))
    })
}

fn heat(title: &str, tokens: &[String], map: &Map) -> Heat {
    let cell = |query: usize, key: usize| {
        let share = map.at(query, key);
        let words = format!("{:?} ({}) looks at {:?} ({}): {share:.3}", tokens[query], query + 1, tokens[key], key + 1);
        (key <= query).then(|| Cell { share, letter: String::new(), words })
    };
    let row = |query: usize| (0..map.tokens).map(|key| cell(query, key)).collect();
    Heat {
        title: title.to_owned(),
        rows: tokens.to_vec(),
        columns: tokens.to_vec(),
        cells: (0..map.tokens).map(row).collect(),
    }
}

/// The scores of all heads.
fn head_table(name: &str, AllScores { heads: scores, even }: &AllScores) -> Table {
    let cells = |label: String, scores: &HeadScores| {
        let HeadScores { distance, entropy, previous, induction } = *scores;
        let mut row = vec![label];
        row.extend([distance, entropy, previous, induction].map(short));
        row
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (layer, heads) in scores.iter().enumerate() {
        for (head, scores) in heads.iter().enumerate() {
            rows.push(cells(format!("layer {}, head {}", layer + 1, head + 1), scores));
        }
    }
    rows.push(cells("an even one".to_owned(), even));
    table(
        "Means over windows of the text and their tokens, in tokens and nats; the induction score is the weight of the \
         token behind the earlier copy, on random tokens that come twice. An even head gives the same to every \
         token that it sees.",
        &[name, "distance", "entropy", "previous token", "induction"],
        rows,
    )
}

fn sentences(model: &AttentionFindings) -> Vec<String> {
    let of = |what: &str, score: fn(&HeadScores) -> f64| {
        let all = model.scores.heads.iter().enumerate();
        let all =
            all.flat_map(|(layer, heads)| heads.iter().enumerate().map(move |(head, found)| (layer, head, found)));
        let (layer, head, found) = all.max_by(|left, right| score(left.2).total_cmp(&score(right.2)))?;
        let (score, even) = (score(found), score(&model.scores.even));
        let kind = if score > 0.5 { format!("There is {what}") } else { format!("No head is {what}") };
        Some(format!(
            "{kind}: the highest score is {}, of layer {}, head {} of {}; an even head has {}.",
            short(score),
            layer + 1,
            head + 1,
            model.name,
            short(even)
        ))
    };
    let found = [of("a previous-token head", |found| found.previous), of("an induction head", |found| found.induction)];
    found.into_iter().flatten().collect()
}

fn numbers(found: &[AttentionFindings]) -> Numbers {
    let mut rows = Vec::new();
    for model in found {
        for (layer, heads) in model.scores.heads.iter().enumerate() {
            for (head, scores) in heads.iter().enumerate() {
                let HeadScores { distance, entropy, previous, induction } = *scores;
                let mut row = vec![model.name.clone(), (layer + 1).to_string(), (head + 1).to_string()];
                row.extend([distance, entropy, previous, induction].map(|score| score.to_string()));
                rows.push(row);
            }
        }
    }
    let header = vec!["model", "layer", "head", "distance", "entropy", "previous_token", "induction"];
    Numbers { ending: "heads", header, rows }
}
