//! From a file to the entrants of its sweep: those that it lists, times every combination of values.

use std::collections::BTreeMap;

use kiln_settings::{ConfigErrors, Hints, Override, Problem, Schema, Setting, Source, Tree};
use serde::Deserialize;

use super::super::reading::HINTS;
use super::super::sections::{Config, default_seed};
use super::axes::{Axis, Space, Values};
use super::schedules::{is_final_rate, settings_at_rate};
use super::settings::{Search, SweepSettings};
use super::{Entrant, Sweep, schedules};

/// What is set under this is no key of the configuration.
const HEAD: &str = "sweep";
/// The keys with several values.
const SET: &str = "sweep.set";
/// What is wrong with a sweep that has a single run.
pub const ONE_RUN: &str = "there is nothing to compare: one run";
/// Nobody compares more.
const MOST_ENTRANTS: usize = 1000;
/// A longer name is none for a folder.
const LONGEST_FOLDER: usize = 150;

/// What a file has beside the configuration and the entrants.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    #[serde(default)]
    sweep: SweepSettings,
}

/// An entrant as the file lists it.
struct Listed {
    label: String,
    /// Its label, to point at.
    at: Tree,
    own: Tree,
}

/// A file in its parts.
struct Parts<'a> {
    space: Space<'a>,
    settings: SweepSettings,
    /// The configuration that all share.
    shared: Tree,
    listed: Option<Vec<Listed>>,
    axes: Vec<Axis>,
    /// What is set together with the first of each: the other rates of the schedule with its highest.
    followers: Vec<(Setting, Vec<Setting>)>,
}

pub(super) fn read(source: &Source, overrides: &[Override]) -> Result<Sweep, ConfigErrors> {
    let schema = Schema::of::<Config>();
    let space = Space { schema: &schema, hints: &HINTS, source };
    let mut parts = Parts::of(space, overrides)?;
    parts.add_schedules()?;
    parts.add_rates()?;
    parts.check()?;
    let entrants = parts.entrants()?;
    let settings = SweepSettings { trials: None, schedules: Vec::new(), rates: Vec::new(), ..parts.settings };
    Ok(Sweep { settings, entrants })
}

impl<'a> Parts<'a> {
    fn of(space: Space<'a>, overrides: &[Override]) -> Result<Self, ConfigErrors> {
        let mut shared = Tree::parse(space.source, overrides)?;
        let set = shared.take(SET);
        let mut head = shared.split(&[HEAD]);
        let listed = shared.take("entrants").map(|entrants| listed(&entrants)).transpose()?;
        let head_schema = Schema::of::<Head>();
        let mut settings: Vec<Setting> = set.iter().flat_map(Tree::settings).collect();
        for (index, set) in overrides.iter().enumerate() {
            let setting = Setting::of_override(set, index);
            if setting.key().split('.').next() == Some(HEAD) {
                head.set(&setting, &head_schema, &Hints::default())?;
            } else {
                // The last one counts, as everywhere.
                settings.retain(|other| other.key() != setting.key());
                settings.push(setting);
            }
        }
        let validate =
            |head: &Head| head.sweep.validate().into_iter().map(|violation| violation.under(HEAD)).collect::<Vec<_>>();
        let head: Head = head.read(&head_schema, &Hints::default(), validate)?;
        let axes = settings.iter().map(|setting| Axis::new(setting, space.schema)).collect();
        Ok(Self { space, settings: head.sweep, shared, listed, axes, followers: Vec::new() })
    }

    /// Makes an axis of the schedules that are asked for by name.
    fn add_schedules(&mut self) -> Result<(), ConfigErrors> {
        let names = &self.settings.schedules;
        if names.is_empty() {
            return Ok(());
        }
        let fixed: Vec<Setting> = self.axes.iter().filter_map(Axis::only).cloned().collect();
        let base = self.variant(None, &fixed)?;
        let place = self.shared.clone().settings();
        let is_schedule = |setting: &&Setting| setting.key().starts_with("schedule.");
        let Some(named) = place.iter().find(is_schedule).or(place.first()) else { return Ok(()) };
        let settings =
            schedules::settings(names, &base, named, &self.shared).map_err(|problems| self.shared.errors(problems))?;
        self.axes.insert(0, Axis { key: "schedule".to_owned(), values: Values::Listed(settings) });
        Ok(())
    }

    /// Makes an axis of the highest rates that are asked for.
    fn add_rates(&mut self) -> Result<(), ConfigErrors> {
        if self.settings.rates.is_empty() {
            return Ok(());
        }
        let refused = |message: &str, help: &str| {
            let problem = self.shared.problem("sweep.rates", message, help);
            Err(self.shared.errors(vec![problem]))
        };
        let sets_schedule = |axis: &&Axis| axis.varies() && axis.key.split('.').next() == Some("schedule");
        if self.listed.is_some() {
            return refused(
                "`rates` are those of one schedule, but there are entrants",
                "write their rates themselves",
            );
        }
        if let Some(axis) = self.axes.iter().find(sets_schedule) {
            let help = format!("leave one of them out, or give each schedule's rates by `{}` alone", axis.key);
            return refused("`rates` are those of one schedule, but it has several values", &help);
        }
        let fixed: Vec<Setting> = self.axes.iter().filter_map(Axis::only).cloned().collect();
        let base = self.variant(None, &fixed)?;
        let place = self.shared.clone().settings();
        let Some(named) = place.first() else { return Ok(()) };
        let mut highest = Vec::new();
        for rate in &self.settings.rates {
            let settings = settings_at_rate(&base.schedule, base.run.steps, *rate);
            let (followers, leading): (Vec<_>, Vec<_>) = settings
                .iter()
                .map(|(key, value)| named.standing_for(key, value))
                .partition(|setting| is_final_rate(setting.key()));
            let Some(leading) = leading.into_iter().next() else {
                return refused("the schedule has no rate that could be another", "write one with a `rate`");
            };
            highest.push(leading.clone());
            self.followers.push((leading, followers));
        }
        let Some(key) = highest.first().map(|setting| setting.key().to_owned()) else { return Ok(()) };
        // What the command line sets for the schedule's rates is what they are scaled from.
        self.axes.retain(|axis| axis.key != key && !is_final_rate(&axis.key));
        self.axes.insert(0, Axis { key, values: Values::Listed(highest) });
        Ok(())
    }

    /// What is set together with a setting.
    fn followers(&self, setting: &Setting) -> &[Setting] {
        let words = |setting: &Setting| (setting.key().to_owned(), setting.words(self.space.source));
        let found = self.followers.iter().find(|(leading, _)| words(leading) == words(setting));
        found.map_or(&[], |(_, followers)| followers)
    }

    /// What can't be a sweep.
    fn check(&self) -> Result<(), ConfigErrors> {
        let mut problems = Vec::new();
        for axis in &self.axes {
            problems.extend(self.check_axis(axis));
        }
        let has_one_run = self.settings.seeds == 1 && !self.axes.iter().any(Axis::varies);
        let asks = "write `[[entrants]]`, or set a key to several values, or ask for several seeds";
        match &self.listed {
            None if has_one_run => problems.push(self.shared.problem("", ONE_RUN, asks)),
            Some(listed) if listed.is_empty() => {
                problems.push(self.shared.problem("entrants", "`entrants` is empty", asks));
            }
            _ => {}
        }
        if self.settings.trials.is_none() && self.count() > MOST_ENTRANTS {
            let message = format!("there are more than {MOST_ENTRANTS} combinations");
            problems.push(self.shared.problem("", message, "draw some of them: `search = \"random\"` and `trials`"));
        }
        if problems.is_empty() { Ok(()) } else { Err(self.shared.errors(problems)) }
    }

    fn check_axis(&self, axis: &Axis) -> Option<Problem> {
        let draws = self.settings.search != Search::Grid && self.settings.trials.is_some();
        let key = &axis.key;
        let problem = |setting: &Setting, message: String, help: &str| self.shared.problem_of(setting, message, help);
        match &axis.values {
            Values::Listed(values) if key == "seed" && values.len() > 1 => {
                let help = "ask for several seeds by `sweep.seeds`, which takes them from `seed` on";
                Some(problem(
                    &values[0],
                    "`seed` can't have several values: seeds aren't compared with each other".to_owned(),
                    help,
                ))
            }
            Values::Listed(values) if values.is_empty() => {
                Some(self.shared.problem(key, format!("`{key}` has no values"), "write one or more"))
            }
            Values::Range { setting, from, to } if from >= to => {
                Some(problem(setting, format!("`{key}`: the range must rise, is {from}..{to}"), ""))
            }
            Values::Range { setting, .. } if !draws => {
                let help = "draw from it: `search = \"random\"` (or `\"halving\"`) and a number of `trials`";
                Some(problem(setting, format!("`{key}` is a range, which has no list of values"), help))
            }
            Values::Listed(values) if self.settings.search == Search::Random && values.len() > 1 && !draws => {
                let help = "write `trials`, or `search = \"grid\"` for all combinations";
                Some(problem(&values[0], "it isn't said how many combinations are drawn".to_owned(), help))
            }
            _ => None,
        }
    }

    /// How many entrants there are at most.
    fn count(&self) -> usize {
        let listed = |axis: &Axis| match &axis.values {
            Values::Listed(values) => values.len(),
            Values::Range { .. } => 1,
        };
        let entrants = self.listed.as_ref().map_or(1, Vec::len);
        self.axes.iter().map(listed).fold(entrants, usize::saturating_mul)
    }

    /// Every entrant, or the problems of all of them.
    fn entrants(&self) -> Result<Vec<Entrant>, ConfigErrors> {
        let axes = self.space.with_choices(self.axes.clone());
        let combinations = match self.settings.trials {
            Some(trials) => self.space.drawn(&axes, trials.min(MOST_ENTRANTS as u64), self.seed()),
            None => self.space.grid(&axes),
        };
        let listed: Vec<Option<&Listed>> = match &self.listed {
            Some(listed) => listed.iter().map(Some).collect(),
            None => vec![None],
        };
        let mut entrants = Vec::new();
        let mut found = Problems::default();
        for entrant in listed {
            for combination in &combinations {
                let label = self.label(entrant, combination, &axes, entrants.len());
                found.variants += 1;
                match self.variant(entrant, combination) {
                    Ok(config) => entrants.push(Entrant { label, config }),
                    Err(errors) => found.add(&label, errors),
                }
            }
        }
        let mut problems = found.all();
        if problems.is_empty() {
            problems = self.label_problems(&entrants);
        }
        if problems.is_empty() { Ok(entrants) } else { Err(self.shared.errors(problems)) }
    }

    /// The configuration of an entrant. Samples are not drawn in a sweep.
    fn variant(&self, entrant: Option<&Listed>, combination: &[Setting]) -> Result<Config, ConfigErrors> {
        let mut tree = self.shared.clone();
        let mut chosen = Vec::new();
        if let Some(Listed { own, .. }) = entrant {
            tree.put(own, self.space.schema, self.space.hints);
            chosen = own.settings().iter().flat_map(|setting| self.space.choices_of(setting)).collect();
        }
        // What is set for a model or a schedule that the entrant replaces is not for it.
        for setting in combination.iter().filter(|setting| !self.space.is_excluded(setting, &chosen)) {
            for setting in std::iter::once(setting).chain(self.followers(setting)) {
                tree.set(setting, self.space.schema, self.space.hints)?;
            }
        }
        let mut config: Config = tree.read(self.space.schema, self.space.hints, Config::validate)?;
        config.run.sample_every = None;
        Ok(config)
    }

    fn label(&self, entrant: Option<&Listed>, combination: &[Setting], axes: &[Axis], before: usize) -> String {
        let own = self.space.label(combination, axes);
        let parts: Vec<&str> =
            [entrant.map(|entrant| entrant.label.as_str()), Some(own.as_str())].into_iter().flatten().collect();
        let label = parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
        if label.is_empty() {
            let name = std::path::Path::new(&self.space.source.name);
            return name.file_stem().unwrap_or(name.as_os_str()).to_string_lossy().into_owned();
        }
        if entrant.is_none() && label.len() > LONGEST_FOLDER { format!("entrant {}", before + 1) } else { label }
    }

    /// The seed that combinations are drawn with: that of the configuration.
    fn seed(&self) -> u64 {
        let only = self.axes.iter().filter(|axis| axis.key == "seed").find_map(Axis::only).cloned();
        let written = || self.shared.settings().into_iter().find(|setting| setting.key() == "seed");
        let words = only.or_else(written).map(|setting| setting.words(self.space.source));
        words.and_then(|words| words.parse().ok()).unwrap_or_else(default_seed)
    }

    /// Labels name the entrants in tables and their folders on disk.
    fn label_problems(&self, entrants: &[Entrant]) -> Vec<Problem> {
        let mut first: BTreeMap<String, &str> = BTreeMap::new();
        let mut problems = Vec::new();
        for entrant in entrants {
            let (label, folder) = (entrant.label.as_str(), entrant.folder_name());
            let message = if !folder.contains(char::is_alphanumeric) {
                format!("`label` must hold a letter or a digit, is {label:?}")
            } else if folder.len() > LONGEST_FOLDER {
                format!("`label` must have at most {LONGEST_FOLDER} letters, has {}", folder.len())
            } else if let Some(other) = first.insert(folder, label) {
                format!("labels must differ in a letter or a digit, but there is {other:?} and {label:?}")
            } else {
                continue;
            };
            let listed = self.listed.iter().flatten().rfind(|listed| label.starts_with(&listed.label));
            problems.push(listed.map_or(&self.shared, |listed| &listed.at).problem("entrants.label", message, ""));
        }
        problems
    }
}

impl Axis {
    /// The value, if there is only one.
    fn only(&self) -> Option<&Setting> {
        match &self.values {
            Values::Listed(values) if values.len() == 1 => values.first(),
            _ => None,
        }
    }
}

/// `[[entrants]]`.
fn listed(entrants: &Tree) -> Result<Vec<Listed>, ConfigErrors> {
    let Some(items) = entrants.items() else {
        let problem = entrants.problem("entrants", "`entrants` must be a list of tables", "write `[[entrants]]`");
        return Err(entrants.errors(vec![problem]));
    };
    let (mut listed, mut problems) = (Vec::new(), Vec::new());
    for mut own in items {
        if !own.is_table() {
            problems.push(own.problem("entrants", "an entrant must be a table", "write `[[entrants]]`"));
            continue;
        }
        let whole = own.clone();
        let Some(at) = own.take("label") else {
            let message = "`label` is missing in [[entrants]]";
            problems.push(whole.problem("entrants.label", message, "write `label = \"…\"`, its name"));
            continue;
        };
        match at.text() {
            Some(label) => listed.push(Listed { label: label.to_owned(), at, own }),
            None => problems.push(at.problem("entrants.label", "`label` must be text in quotes", "")),
        }
    }
    if problems.is_empty() { Ok(listed) } else { Err(entrants.errors(problems)) }
}

/// The problems of all variants, each once.
#[derive(Default)]
struct Problems {
    variants: usize,
    found: Vec<(Problem, Vec<String>)>,
}

impl Problems {
    fn add(&mut self, label: &str, errors: ConfigErrors) {
        for problem in errors.problems {
            match self.found.iter_mut().find(|(other, _)| *other == problem) {
                Some((_, labels)) => labels.push(label.to_owned()),
                None => self.found.push((problem, vec![label.to_owned()])),
            }
        }
    }

    /// All of them; of one that not every variant has it is said whose it is.
    fn all(self) -> Vec<Problem> {
        const SHOWN: usize = 3;
        let with_labels = |(mut problem, labels): (Problem, Vec<String>)| {
            if labels.len() < self.variants {
                let shown = labels.iter().take(SHOWN).map(|label| format!("{label:?}")).collect::<Vec<_>>().join(", ");
                let more = labels.len().saturating_sub(SHOWN);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                problem.help.push(format!("of the entrants: {shown}{more}"));
            }
            problem
        };
        self.found.into_iter().map(with_labels).collect()
    }
}
