//! Models at equal budgets.

use kiln_figures::{Axis, Chart, Series};
use kiln_study::families::{Comparison, Entrant, FamilyFindings};
use kiln_study::{Equal, Study};

use super::{Numbers, Picture, Shown, short, table, with_band};

pub(super) fn show(study: &Study, found: &[FamilyFindings]) -> Shown {
    let mut shown = Shown::default();
    for budget in found {
        let name = equal(budget.equal);
        shown.sentences.push(sentence(study, budget));
        shown.pictures.push(curves(budget));
        let header = ["model", "parameters", "updates", "tokens", "FLOPs", "seconds", "validation loss"];
        shown.tables.push(table(
            &format!(
                "Equal {name}. The loss is in nats per token, ± its 95 % interval over {} trainings.",
                study.seeds
            ),
            &header,
            budget.entrants.iter().map(row).collect(),
        ));
        let header = ["better", "worse", "difference", "p", "p by Holm", ""];
        let caption = format!("Equal {name}: each pair, by Student's test for pairs of trainings with one seed.");
        shown.tables.push(table(&caption, &header, budget.comparisons.iter().map(compared).collect()));
    }
    shown.numbers.push(numbers(found));
    shown
}

fn equal(equal: Equal) -> &'static str {
    match equal {
        Equal::Parameters => "parameters and tokens",
        Equal::Tokens => "tokens",
        Equal::Flops => "floating-point operations",
        Equal::Seconds => "seconds on this machine",
    }
}

fn row(entrant: &Entrant) -> Vec<String> {
    vec![
        entrant.name.clone(),
        entrant.parameters.to_string(),
        entrant.steps.to_string(),
        entrant.tokens.to_string(),
        format!("{:.2e}", entrant.flops),
        short(entrant.seconds),
        with_band(entrant.loss, 4),
    ]
}

fn compared(comparison: &Comparison) -> Vec<String> {
    let probability = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), short);
    vec![
        comparison.better.clone(),
        comparison.worse.clone(),
        with_band(comparison.paired.difference, 4),
        probability(comparison.paired.probability),
        probability(comparison.corrected),
        if comparison.is_significant() { "significant" } else { "" }.to_owned(),
    ]
}

/// What is significant.
fn sentence(study: &Study, budget: &FamilyFindings) -> String {
    let name = equal(budget.equal);
    if study.seeds < 2 {
        return format!("At equal {name}: with one training of each, the differences may come from the seed alone.");
    }
    let of = |significant: bool| -> Vec<String> {
        let chosen = budget.comparisons.iter().filter(|comparison| comparison.is_significant() == significant);
        chosen.map(|Comparison { better, worse, .. }| format!("{better} over {worse}")).collect()
    };
    let (significant, noise) = (of(true), of(false));
    let better = if significant.is_empty() {
        "no model is significantly better than another".to_owned()
    } else {
        format!("significantly better is {}", significant.join(", "))
    };
    let others = if noise.is_empty() { String::new() } else { format!("; chance may explain {}", noise.join(", ")) };
    format!("At equal {name}, {} trainings each: {better}{others}.", study.seeds)
}

fn curves(budget: &FamilyFindings) -> Picture {
    let along = |entrant: &Entrant, share: f64| match budget.equal {
        Equal::Parameters | Equal::Tokens => share * entrant.tokens as f64,
        Equal::Flops => share * entrant.flops,
        Equal::Seconds => share * entrant.seconds,
    };
    let label = match budget.equal {
        Equal::Parameters | Equal::Tokens => "tokens",
        Equal::Flops => "floating-point operations",
        Equal::Seconds => "seconds",
    };
    let curve = |(colour, entrant): (usize, &Entrant)| {
        let all = entrant.tokens as f64;
        let points = entrant.curve.iter().map(|(tokens, loss)| (along(entrant, tokens / all), *loss)).collect();
        Series::curve(format!("{}, {} parameters", entrant.name, entrant.parameters), colour, points)
    };
    let chart = Chart {
        title: format!("Equal {}", equal(budget.equal)),
        x: Axis::logarithmic(label),
        y: Axis::linear("training loss, nats per token"),
        series: budget.entrants.iter().enumerate().map(curve).collect(),
        note: None,
    };
    let ending = match budget.equal {
        Equal::Parameters => "parameters",
        Equal::Tokens => "tokens",
        Equal::Flops => "flops",
        Equal::Seconds => "seconds",
    };
    let caption = format!("The mean training loss over {label}, at equal {}.", equal(budget.equal));
    Picture::of(ending, &chart, caption)
}

fn numbers(found: &[FamilyFindings]) -> Numbers {
    let mut rows = Vec::new();
    for budget in found {
        for entrant in &budget.entrants {
            for (repeat, loss) in entrant.losses.iter().enumerate() {
                rows.push(vec![
                    equal(budget.equal).to_owned(),
                    entrant.name.clone(),
                    (repeat + 1).to_string(),
                    entrant.parameters.to_string(),
                    entrant.steps.to_string(),
                    entrant.tokens.to_string(),
                    entrant.flops.to_string(),
                    entrant.seconds.to_string(),
                    loss.to_string(),
                ]);
            }
        }
    }
    let header = vec!["equal", "model", "repeat", "parameters", "updates", "tokens", "flops", "seconds", "loss"];
    Numbers { ending: "losses", header, rows }
}
