//! A sweep as TOML: what all entrants share stands once.

use toml::{Table, Value};

use super::{Sweep, table};

pub(super) fn to_toml(sweep: &Sweep) -> Result<String, toml::ser::Error> {
    let configs: Vec<Table> = sweep.entrants.iter().map(|entrant| table(&entrant.config)).collect::<Result<_, _>>()?;
    let mut root = shared(&configs);
    let entrants = sweep.entrants.iter().zip(&configs).map(|(entrant, config)| {
        let mut own = without(config, &root);
        own.insert("label".to_owned(), entrant.label.clone().into());
        Value::Table(own)
    });
    let entrants = entrants.collect();
    root.insert("entrants".to_owned(), Value::Array(entrants));
    root.insert("sweep".to_owned(), Value::Table(table(&sweep.settings)?));
    toml::to_string(&root)
}

/// What is the same in all tables.
fn shared(tables: &[Table]) -> Table {
    let Some((first, others)) = tables.split_first() else { return Table::new() };
    let mut shared = Table::new();
    for (key, value) in first {
        let values: Vec<&Value> = others.iter().filter_map(|other| other.get(key)).collect();
        if values.len() < others.len() {
            continue;
        }
        if values.iter().all(|other| *other == value) {
            shared.insert(key.clone(), value.clone());
            continue;
        }
        let inner: Option<Vec<Table>> =
            std::iter::once(value).chain(values).map(|value| value.as_table().cloned()).collect();
        if let Some(inner) = inner.map(|tables| self::shared(&tables)).filter(|inner| !inner.is_empty()) {
            shared.insert(key.clone(), Value::Table(inner));
        }
    }
    shared
}

/// What a table has that isn't in another one.
fn without(table: &Table, shared: &Table) -> Table {
    let own = table.iter().filter_map(|(key, value)| match (value, shared.get(key)) {
        (value, Some(other)) if value == other => None,
        (Value::Table(table), Some(Value::Table(other))) => Some((key.clone(), Value::Table(without(table, other)))),
        (value, _) => Some((key.clone(), value.clone())),
    });
    own.collect()
}
