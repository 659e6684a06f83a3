//! Rules between the sections of a configuration.

use kiln_settings::Violation;

use kiln_models::AdapterConfig;

use super::finetuning::StartConfig;
use super::run::DocumentState;
use super::sections::Config;
use kiln_data::batches::Windows;
use kiln_optimization::optimizers::StateBits;

/// Every broken rule that concerns more than one section, keys from the root.
pub(super) fn between_sections(config: &Config) -> Vec<Violation> {
    let others = [
        config.data.validate_with(&config.tokenizer),
        windows(config),
        document_state(config),
        recompute(config),
        optimizer_state(config),
        averages(config),
        tokens(config),
        noise(config),
        last_layers(config),
    ];
    seeds(config)
        .into_iter()
        .chain(adapter(config))
        .chain(pairs(config))
        .chain(preference(config))
        .chain(others.into_iter().flatten())
        .collect()
}

/// TOML's integers have 64 bits with a sign; what is beyond could not be saved with the run.
fn seeds(config: &Config) -> Vec<Violation> {
    let builtin = config.data.builtin.as_ref().map(|builtin| ("data.builtin.seed", builtin.seed));
    let of_pairs = config.data.builtin_pairs.as_ref().map(|pairs| ("data.builtin-pairs.seed", pairs.seed));
    let seeds = [("seed", config.seed)].into_iter().chain(builtin).chain(of_pairs);
    let too_large = seeds.filter(|(_, seed)| i64::try_from(*seed).is_err());
    too_large.map(|(key, seed)| Violation::new(key, format!("must be at most {}, is {seed}", i64::MAX))).collect()
}

/// Streams exist to carry a state from window to window, and a transformer has none. Conversations have no windows that
/// follow one another.
fn windows(config: &Config) -> Option<Violation> {
    if config.data.conversations.is_some() && config.run.windows == Windows::Streams {
        let message = "is \"streams\", but each conversation is read by itself";
        return Some(
            Violation::new("run.windows", message).with_help("write `windows = \"shuffled\"` or leave it out"),
        );
    }
    (!config.model.carries_state_between_windows() && config.run.windows == Windows::Streams).then(|| {
        Violation::new(
            "run.windows",
            format!(
                "is \"streams\", which carries a state from window to window, but a {} has none",
                config.model.name()
            ),
        )
        .with_help("write `windows = \"shuffled\"` or `windows = \"random\"`")
    })
}

/// Only recurrent models have a state, and only texts with documents have ends.
fn document_state(config: &Config) -> Option<Violation> {
    if config.run.document_state == DocumentState::Carried {
        return None;
    }
    let wrong = |message: String| Violation::new("run.document-state", message);
    if !config.model.carries_state_between_windows() {
        let message = format!("is \"reset\", but a {} has no state to reset", config.model.name());
        return Some(wrong(message).with_help("leave it out; attention sees the whole window"));
    }
    (config.data.separator.is_none()).then(|| {
        wrong("is \"reset\", but the text has no documents".to_owned())
            .with_help("write `data.separator`, what stands between documents; \"\" makes each file one")
    })
}

/// A recurrent layer keeps its states, which are what it would compute again.
fn recompute(config: &Config) -> Option<Violation> {
    (config.run.recompute && config.model.carries_state_between_windows()).then(|| {
        Violation::new(
            "run.recompute",
            format!(
                "is true, but only the blocks of a transformer are computed again, and this is a {}",
                config.model.name()
            ),
        )
        .with_help("leave it out; a smaller `run.batch` with `accumulate` takes less memory")
    })
}

/// A schedule-free optimizer keeps the weights themselves in its state.
fn optimizer_state(config: &Config) -> Option<Violation> {
    let keeps_weights = config.optimizer.rule().has_evaluation_weights();
    (config.run.optimizer_state == StateBits::Eight && keeps_weights).then(|| {
        let name = config.optimizer.name();
        Violation::new(
            "run.optimizer-state",
            format!("is \"8-bit\", but the state of [optimizer.{name}] has the weights in it, which would be rounded"),
        )
        .with_help("leave it out, or take another optimizer")
    })
}

/// A schedule-free optimizer has an average of its own, and the weights that it moves are not iterates of a descent.
fn averages(config: &Config) -> Option<Violation> {
    let averages_itself = config.optimizer.rule().has_evaluation_weights();
    (config.averaging.is_some() && averages_itself).then(|| {
        let name = config.optimizer.name();
        Violation::new(
            "averaging",
            format!("cannot be used with [optimizer.{name}], which averages the weights itself"),
        )
        .with_help("drop the table, or take an optimizer with a schedule")
    })
}

/// The loop counts tokens in 64 bits.
fn tokens(config: &Config) -> Option<Violation> {
    let run = &config.run;
    let parts = [run.steps, run.batch as u64, run.context as u64, run.accumulate as u64];
    parts.into_iter().try_fold(1_u64, u64::checked_mul).map_or_else(
        || Some(Violation::new("run.steps", "times batch, context and accumulate is more tokens than can be counted")),
        |_| None,
    )
}

/// Noise is seen in how the parts of an update differ, and one window has no parts.
fn noise(config: &Config) -> Option<Violation> {
    let measures = config.estimates.as_ref().is_some_and(|estimates| estimates.noise_every.is_some());
    (measures && config.run.batch == 1 && config.run.accumulate == 1).then(|| {
        Violation::new("estimates.noise-every", "needs at least two windows in an update, but `run.batch` is 1")
            .with_help("use a larger `run.batch`, or `run.accumulate = 2`, or leave `noise-every` out")
    })
}

/// Pairs are learned from by models that read them, and these learn from nothing else.
fn pairs(config: &Config) -> Vec<Violation> {
    let (run, name) = (&config.run, config.model.name());
    let has_pairs = config.data.has_pairs();
    let wrong = |key: &str, message: String, help: &str| Some(Violation::new(key, message).with_help(help));
    if config.model.reads_pairs() != has_pairs {
        let violation = if has_pairs {
            let key = if config.data.pairs.is_some() { "data.pairs" } else { "data.builtin-pairs" };
            wrong(key, format!("holds pairs, and a {name} reads one text"), "use `[model.encoder-decoder]`")
        } else {
            let message = format!("is an {name}, which learns from pairs of texts, and `[data]` has none");
            wrong(&format!("model.{name}"), message, "use `[data.pairs]` or `[data.builtin-pairs]`")
        };
        return violation.into_iter().collect();
    }
    let help = "leave it out";
    let of_pairs =
        [("run.label-smoothing", run.label_smoothing > 0.0), ("run.translated-pairs", run.translated_pairs.is_some())];
    let of_texts = [
        ("run.sample-every", run.sample_every.is_some()),
        ("run.recompute", run.recompute),
        ("start.grow", config.start.as_ref().is_some_and(|start| start.grow)),
        ("train-only.last-layers", config.train_only.as_ref().is_some_and(|only| only.last_layers.is_some())),
        ("distillation", config.distillation.is_some()),
        ("adapter.lora", config.adapter.is_some()),
    ];
    let keys = if has_pairs { &of_texts[..] } else { &of_pairs[..] };
    let message = || match has_pairs {
        true => format!("is for models of one text, and an {name} reads pairs"),
        false => "is for pairs, and the model reads one text".to_owned(),
    };
    let given = keys.iter().filter(|(_, given)| *given);
    given.filter_map(|(key, _)| wrong(key, message(), help)).collect()
}

/// Adapters are added to weights that were trained already, and are all that is trained.
fn adapter(config: &Config) -> Vec<Violation> {
    let Some(adapter) = &config.adapter else { return Vec::new() };
    let AdapterConfig::Lora(_) = adapter;
    let wrong = |message: &str, help: &str| Some(Violation::new("adapter.lora", message).with_help(help));
    let no_start =
        || wrong("needs `[start]`: drawn weights would stay as they were drawn", "[start]\nfrom = \"runs/base\"");
    let keeps_zeros = config.start.as_ref().is_some_and(|start| start.keep_zeros);
    let zeros = || {
        wrong(
            "can't be trained with `start.keep-zeros`: an adapter begins with zeros that have to move",
            "leave `keep-zeros` out",
        )
    };
    let changes = config.start.as_ref().is_some_and(|start| start.grow || start.stretch_positions);
    let changed = || {
        wrong(
            "is for the start model as it is, which `start.grow` and `start.stretch-positions` would change",
            "leave them out, or train the changed model as a whole",
        )
    };
    let takes_all = config.start.as_ref().is_none_or(StartConfig::takes_all);
    let parts = || {
        wrong(
            "is for the whole start model: what `start.only` and `start.except` leave would stay as it was drawn",
            "leave `only` and `except` out",
        )
    };
    let others =
        || wrong("is all that is trained, so that `[train-only]` can't choose anything", "leave `[train-only]` out");
    let broken = [
        config.start.is_none().then(no_start),
        keeps_zeros.then(zeros),
        changes.then(changed),
        (!takes_all).then(parts),
        config.train_only.is_some().then(others),
    ];
    broken.into_iter().flatten().flatten().collect()
}

/// Preferences are pairs of answers in files of conversations, learned beside the start model and nothing else.
fn preference(config: &Config) -> Vec<Violation> {
    if config.preference.is_none() {
        return Vec::new();
    }
    let wrong = |message: &str, help: &str| Violation::new("preference.dpo", message).with_help(help);
    let no_start = || wrong("needs `[start]`, the model that is held to", "[start]\nfrom = \"runs/base\"");
    let no_pairs = || {
        let message = "needs `[data.conversations]`, lines with `prompt`, `chosen` and `rejected`";
        wrong(message, "[data.conversations]\npaths = [\"preferences.jsonl\"]")
    };
    let taught = || wrong("can't stand beside `[distillation]`: each has a loss of its own", "leave one of them out");
    let recomputed =
        || wrong("keeps what the backward pass needs, so that `run.recompute` can't", "leave `recompute` out");
    let wrong = [
        config.start.is_none().then(no_start),
        config.data.conversations.is_none().then(no_pairs),
        config.distillation.is_some().then(taught),
        config.run.recompute.then(recomputed),
    ];
    wrong.into_iter().flatten().collect()
}

/// No more layers can be trained than there are.
fn last_layers(config: &Config) -> Option<Violation> {
    let asked = config.train_only.as_ref().and_then(|only| only.last_layers)?;
    let layers = config.model.layers();
    (asked > layers).then(|| {
        Violation::new("train-only.last-layers", format!("is {asked}, but the model has {layers}"))
            .with_help("leave `[train-only]` out to train all of it")
    })
}
