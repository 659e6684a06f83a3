//! The report of all experiments as one page.

use super::made::Drawn;
use super::words;
use kiln_figures::{Block, Page, Section, Table};

/// The page of all experiments.
pub(super) fn page(title: &str, drawn: &[Drawn]) -> Page {
    Page {
        title: title.into(),
        introduction: vec![
            "F is strongly convex with constant c, its gradient Lipschitz continuous with constant L, and the gradient \
             of a mini-batch of b samples has variance σ²/b. At a constant rate η ≤ 1/L the expected error is at most \
             (1 − ηc)^t (F(w₀) − F* − floor) + floor with floor = ηLσ²/(2cb) (Bottou, Curtis and Nocedal, \
             “Optimization Methods for Large-Scale Machine Learning”, 2018, Theorem 4.6); without noise the floor is \
             0. At rates β/(γ + t) with β > 1/c and β/γ ≤ 1/L it is at most ν/(γ + t) with ν = max(β²Lσ²/(2b(βc − 1)), \
             γ(F(w₀) − F*)) (Theorem 4.7). A rate that is halved whenever the error is down to twice the floor drives \
             it to 0 (section 4.2)."
                .into(),
            "Curves with random gradients are means over independent repeats. A mean is called above its bound, or off \
             its exact expectation, only where chance does not explain it: with a probability of 95 % no right curve \
             of an experiment is called wrong at any update. A fit stands beside the same fit to the exact \
             expectation, and beside what theory says it becomes in the end."
                .into(),
        ],
        sections: drawn.iter().map(section).collect(),
    }
}

fn section(drawn: &Drawn) -> Section {
    let Drawn { made, pictures } = drawn;
    let mut blocks: Vec<Block> = made.experiment.explanation.iter().cloned().map(Block::Paragraph).collect();
    for (picture, svg) in pictures {
        blocks.push(Block::Picture { svg: svg.clone(), caption: picture.caption.clone() });
    }
    blocks.extend(words::facts(made).into_iter().map(Block::Paragraph));
    let header = words::COLUMNS.map(str::to_string).to_vec();
    blocks.push(Block::Table(Table { caption: words::LEGEND.into(), header, rows: words::rows(made) }));
    blocks.extend(words::remarks(made).into_iter().map(Block::Paragraph));
    if let Some((header, rows)) = words::iterations(made) {
        let caption = words::fit_legend(made);
        blocks.push(Block::Table(Table { caption, header, rows }));
    }
    Section { heading: made.experiment.title.clone(), blocks }
}
