//! Where a walk through a module is.

/// The fields that a walk has entered, without the variants of enums.
#[derive(Debug, Default)]
pub(crate) struct ModulePath {
    /// Names of the fields, and the struct that each belongs to.
    entered: Vec<(String, String)>,
}

impl ModulePath {
    pub(crate) fn enter(&mut self, name: &str, container: &str) {
        if !is_enum(container) {
            self.entered.push((name.to_owned(), container.to_owned()));
        }
    }

    pub(crate) fn exit(&mut self, container: &str) {
        if !is_enum(container) {
            self.entered.pop();
        }
    }

    /// The names joined by dots.
    pub(crate) fn joined(&self) -> String {
        let names: Vec<&str> = self.entered.iter().map(|(name, _)| name.as_str()).collect();
        names.join(".")
    }

    /// The innermost field and its struct.
    pub(crate) fn innermost(&self) -> (&str, &str) {
        self.entered.last().map_or(("", ""), |(name, container)| (name, container))
    }
}

/// How Burn marks that a walk enters a variant.
fn is_enum(container: &str) -> bool {
    container.starts_with("Enum:")
}
