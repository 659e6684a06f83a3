//! Numbers of parameters, known before there is a module.

use serde::Serialize;

use crate::role::Role;

/// How many numbers one part of a model holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartCount {
    /// The part: a prefix of its parameters' paths, `*` standing for every layer.
    pub name: String,
    /// How many numbers are in it.
    pub count: u64,
    /// How many of them are in parameters of each role.
    #[serde(skip)]
    pub roles: Vec<(Role, u64)>,
}

impl PartCount {
    /// A part of parameters with these roles.
    pub fn new(name: impl Into<String>, roles: &[(Role, u64)]) -> Self {
        let roles: Vec<_> = roles.iter().copied().filter(|(_, count)| *count > 0).collect();
        Self { name: name.into(), count: roles.iter().map(|(_, count)| count).sum(), roles }
    }
}
