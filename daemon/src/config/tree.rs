//! A configuration tree whose leaves remember where they come from, and its deserialiser.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{
    Deserialize,
    de::{
        self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess,
        Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};

/// A table or a value.
#[derive(Clone, Debug)]
pub(super) enum Tree {
    Table(BTreeMap<String, Self>),
    Leaf(Leaf),
}

/// A value and the file, variable or flag that set it.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    pub(super) value: Value,
    pub(super) origin: Arc<str>,
}

/// TOML has types; the environment has only text, which becomes what the key wants.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Toml(toml::Value),
    Text(String),
}

impl Tree {
    pub(super) fn from_toml(value: toml::Value, origin: &Arc<str>) -> Self {
        match value {
            toml::Value::Table(table) => Self::Table(
                table
                    .into_iter()
                    .map(|(key, value)| (key, Self::from_toml(value, origin)))
                    .collect(),
            ),
            value => Self::Leaf(Leaf {
                value: Value::Toml(value),
                origin: origin.clone(),
            }),
        }
    }

    fn origin(&self) -> Option<&Arc<str>> {
        match self {
            Self::Leaf(leaf) => Some(&leaf.origin),
            Self::Table(table) => table.values().find_map(Self::origin),
        }
    }
}

/// Lays `over` over what is there: tables merge, anything else replaces.
pub(super) fn insert(table: &mut BTreeMap<String, Tree>, key: String, over: Tree) {
    match (table.get_mut(&key), over) {
        (Some(Tree::Table(under)), Tree::Table(over)) => {
            for (key, value) in over {
                insert(under, key, value);
            }
        }
        (_, over) => {
            table.insert(key, over);
        }
    }
}

/// [`insert`] of one value at a dotted path.
pub(super) fn insert_at(table: &mut BTreeMap<String, Tree>, path: &str, leaf: Leaf) {
    let mut parts = path.rsplit('.');
    let Some(mut key) = parts.next() else { return };
    let mut tree = Tree::Leaf(leaf);
    for parent in parts {
        tree = Tree::Table(BTreeMap::from([(key.to_owned(), tree)]));
        key = parent;
    }
    insert(table, key.to_owned(), tree);
}

/// Reads a value out of the tree.
pub(super) fn deserialize<T: DeserializeOwned>(root: BTreeMap<String, Tree>) -> Result<T, Error> {
    T::deserialize(Tree::Table(root))
}

/// What is wrong, at which key, and where that was set.
#[derive(Debug)]
pub(super) struct Error {
    message: String,
    path: Vec<String>,
    origin: Option<Arc<str>>,
}

impl Error {
    /// Called at each level on the way up, innermost first.
    fn within(mut self, key: &str, origin: Option<&Arc<str>>) -> Self {
        self.path.push(key.to_owned());
        self.origin = self.origin.or_else(|| origin.cloned());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            let path: Vec<&str> = self.path.iter().rev().map(String::as_str).collect();
            write!(f, "`{}`", path.join("."))?;
            if let Some(origin) = &self.origin {
                write!(f, " (set by {origin})")?;
            }
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            path: Vec::new(),
            origin: None,
        }
    }
}

impl From<toml::de::Error> for Error {
    fn from(error: toml::de::Error) -> Self {
        de::Error::custom(error.message())
    }
}

impl IntoDeserializer<'_, Error> for Tree {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Hands out a table's entries and adds to each error the key it happened at.
struct Entries {
    rest: std::collections::btree_map::IntoIter<String, Tree>,
    current: Option<(String, Tree)>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some((key, tree)) = self.rest.next() else {
            return Ok(None);
        };
        let origin = tree.origin().cloned();
        let value = seed
            .deserialize(key.as_str().into_deserializer())
            .map_err(|error: Error| error.within(&key, origin.as_ref()))?;
        self.current = Some((key, tree));
        Ok(Some(value))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let Some((key, tree)) = self.current.take() else {
            return Err(de::Error::custom("value asked for before its key"));
        };
        let origin = tree.origin().cloned();
        seed.deserialize(tree)
            .map_err(|error| error.within(&key, origin.as_ref()))
    }
}

/// Text goes to the visitor as the parsed primitive, everything else as TOML has it.
macro_rules! deserialize_primitives {
    ($($method:ident, $visit:ident, $type:ty, $name:literal;)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self {
                Self::Leaf(Leaf { value: Value::Text(text), .. }) => match text.trim().parse::<$type>() {
                    Ok(value) => visitor.$visit(value),
                    Err(_) => Err(de::Error::custom(format_args!("{text:?} is no {}", $name))),
                },
                other => other.deserialize_any(visitor),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for Tree {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Table(table) => visitor.visit_map(Entries {
                rest: table.into_iter(),
                current: None,
            }),
            Self::Leaf(Leaf {
                value: Value::Text(text),
                ..
            }) => visitor.visit_string(text),
            Self::Leaf(Leaf {
                value: Value::Toml(value),
                ..
            }) => Ok(value.deserialize_any(visitor)?),
        }
    }

    deserialize_primitives! {
        deserialize_bool, visit_bool, bool, "truth value (true, false)";
        deserialize_i8, visit_i8, i8, "number in range";
        deserialize_i16, visit_i16, i16, "number in range";
        deserialize_i32, visit_i32, i32, "number in range";
        deserialize_i64, visit_i64, i64, "number in range";
        deserialize_u8, visit_u8, u8, "number in range";
        deserialize_u16, visit_u16, u16, "number in range";
        deserialize_u32, visit_u32, u32, "number in range";
        deserialize_u64, visit_u64, u64, "number in range";
        deserialize_f32, visit_f32, f32, "number";
        deserialize_f64, visit_f64, f64, "number";
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// A list in the environment: TOML's `["a", "b"]`, or items parted by commas.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Leaf(Leaf {
                value: Value::Text(text),
                origin,
            }) => {
                if text.trim_start().starts_with('[') {
                    let list =
                        toml::Value::deserialize(toml::de::ValueDeserializer::parse(&text)?)?;
                    return Ok(list.deserialize_any(visitor)?);
                }
                let items = text
                    .split(',')
                    .map(str::trim)
                    .filter(|item| !item.is_empty());
                let items = items.map(|item| {
                    Self::Leaf(Leaf {
                        value: Value::Text(item.to_owned()),
                        origin: origin.clone(),
                    })
                });
                visitor.visit_seq(SeqDeserializer::new(items))
            }
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Self::Leaf(Leaf {
                value: Value::Text(text),
                ..
            }) => visitor.visit_enum(IntoDeserializer::<Error>::into_deserializer(text)),
            Self::Leaf(Leaf {
                value: Value::Toml(value),
                ..
            }) => Ok(value.deserialize_enum(name, variants, visitor)?),
            Self::Table(table) => visitor.visit_enum(de::value::MapAccessDeserializer::new(
                MapDeserializer::new(table.into_iter()),
            )),
        }
    }

    /// Serde asks for this where a type has no field of that name: a key nobody reads is a mistake of the writer.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(de::Error::custom("unknown key"))
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct tuple tuple_struct map struct identifier
    }
}
