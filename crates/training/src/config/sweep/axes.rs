//! Keys with several values, and the combinations of them.

use std::collections::BTreeSet;

use kiln_settings::{Hints, Kind, Schema, Setting, Source, join};

/// A key with the values that it takes.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub(super) key: String,
    pub(super) values: Values,
}

#[derive(Debug, Clone)]
pub(super) enum Values {
    /// One after the other.
    Listed(Vec<Setting>),
    /// Any between two ends.
    Range { setting: Setting, from: f64, to: f64 },
}

impl Axis {
    pub(super) fn new(setting: &Setting, schema: &Schema) -> Self {
        let values = match setting.range(schema) {
            Some((from, to)) => Values::Range { setting: setting.clone(), from, to },
            None => Values::Listed(setting.alternatives(schema)),
        };
        Self { key: setting.key().to_owned(), values }
    }

    /// Whether it makes more than one combination.
    pub(super) fn varies(&self) -> bool {
        !matches!(&self.values, Values::Listed(values) if values.len() < 2)
    }

    /// The first of its settings.
    fn any(&self) -> Option<&Setting> {
        match &self.values {
            Values::Listed(values) => values.first(),
            Values::Range { setting, .. } => Some(setting),
        }
    }
}

/// What all axes share: how keys belong together, and where values were typed.
pub(super) struct Space<'a> {
    pub(super) schema: &'a Schema,
    pub(super) hints: &'a Hints<'a>,
    pub(super) source: &'a Source,
}

impl Space<'_> {
    /// The axes with one more before those that lie in different tables of a choice: the choice between these tables.
    pub(super) fn with_choices(&self, mut axes: Vec<Axis>) -> Vec<Axis> {
        let of_schema = self.schema.entries().filter(|(_, entry)| matches!(entry.kind, Kind::Choice(_)));
        let choices = of_schema.map(|(path, _)| path).chain(self.hints.alternatives.iter().map(|(path, _)| *path));
        for choice in choices.collect::<BTreeSet<_>>() {
            let mut tables: Vec<(&str, usize)> = Vec::new();
            for (index, axis) in axes.iter().enumerate() {
                let names = self.hints.choice(self.schema, choice);
                let name = names.iter().find(|name| is_in(&axis.key, &join(choice, name)));
                if let Some(name) = name.filter(|name| !tables.iter().any(|(table, _)| table == *name)) {
                    tables.push((name, index));
                }
            }
            if tables.len() > 1 && axes.iter().all(|axis| axis.key != choice) {
                let place = tables[0].1;
                let setting = |(table, index): &(&str, usize)| Some(axes[*index].any()?.standing_for(choice, table));
                let values = Values::Listed(tables.iter().filter_map(setting).collect());
                axes.insert(place, Axis { key: choice.to_owned(), values });
            }
        }
        axes
    }

    /// Every combination of listed values, the last axis fastest.
    pub(super) fn grid(&self, axes: &[Axis]) -> Vec<Vec<Setting>> {
        let mut combinations = vec![Vec::new()];
        for axis in axes {
            let Values::Listed(values) = &axis.values else { continue };
            let with = |combination: &Vec<Setting>| {
                let combination = combination.clone();
                values.iter().map(move |value| [&combination[..], std::slice::from_ref(value)].concat())
            };
            combinations = combinations.iter().flat_map(with).collect();
        }
        self.different(combinations.into_iter().map(|combination| self.consistent(combination)))
    }

    /// So many different combinations, drawn; fewer where there are no more.
    pub(super) fn drawn(&self, axes: &[Axis], trials: u64, seed: u64) -> Vec<Vec<Setting>> {
        const MOST_DRAWS_OF_EACH: u64 = 100;
        let draw = |trial: u64| {
            let settings = axes.iter().filter_map(|axis| self.draw(axis, &|part| unit(seed, trial, &axis.key, part)));
            self.consistent(settings.collect())
        };
        let draws = (0..trials.saturating_mul(MOST_DRAWS_OF_EACH)).map(draw);
        let wanted = usize::try_from(trials).unwrap_or(usize::MAX);
        let mut seen: Vec<Vec<(String, String)>> = Vec::new();
        draws.filter(|combination| self.is_new(combination, &mut seen)).take(wanted).collect()
    }

    /// One of the values, each as likely as the others; of a range above 0 by its logarithm, so that each decade is as
    /// likely as the others, to three digits.
    fn draw(&self, axis: &Axis, unit: &dyn Fn(&str) -> f64) -> Option<Setting> {
        match &axis.values {
            Values::Listed(values) => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is below the length")]
                let index = (unit("index") * values.len() as f64) as usize;
                values.get(index).cloned()
            }
            Values::Range { setting, from, to } => {
                let along = unit("number");
                let number = if *from > 0.0 {
                    (from.ln() + along * (to.ln() - from.ln())).exp()
                } else {
                    from + along * (to - from)
                };
                Some(setting.with_number(three_digits(number).clamp(*from, *to), self.schema))
            }
        }
    }

    /// The settings without those in tables that the combination does not choose.
    fn consistent(&self, combination: Vec<Setting>) -> Vec<Setting> {
        let chosen: Vec<(String, String)> = combination
            .iter()
            .filter_map(|setting| Some((setting, self.chosen(setting)?)))
            .map(|(setting, word)| (setting.key().to_owned(), word.to_owned()))
            .collect();
        combination.into_iter().filter(|setting| !self.is_excluded(setting, &chosen)).collect()
    }

    /// Whether a setting lies in another table than one that is chosen; choices with the names of their tables.
    pub(super) fn is_excluded(&self, setting: &Setting, chosen: &[(String, String)]) -> bool {
        chosen.iter().any(|(choice, word)| {
            let names = self.hints.choice(self.schema, choice);
            names.iter().any(|name| name != word && is_in(setting.key(), &join(choice, name)))
        })
    }

    /// The tables that a setting chooses: by its value, or since it lies in them.
    pub(super) fn choices_of(&self, setting: &Setting) -> Vec<(String, String)> {
        let by_value = self.chosen(setting).map(|word| (setting.key().to_owned(), word.to_owned()));
        let of_dot = |(dot, _): (usize, &str)| {
            let (choice, rest) = (&setting.key()[..dot], &setting.key()[dot + 1..]);
            let name = rest.split('.').next().unwrap_or(rest);
            self.hints.choice(self.schema, choice).contains(&name).then(|| (choice.to_owned(), name.to_owned()))
        };
        setting.key().match_indices('.').filter_map(of_dot).chain(by_value).collect()
    }

    /// The table that a setting chooses, if its key is a choice.
    fn chosen<'a>(&self, setting: &'a Setting) -> Option<&'a str> {
        let word = setting.word().or_else(|| setting.table_name())?;
        self.hints.choice(self.schema, setting.key()).contains(&word).then_some(word)
    }

    fn different(&self, combinations: impl Iterator<Item = Vec<Setting>>) -> Vec<Vec<Setting>> {
        let mut seen = Vec::new();
        combinations.filter(|combination| self.is_new(combination, &mut seen)).collect()
    }

    fn is_new(&self, combination: &[Setting], seen: &mut Vec<Vec<(String, String)>>) -> bool {
        let key = |setting: &Setting| (setting.key().to_owned(), setting.words(self.source));
        let settings: Vec<(String, String)> = combination.iter().map(key).collect();
        let is_new = !seen.contains(&settings);
        if is_new {
            seen.push(settings);
        }
        is_new
    }

    /// What tells a combination from the others, for its label: the words of choices, and `key=value` by the last part
    /// of the key where that is clear.
    pub(super) fn label(&self, combination: &[Setting], axes: &[Axis]) -> String {
        let varying: Vec<&str> = axes.iter().filter(|axis| axis.varies()).map(|axis| axis.key.as_str()).collect();
        let parts = combination.iter().filter(|setting| varying.contains(&setting.key())).map(|setting| {
            if let Some(word) = self.chosen(setting) {
                return word.to_owned();
            }
            let last = last_part(setting.key());
            let is_same = |other: &Setting| other.key() != setting.key() && last_part(other.key()) == last;
            let name = if combination.iter().any(is_same) { setting.key() } else { last };
            format!("{name}={}", setting.words(self.source))
        });
        parts.collect::<Vec<_>>().join(", ")
    }
}

fn last_part(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

fn is_in(key: &str, table: &str) -> bool {
    key == table || key.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'))
}

/// A number in [0, 1) that is a function of the seed, the trial and the key alone, so that neither more trials nor
/// another key change it.
fn unit(seed: u64, trial: u64, key: &str, part: &str) -> f64 {
    let hash = blake3::hash(format!("{seed} {trial} {key} {part}").as_bytes());
    let bytes: [u8; 8] = std::array::from_fn(|index| hash.as_bytes()[index]);
    (u64::from_le_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64
}

fn three_digits(number: f64) -> f64 {
    format!("{number:.2e}").parse().unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_drawn_evenly_and_rounded_to_three_digits() {
        let numbers: Vec<f64> = (0..10_000).map(|trial| unit(1, trial, "run.batch", "number")).collect();
        assert!(numbers.iter().all(|number| (0.0..1.0).contains(number)));
        // Of so many numbers the mean has a standard error of 0.0029, and a share of a tenth one of 0.003.
        let mean = numbers.iter().sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.012, "{mean}");
        for tenth in 0..10 {
            let share = numbers.iter().filter(|number| (**number * 10.0).floor() == f64::from(tenth)).count();
            assert!(share.abs_diff(1000) < 120, "{tenth}: {share}");
        }
        assert_ne!(unit(1, 0, "a", "number"), unit(2, 0, "a", "number"));
        assert_eq!([three_digits(0.001_234_56), three_digits(98_765.0)], [0.001_23, 98_800.0]);
    }
}
