//! The file, with the reason of every choice beside it.

use std::fmt::Write as _;

use serde_json::Value;

use kiln_training::misleading::MOST_PASSES;

use super::Family;
use super::ladder::{self, Size};
use super::measure::Measured;
use super::plan::{Plan, Tokens};
use super::text::Text;
use crate::device::Chosen;
use crate::training_display::{duration, grouped};

/// The configuration with everything that was found out in its comments.
pub(super) fn configuration(plan: &Plan, text: &Text, tried: &[Measured], best: &Measured, chosen: &Chosen) -> String {
    let mut head = format!(
        "# Written by `kiln new` for {} characters of text and {} minutes on this device:\n# {}\n#\n",
        grouped(text.characters),
        plan.minutes,
        chosen.description.replace('\n', " ")
    );
    head += "# Sizes that were timed, each with its update, the updates that fit into the minutes, and the loss that \
             the\n\
             # formulas of Hoffmann et al. 2022 (arXiv:2203.15556) and Muennighoff et al. 2023 (arXiv:2305.16264)\n\
             # expect (its unit is that of large models; the lowest was taken):\n#\n";
    for measured in tried {
        let _ = writeln!(
            head,
            "#   {:<32} {:>12} parameters {:>9.1} ms {:>9.3}",
            measured.size.words(plan.family),
            grouped(measured.parameters),
            1e3 * measured.seconds,
            plan.expected_loss(measured)
        );
    }
    let _ = writeln!(
        head,
        "#\n# Expected: {} updates of {:.1} ms, {:.1} passes over {} training tokens, about {} in all.\n\
         # More minutes: `kiln new` again, which will choose another size, too; or `run.steps`.\n",
        grouped(plan.steps),
        1e3 * best.seconds,
        plan.passes(best),
        grouped(best.training_tokens),
        duration(plan.expected_seconds(best))
    );
    head + &settings(plan, text)
}

/// A configuration to be edited, for a text that is not there yet.
pub(super) fn start(family: Family) -> String {
    let text = Text::to_be_named();
    let mut plan = Plan::new(&text, 5.0, family, false);
    plan.size = ladder::sizes(family)[1];
    let head = "# A start: put your text into `paths`, then `kiln check` says what the run needs, and how long it \
                takes.\n\
                # `kiln new NAME --text FILE --minutes N` chooses sizes, steps and rate for a text and this \
                machine.\n\n";
    head.to_owned() + &settings(&plan, &text)
}

/// The sections, each with the rules behind it.
pub(super) fn settings(plan: &Plan, text: &Text) -> String {
    [data(text), tokenizer(plan, text), model(plan), optimizer(), schedule(plan), run(plan, text)].join("\n")
}

fn quoted(text: &str) -> String {
    // TOML's basic strings escape as JSON's do.
    Value::from(text).to_string()
}

fn list(texts: &[String]) -> String {
    format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
}

fn data(text: &Text) -> String {
    let mut section = "seed = 1337\n\n[data]\n".to_owned();
    match &text.data.validation {
        Some(validation) => {
            section += "# Documents are often in an order, so that the last ones would be of another kind.\n";
            let _ = writeln!(section, "validation = {}", quoted(validation));
        }
        None => {
            section +=
                "# The last tenth is not trained on; its loss says what was learned.\nvalidation-fraction = 0.1\n"
        }
    }
    if let Some(separator) = &text.data.separator {
        let words = if separator.is_empty() { "Each file is a document" } else { "What stands between documents" };
        let _ =
            writeln!(section, "# {words}, and <|end|> is the token that ends one.\nseparator = {}", quoted(separator));
    }
    let paths = text.data.file.as_ref().map(|file| list(&file.paths)).unwrap_or_default();
    section
        + &format!(
            "\n[data.file]\n# Looked for beside this file first, then where `kiln` is started.\npaths = {paths}\n"
        )
}

/// `byte pairs, 1,024 in all`
pub(super) fn tokens_words(plan: &Plan) -> String {
    match plan.tokens {
        Tokens::Characters => "characters".to_owned(),
        Tokens::Bytes => "bytes".to_owned(),
        Tokens::BytePairs(entries) => format!("byte pairs, a vocabulary of {}", grouped(entries as u64)),
    }
}

fn tokenizer(plan: &Plan, text: &Text) -> String {
    let end = if text.data.separator.is_some() { "special-tokens = [\"<|end|>\"]\n" } else { "" };
    match plan.tokens {
        Tokens::Characters => format!(
            "# A token for each character: the text is too short to learn pieces of words from, each of which should\n\
             # occur 100 times or more (Gowda and May 2020, arXiv:2004.02334).\n[tokenizer.character]\n\
             unknown = \"token\"\n{end}"
        ),
        Tokens::Bytes => format!(
            "# A token for each byte: the text is too short to learn pieces of words from, and has too many different\n\
             # characters for a token each.\n[tokenizer.byte]\n{end}"
        ),
        Tokens::BytePairs(entries) => format!(
            "# Pieces of words, about one for each 1,000 bytes of the text, so that most occur 100 times or more \
             (Gowda\n\
             # and May 2020, arXiv:2004.02334). A window and an update then hold more text than with characters: 0.25\n\
             # bits a byte better at equal time on a text of 1.1 MB.\n[tokenizer.byte-pair]\nvocabulary-size = \
             {entries}\n"
        ),
    }
}

fn model(plan: &Plan) -> String {
    let Size { layers, width } = plan.size;
    let dropout = format!("{:?}", plan.dropout);
    let reason = "# 0.1 only where a model has more numbers than the text has tokens and reads it more than twelve \
                  times, so\n\
                  # that it could memorize it.\n";
    match plan.family {
        Family::Transformer => format!(
            "# Rotary positions, RMS norms, normalised queries and keys and squared ReLU: 0.38 bits a byte better than \
             the\n\
             # defaults at equal time (20 s on two cores, 128 wide, byte pairs of a text of 1.1 MB). For `kiln export` \
             take\n\
             # `activation = \"swiglu\"`: no model of other programs has a squared ReLU with the rest.\n\
             [model.transformer]\nlayers = {layers}\nheads = {}\nwidth = {width}\nposition = \"rotary\"\n\
             norm = \"rms\"\nquery-key-norm = true\nactivation = \"relu-squared\"\n{reason}dropout = {dropout}\n",
            plan.size.heads()
        ),
        family => {
            format!("[model.{}]\nlayers = {layers}\nhidden = {width}\n{reason}dropout = {dropout}\n", family.name())
        }
    }
}

fn optimizer() -> String {
    "[optimizer.adamw]\nbetas = [0.9, 0.99]\nweight-decay = 0.1\n".to_owned()
}

fn schedule(plan: &Plan) -> String {
    format!(
        "# Up in the first twentieth of the updates (set `warmup` with `run.steps`), then half a cosine down. `kiln\n\
         # find-rate` tries rates on this very model; wider ones need lower rates, by the root of the width here.\n\
         [schedule.cosine]\nrate = {:e}\nfinal-rate = {:e}\nwarmup = {}\n",
        plan.rate(),
        plan.rate() / 50.0,
        plan.warmup()
    )
}

fn run(plan: &Plan, text: &Text) -> String {
    let windows = match plan.family {
        Family::Transformer => "shuffled",
        _ if plan.streams => "streams",
        _ => "shuffled",
    };
    let (every, steps) = (plan.evaluate_every(), plan.steps);
    let mut section = format!(
        "[run]\n# What fits into the minutes after a second to start, 3 % for samples and checkpoints, and \
         evaluations; but\n\
         # at most {MOST_PASSES} passes over the text, after which more of them teach next to nothing \
         (arXiv:2305.16264).\n\
         steps = {steps}\n# Small batches give the most updates on a processor; a GPU wants large ones.\n\
         batch = {}\ncontext = {}\n",
        plan.batch, plan.context
    );
    if plan.family != Family::Transformer {
        section += "# Streams carry the state through the text; below one pass they would never see the end of it.\n";
    }
    let _ = write!(
        section,
        "windows = \"{windows}\"\nclip-norm = 1.0\n\
         # Ten times in the run; of a long validation split the part that takes a twentieth of the minutes.\n\
         evaluate-every = {every}\nevaluate-fraction = {:?}\ncheckpoint-every = {every}\nlog-every = {}\n\
         # Samples begin with the text's own first words{}.\nsample-every = {}\nprompts = {}\nsample-tokens = 150\n",
        plan.evaluate_fraction,
        plan.log_every(),
        if text.prompts.len() > 1 { ", and with a new line" } else { "" },
        plan.sample_every(),
        list(&text.prompts)
    );
    section
}
