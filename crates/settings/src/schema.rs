//! Which keys a type knows, found out from its own `Deserialize`.
//!
//! A derived `Deserialize` passes the fields and variants that it expects to its deserializer. [`Schema::of`] hands it
//! one that records them and answers every question with a dummy value, once for each variant of each choice. So there
//! is no second list of keys that could disagree with the structs.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use serde::de::{DeserializeOwned, DeserializeSeed, Visitor};

use super::failure::Failure;

/// What a key holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A whole number between these bounds of its type.
    Whole {
        /// The smallest value of the type.
        least: i128,
        /// The largest value of the type.
        most: i128,
    },
    /// A number with a fraction.
    Number,
    /// Text in quotes.
    Text,
    /// `true` or `false`.
    Flag,
    /// One of these words, as text.
    Word(Vec<&'static str>),
    /// Exactly one table of one of these names.
    Choice(Vec<&'static str>),
    /// A list; its items are described under `key[]`.
    List,
    /// A table with these keys.
    Table(Vec<&'static str>),
    /// A table with keys of the user's choice.
    Map,
}

impl Kind {
    /// What to write, in words, for example "a whole number".
    pub fn description(&self) -> String {
        match self {
            Self::Whole { .. } => "a whole number".into(),
            Self::Number => "a number".into(),
            Self::Text => "text in quotes".into(),
            Self::Flag => "true or false".into(),
            Self::Word(words) => format!("one of {}", listed(words, "\"")),
            Self::Choice(names) => format!("exactly one table of {}", listed(names, "`")),
            Self::List => "a list".into(),
            Self::Table(_) | Self::Map => "a table".into(),
        }
    }
}

/// One key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it holds.
    pub kind: Kind,
    /// Whether leaving it out means "none".
    pub optional: bool,
}

/// All keys of a type, by dotted path; the items of a list are `path[]`.
///
/// # Examples
/// ```
/// use kiln_settings::{Kind, Schema};
///
/// #[derive(serde::Deserialize)]
/// struct Shelf {
///     jars: Vec<String>,
///     label: Option<String>,
/// }
///
/// let schema = Schema::of::<Shelf>();
/// let paths: Vec<&str> = schema.entries().map(|(path, _)| path).collect();
/// assert_eq!(paths, ["", "jars", "jars[]", "label"]);
/// let label = schema.get("label").expect("it is a key");
/// assert_eq!((&label.kind, label.optional), (&Kind::Text, true));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    entries: BTreeMap<String, Entry>,
}

impl Schema {
    /// The keys that `T` reads.
    ///
    /// `T` may hold structs, enums, options, lists, tuples and scalars, at any depth. What serde reads through a
    /// buffer is not
    /// seen (`flatten`, `untagged`, `tag = "..."`), the keys of a map are the user's, and a type that holds itself
    /// has no end:
    /// don't ask for its schema. A hand-written `Deserialize` is asked like any other; if it refuses the dummy value
    /// (1, `"a"`,
    /// `false`), that pass ends there, and what was seen before it stays.
    pub fn of<T: DeserializeOwned>() -> Self {
        let findings = Rc::new(RefCell::new(Findings::default()));
        findings.borrow_mut().plans.push(Plan::new());
        loop {
            let Some(plan) = findings.borrow_mut().plans.pop() else { break };
            let probe =
                Probe { path: String::new(), optional: false, plan: Rc::new(plan), findings: Rc::clone(&findings) };
            let _ = T::deserialize(probe);
        }
        let entries = findings.take().entries;
        Self { entries }
    }

    /// The key at `path`, where indices into lists do not matter.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        self.entries.get(&without_indices(path))
    }

    /// Every path with what it holds, in alphabetical order; the root is the empty path.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.entries.iter().map(|(path, entry)| (path.as_str(), entry))
    }

    /// The tables that know a key of this name, in alphabetical order.
    pub(crate) fn tables_with(&self, key: &str) -> Vec<&str> {
        let known = |entry: &Entry| matches!(&entry.kind, Kind::Table(keys) if keys.contains(&key));
        self.entries().filter(|(path, entry)| !path.is_empty() && known(entry)).map(|(path, _)| path).collect()
    }
}

/// `a`, `b` and `c`, each between the given quotes.
pub(crate) fn listed(words: &[&str], quote: &str) -> String {
    words.iter().map(|word| format!("{quote}{word}{quote}")).collect::<Vec<_>>().join(", ")
}

/// The path with every `[3]` made `[]`.
fn without_indices(path: &str) -> String {
    let mut inside = false;
    path.chars()
        .filter(|character| {
            inside = (inside || *character == '[') && *character != ']';
            !inside || *character == '['
        })
        .collect()
}

/// `parent.key`, or `key` at the root.
pub fn join(parent: &str, key: &str) -> String {
    if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") }
}

/// Which variant to take at which choice.
type Plan = BTreeMap<String, usize>;

#[derive(Debug, Default)]
struct Findings {
    entries: BTreeMap<String, Entry>,
    /// Passes still to make.
    plans: Vec<Plan>,
}

/// The deserializer that writes down what it is asked.
#[derive(Clone)]
struct Probe {
    path: String,
    optional: bool,
    plan: Rc<Plan>,
    findings: Rc<RefCell<Findings>>,
}

impl Probe {
    fn found(&self, kind: Kind) {
        let entry = Entry { kind, optional: self.optional };
        self.findings.borrow_mut().entries.insert(self.path.clone(), entry);
    }

    fn child(&self, path: String) -> Self {
        Self { path, optional: false, plan: Rc::clone(&self.plan), findings: Rc::clone(&self.findings) }
    }

    /// The variant to take now; the first visit of a choice plans a pass for each other variant.
    fn choose(&self, variants: &'static [&'static str]) -> usize {
        if let Some(index) = self.plan.get(&self.path) {
            return *index;
        }
        let mut findings = self.findings.borrow_mut();
        if !findings.entries.contains_key(&self.path) {
            for index in 1..variants.len() {
                let mut plan = Plan::clone(&self.plan);
                plan.insert(self.path.clone(), index);
                findings.plans.push(plan);
            }
        }
        0
    }
}

macro_rules! probe_whole {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            self.found(Kind::Whole { least: <$type>::MIN.into(), most: <$type>::MAX.into() });
            visitor.$visit(1)
        }
    )*};
}

impl<'de> serde::Deserializer<'de> for Probe {
    type Error = Failure;

    probe_whole!(deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64, deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64);

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.found(Kind::Number);
        visitor.visit_f32(1.0)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.found(Kind::Number);
        visitor.visit_f64(1.0)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.found(Kind::Flag);
        visitor.visit_bool(false)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.found(Kind::Text);
        visitor.visit_str("a")
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_string(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_string(visitor)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_some(Self { optional: true, ..self })
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.found(Kind::List);
        let item = self.child(format!("{}[]", self.path));
        visitor.visit_seq(serde::de::value::SeqDeserializer::new(std::iter::once(Given(item))))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Failure> {
        self.found(Kind::List);
        let item = self.child(format!("{}[]", self.path));
        visitor.visit_seq(serde::de::value::SeqDeserializer::new(std::iter::repeat_n(Given(item), length)))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.found(Kind::Map);
        visitor.visit_map(Fields { parent: self, keys: &[], value: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        self.found(Kind::Table(fields.to_vec()));
        visitor.visit_map(Fields { parent: self, keys: fields, value: None })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let Some(variant) = variants.get(self.choose(variants)) else { return visitor.visit_unit() };
        visitor.visit_enum(Variant { parent: self, variants, name: variant })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! { bytes byte_buf unit unit_struct tuple_struct identifier ignored_any }
}

/// A probe where serde wants something that can be made a deserializer.
#[derive(Clone)]
struct Given(Probe);

impl<'de> serde::de::IntoDeserializer<'de, Failure> for Given {
    type Deserializer = Probe;

    fn into_deserializer(self) -> Probe {
        self.0
    }
}

/// Every field of a struct, each holding a probe.
struct Fields {
    parent: Probe,
    keys: &'static [&'static str],
    value: Option<&'static str>,
}

impl<'de> serde::de::MapAccess<'de> for Fields {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        let Some((key, rest)) = self.keys.split_first() else { return Ok(None) };
        self.keys = rest;
        self.value = Some(key);
        seed.deserialize(serde::de::value::StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let key = self.value.take().unwrap_or_default();
        seed.deserialize(self.parent.child(join(&self.parent.path, key)))
    }
}

/// One variant of an enum.
struct Variant {
    parent: Probe,
    variants: &'static [&'static str],
    name: &'static str,
}

impl Variant {
    /// A choice with one table of contents anywhere is written as tables.
    fn found(&self, has_contents: bool) {
        let path = &self.parent.path;
        let was_choice =
            matches!(self.parent.findings.borrow().entries.get(path), Some(Entry { kind: Kind::Choice(_), .. }));
        let names = self.variants.to_vec();
        self.parent.found(if has_contents || was_choice { Kind::Choice(names) } else { Kind::Word(names) });
    }

    fn contents(&self) -> Probe {
        self.found(true);
        self.parent.child(join(&self.parent.path, self.name))
    }
}

impl<'de> serde::de::EnumAccess<'de> for Variant {
    type Error = Failure;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Failure> {
        let value = seed.deserialize(serde::de::value::StrDeserializer::<Failure>::new(self.name))?;
        Ok((value, self))
    }
}

impl<'de> serde::de::VariantAccess<'de> for Variant {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        self.found(false);
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Failure> {
        seed.deserialize(self.contents())
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Failure> {
        serde::Deserializer::deserialize_tuple(self.contents(), length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Failure> {
        serde::Deserializer::deserialize_struct(self.contents(), "", fields, visitor)
    }
}
