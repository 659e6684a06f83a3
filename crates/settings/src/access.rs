//! The reader as serde sees it: each question of a type answered from the tree, or with a dummy value.

use serde::de::{DeserializeSeed, Visitor};

use super::document::{Node, Value};
use super::failure::Failure;
use super::reader::Reader;
use super::schema::join;

macro_rules! read_whole {
    ($($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
            let number = self.whole(<$type>::MIN.into(), <$type>::MAX.into());
            visitor.$visit(<$type>::try_from(number).unwrap_or(1))
        }
    )*};
}

impl<'de> serde::Deserializer<'de> for Reader<'_> {
    type Error = Failure;

    read_whole!(deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16, deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64, deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64);

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_f64(self.number())
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_f64(self.number())
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.value() {
            Some(Value::Flag(flag)) => visitor.visit_bool(*flag),
            _ => visitor.visit_bool(self.dummy("true or false", false)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_string(self.text())
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_string(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        if self.node.is_none() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_seq(Items(self.items().into_iter()))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Failure> {
        let mut items = self.items();
        if items.len() != length {
            if matches!(self.value(), Some(Value::List(_))) {
                self.wrong_type(&format!("a list of {length}"));
            }
            items.resize_with(length, || self.child(self.path.clone(), None));
        }
        visitor.visit_seq(Items(items.into_iter()))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        let entry = |(key, node): &'_ (String, Node)| (key.clone(), join(&self.path, key), node.clone());
        let entries: Vec<(String, String, Node)> = match self.value() {
            Some(Value::Table(table)) => table.iter().map(entry).collect(),
            _ => self.dummy("a table", Vec::new()),
        };
        let readers = entries.iter().map(|(key, path, node)| (key.clone(), self.child(path.clone(), Some(node))));
        visitor.visit_map(Entries { rest: readers.collect::<Vec<_>>().into_iter(), value: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let entries = Entries { rest: self.fields(fields).into_iter(), value: None };
        visitor.visit_map(entries).map_err(|failure| failure.at(&self.path))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failure> {
        let chosen = match self.node {
            Some(Node { value: Value::Table(table), .. }) => self.chosen(variants, table).map(Variant::table),
            Some(node @ Node { value: Value::Text(word), .. }) => {
                self.word(variants, word, node).map(|name| Variant::word(name, self.clone()))
            }
            _ => {
                let expected = self.schema.get(&self.path).map(|entry| entry.kind.description());
                self.dummy(&expected.unwrap_or_default(), None)
            }
        };
        let first = variants.first().copied().unwrap_or_default();
        let variant = chosen.unwrap_or_else(|| Variant::table((first, self.child(join(&self.path, first), None))));
        visitor.visit_enum(variant).map_err(|failure| failure.at(&self.path))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        match self.value() {
            Some(Value::Whole(_)) => self.deserialize_i64(visitor),
            Some(Value::Number(_)) => self.deserialize_f64(visitor),
            Some(Value::Flag(_)) => self.deserialize_bool(visitor),
            Some(Value::List(_)) => self.deserialize_seq(visitor),
            Some(Value::Table(_)) => self.deserialize_map(visitor),
            _ => self.deserialize_string(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failure> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { bytes byte_buf unit unit_struct tuple_struct identifier }
}

/// The items of a list.
struct Items<'a>(std::vec::IntoIter<Reader<'a>>);

impl<'de> serde::de::SeqAccess<'de> for Items<'_> {
    type Error = Failure;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Failure> {
        let Some(reader) = self.0.next() else { return Ok(None) };
        let path = reader.path.clone();
        seed.deserialize(reader).map(Some).map_err(|failure| failure.at(&path))
    }
}

/// The entries of a table.
struct Entries<'a> {
    rest: std::vec::IntoIter<(String, Reader<'a>)>,
    value: Option<Reader<'a>>,
}

impl<'de> serde::de::MapAccess<'de> for Entries<'_> {
    type Error = Failure;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Failure> {
        let Some((key, reader)) = self.rest.next() else { return Ok(None) };
        self.value = Some(reader);
        seed.deserialize(serde::de::value::StringDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failure> {
        let Some(reader) = self.value.take() else { return Err(serde::de::Error::custom("a value without a key")) };
        let path = reader.path.clone();
        seed.deserialize(reader).map_err(|failure| failure.at(&path))
    }
}

/// The chosen variant of an enum with the reader of its contents.
struct Variant<'a> {
    name: &'static str,
    contents: Reader<'a>,
    is_word: bool,
}

impl<'a> Variant<'a> {
    fn table((name, contents): (&'static str, Reader<'a>)) -> Self {
        Self { name, contents, is_word: false }
    }

    fn word(name: &'static str, contents: Reader<'a>) -> Self {
        Self { name, contents, is_word: true }
    }

    /// The reader of the contents, which a word does not have.
    fn table_contents(self) -> Reader<'a> {
        if !self.is_word {
            return self.contents;
        }
        self.contents.wrong_type(&format!("a table, `[{}.{}]`", self.contents.path, self.name));
        let path = join(&self.contents.path, self.name);
        self.contents.child(path, None)
    }
}

impl<'de> serde::de::EnumAccess<'de> for Variant<'_> {
    type Error = Failure;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Failure> {
        let value = seed.deserialize(serde::de::value::StrDeserializer::<Failure>::new(self.name))?;
        Ok((value, self))
    }
}

impl<'de> serde::de::VariantAccess<'de> for Variant<'_> {
    type Error = Failure;

    fn unit_variant(self) -> Result<(), Failure> {
        if !self.is_word {
            self.contents.fields(&[]);
        }
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Failure> {
        let contents = self.table_contents();
        let path = contents.path.clone();
        seed.deserialize(contents).map_err(|failure| failure.at(&path))
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Failure> {
        serde::Deserializer::deserialize_tuple(self.table_contents(), length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Failure> {
        serde::Deserializer::deserialize_struct(self.table_contents(), "", fields, visitor)
    }
}
