//! The report of all experiments as one page.

use super::made::Drawn;
use super::words;
use kiln_figures::{Block, Embedded, Page, Section, Table};

/// The sliders and the animation: a page of their own making.
const PANEL: Embedded = Embedded {
    html: include_str!("panel/panel.html"),
    style: include_str!("panel/panel.css"),
    script: concat!(include_str!("panel/recursion.js"), "\n", include_str!("panel/panel.js")),
};

/// What theory says, a paragraph each.
const THEORY: [&str; 4] = [
    "F is strongly convex with constant c: it lies above a parabola of curvature c that touches it, wherever that \
     touches. Its gradient is Lipschitz continuous with constant L: F lies below such a parabola of curvature L. The \
     gradient of a mini-batch of b samples is right in the mean and has variance σ²/b. F* is the least value of F, at \
     w*; η is the learning rate.",
    "Theorem 4.6 (Bottou, Curtis and Nocedal, “Optimization Methods for Large-Scale Machine Learning”, 2018). At a \
     constant rate η ≤ 1/L the expected error E F(w_t) − F* is at most (1 − ηc)^t (F(w₀) − F* − floor) + floor with \
     floor = ηLσ²/(2cb): it falls geometrically at a speed that does not depend on b, down to a floor in proportion to \
     η/b. Without noise the floor is 0.",
    "Theorem 4.7. At rates β/(γ + t) with β > 1/c and β/γ ≤ 1/L the expected error is at most ν/(γ + t) with \
     ν = max(β²Lσ²/(2b(βc − 1)), γ(F(w₀) − F*)): it goes to 0 as 1/t.",
    "The halving rule (section 4.2 there). Keep the rate until the error is down to twice its floor, then halve the \
     rate, which halves the floor, and so on. Each halving takes twice as many updates as the one before, so the error \
     falls as 1/t. The rule needs the error and the floor; on a network neither is known, and both have to be \
     estimated from noisy losses.",
];

/// How to read pictures and tables, a paragraph each.
const READING: [&str; 4] = [
    "Curves with random gradients are means over independent repeats, each with draws of its own. Around them is the \
     95 % interval of each mean. Solid is what was measured, dashed the bound of the theorem, dotted the exact \
     expectation, thin a single repeat. Marks tell the curves apart without their colours.",
    "± is everywhere the half-width of a 95 % interval: of the mean over the repeats for errors and floors; for slopes \
     and exponents, over ten groups of repeats that are fitted by themselves. A curve without random gradients has no \
     ±.",
    "A mean is called above its bound, or off its exact expectation, only where chance does not explain it: with a \
     probability of 95 % no right curve of an experiment is called wrong at any update.",
    "A fit stands beside the same fit to the exact expectation, and beside what theory says it becomes in the end; a \
     finite window shows the first, not the second.",
];

/// The page of all experiments.
pub(super) fn page(title: &str, drawn: &[Drawn]) -> Page {
    let text = |heading: &str, paragraphs: &[&str]| Section {
        heading: heading.into(),
        blocks: paragraphs.iter().map(|paragraph| Block::Paragraph((*paragraph).into())).collect(),
    };
    let mut sections = vec![
        text("What theory promises", &THEORY),
        text("How to read the pictures and tables", &READING),
        Section { heading: "Try it".into(), blocks: vec![Block::Embedded(PANEL)] },
    ];
    sections.extend(drawn.iter().map(section));
    Page {
        title: title.into(),
        introduction: vec![
            "Gradient descent and mini-batch stochastic gradient descent on problems whose constants are known, beside \
             what theory says of them."
                .into(),
        ],
        sections,
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
