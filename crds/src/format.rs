//! One declaration per field: how it is read, and how a JSON Schema describes it.
//!
//! A derive on plain structs would leave the reader (which must know places and collect problems)
//! and the schema as two lists that drift apart. Here both walk the same one.

use std::marker::PhantomData;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use skep_yaml::{Cursor, Location, Parsed, Problems, Resolver, Sink};

/// How a value is written.
pub(crate) trait Format {
    /// What is read.
    type Value;
    /// Whether its key must be there.
    const REQUIRED: bool = true;

    /// Reads it, or notes what is wrong and gives `None`.
    fn read(at: &Cursor<'_>) -> Option<Self::Value>;

    /// Describes it.
    fn schema(generator: &mut SchemaGenerator) -> Schema;

    /// What a key that is not there means; `None` when it must be there.
    fn missing() -> Option<Self::Value> {
        None
    }
}

/// A mapping that is of use although some of its fields are not: what is declared elsewhere can
/// still be compared with it, so that more problems come in one go.
pub(crate) trait Partial: Format<Value = Self> + Sized {
    /// Reads what can be read, and whether that is everything. What could not be read is as if it
    /// were not there; problems of it are noted. `None` when something required is lost.
    fn read_partial(at: &Cursor<'_>) -> Option<(Self, bool)>;
}

/// Reads a whole document: the tree's problems and the kind's come together.
pub(crate) fn read_document<F: Format>(parsed: Parsed) -> Result<F::Value, Problems> {
    let Parsed { file, root, problems } = parsed;
    let (value, found) = read_root::<F>(&file, root.as_deref());
    let mut all = problems;
    all.append(found);
    all.into_result(&file, value)
}

/// Reads a tree, giving whatever problems the kind has with it.
pub(crate) fn read_root<F: Format>(
    file: &Arc<str>,
    root: Option<&skep_yaml::Node>,
) -> (Option<F::Value>, Problems) {
    let sink = Sink::new(file.clone(), Resolver::Strict);
    let value = root.and_then(|root| F::read(&sink.root(root)));
    (value, sink.into_problems())
}

/// [`Partial`] reading of a tree.
pub(crate) fn read_root_partial<F: Partial>(
    file: &Arc<str>,
    root: Option<&skep_yaml::Node>,
) -> (Option<(F, bool)>, Problems) {
    let sink = Sink::new(file.clone(), Resolver::Strict);
    let value = root.and_then(|root| F::read_partial(&sink.root(root)));
    (value, sink.into_problems())
}

impl<F: Format> Format for Option<F> {
    type Value = Option<F::Value>;
    const REQUIRED: bool = false;

    fn read(at: &Cursor<'_>) -> Option<Self::Value> {
        F::read(at).map(Some)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        F::schema(generator)
    }

    fn missing() -> Option<Self::Value> {
        Some(None)
    }
}

impl<F: Format> Format for Vec<F> {
    type Value = Vec<F::Value>;

    fn read(at: &Cursor<'_>) -> Option<Self::Value> {
        let items = at.list()?;
        // Every item is read before the list is given up, so that each says what is wrong with it.
        let read: Vec<_> = items.iter().map(F::read).collect();
        read.into_iter().collect()
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let items = F::schema(generator);
        json_schema!({ "type": "array", "items": items })
    }
}

/// A value that remembers where it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub location: Location,
}

impl<F: Format> Format for Spanned<F> {
    type Value = Spanned<F::Value>;
    const REQUIRED: bool = F::REQUIRED;

    fn read(at: &Cursor<'_>) -> Option<Self::Value> {
        Some(Spanned { value: F::read(at)?, location: at.location() })
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        F::schema(generator)
    }
}

/// A text that says something.
pub(crate) struct Text;

impl Format for Text {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        at.filled_text()
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1 })
    }
}

/// `true` or `false`.
pub(crate) struct Flag;

impl Format for Flag {
    type Value = bool;

    fn read(at: &Cursor<'_>) -> Option<bool> {
        at.boolean()
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "boolean" })
    }
}

/// A whole number from `MIN` to `MAX`, which must fit `T`.
pub(crate) struct Whole<T, const MIN: i64, const MAX: i64>(PhantomData<T>);

impl<T: TryFrom<i64>, const MIN: i64, const MAX: i64> Format for Whole<T, MIN, MAX> {
    type Value = T;

    fn read(at: &Cursor<'_>) -> Option<T> {
        T::try_from(at.integer(MIN..=MAX)?).ok()
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// A share, from 0 to 1.
pub(crate) struct Ratio;

impl Format for Ratio {
    type Value = f64;

    fn read(at: &Cursor<'_>) -> Option<f64> {
        at.number(0.0..=1.0)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}

/// The lines of a doc comment as one text.
pub(crate) fn description(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A property with its description beside what its format says.
pub(crate) fn described(mut schema: Schema, doc: &str) -> Schema {
    schema.insert("description".to_owned(), description(doc).into());
    schema
}

/// The schema of a named kind: it stands once, under `$defs`.
pub(crate) fn named<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// The names whose fields are given.
pub(crate) fn given(fields: &[(&'static str, bool)]) -> Vec<&'static str> {
    fields.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect()
}

/// The key of a field: `type` is a word of Rust, so its field is `r#type`.
pub(crate) fn key(field: &'static str) -> &'static str {
    field.strip_prefix("r#").unwrap_or(field)
}

/// Declares a mapping: a struct, its reader, and its schema. Keys that are not declared are
/// problems. `check NAME;` names a function that may note what does not fit together.
macro_rules! mapping {
    (
        $(#[doc = $doc:literal])*
        $vis:vis struct $name:ident {
            $( $(#[doc = $field_doc:literal])* $field_vis:vis $field:ident : $format:ty ),+ $(,)?
        }
        $( check $check:path; )?
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        $vis struct $name {
            $( $(#[doc = $field_doc])*
               $field_vis $field: <$format as $crate::format::Format>::Value ),+
        }

        impl $crate::format::Format for $name {
            type Value = Self;

            fn read(at: &skep_yaml::Cursor<'_>) -> Option<Self> {
                let (read, complete) = <Self as $crate::format::Partial>::read_partial(at)?;
                complete.then_some(read)
            }

            fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::format::named::<Self>(generator)
            }
        }

        impl $crate::format::Partial for $name {
            fn read_partial(at: &skep_yaml::Cursor<'_>) -> Option<(Self, bool)> {
                use $crate::format::{Format, key};
                let map = at.map()?;
                map.deny_unknown(&[$( key(stringify!($field)) ),+]);
                let mut complete = true;
                // Every field is read before the mapping is given up.
                $( let $field = match map.optional(key(stringify!($field))) {
                    Some(value) => <$format as Format>::read(&value).or_else(|| {
                        complete = false;
                        <$format as Format>::missing()
                    }),
                    None if <$format as Format>::REQUIRED => {
                        map.required(key(stringify!($field)));
                        None
                    }
                    None => <$format as Format>::missing(),
                }; )+
                let read = Self { $( $field: $field? ),+ };
                $( complete = complete && $check(&read, &map).is_some(); )?
                Some((read, complete))
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                use $crate::format::{Format, described, description, key};
                let mut properties = serde_json::Map::new();
                let mut required: Vec<serde_json::Value> = Vec::new();
                $(
                    let property = <$format as Format>::schema(generator);
                    let doc = concat!($( $field_doc, "\n" ),*);
                    properties.insert(
                        key(stringify!($field)).to_owned(),
                        described(property, doc).into(),
                    );
                    if <$format as Format>::REQUIRED {
                        required.push(key(stringify!($field)).into());
                    }
                )+
                let mut schema = schemars::json_schema!({
                    "type": "object",
                    "description": description(concat!($( $doc, "\n" ),*)),
                    "properties": properties,
                    "additionalProperties": false,
                });
                if !required.is_empty() {
                    schema.insert("required".to_owned(), required.into());
                }
                schema
            }
        }
    };
}
pub(crate) use mapping;

/// Declares how a word of a list is read.
macro_rules! word {
    ($name:ident, $words:ident) => {
        impl $crate::format::Format for $name {
            type Value = Self;

            fn read(at: &Cursor<'_>) -> Option<Self> {
                at.word(&$words)
            }

            fn schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "enum": $words.map(|(word, _)| word) })
            }
        }
    };
}
pub(crate) use word;
