//! A bounded tree read from YAML: no tags, no fractions, no repeated keys, and aliases only within the budget, so
//! that a small text cannot grow into a large value.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::error::{MAX_TEXT, PolicyError};
use super::yaml::{self, Misread};

/// Scalars and containers, aliases counted as often as they are used.
const MAX_NODES: usize = 10_000;
/// Levels of containers.
const MAX_DEPTH: usize = 8;

/// One YAML value. Whole numbers only; a map keeps its order.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// Reads one document of at most [`MAX_TEXT`] bytes.
    pub(super) fn parse(text: &str) -> Result<Node, PolicyError> {
        if text.len() > MAX_TEXT {
            return Err(PolicyError::TooLarge { place: "the policy file".into(), limit: MAX_TEXT });
        }
        let budget = Budget { nodes: Cell::new(MAX_NODES), bytes: Cell::new(MAX_TEXT * 2) };
        let seed = Seed { budget: &budget, depth: MAX_DEPTH };
        let mut node = yaml::read(text, |reader| seed.deserialize(reader))
            .map_err(|Misread { line, column, text }| PolicyError::Yaml { line, column, text })?;
        if yaml::ends_within_a_block(text)
            && let Some(last) = node.last_text().filter(|last| last.ends_with('\n'))
        {
            last.pop();
        }
        Ok(node)
    }

    /// The text that stands last, where it is one.
    fn last_text(&mut self) -> Option<&mut String> {
        match self {
            Node::Text(text) => Some(text),
            Node::List(items) => items.last_mut()?.last_text(),
            Node::Map(entries) => entries.last_mut()?.1.last_text(),
            _ => None,
        }
    }

    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Node::Null => "nothing",
            Node::Bool(_) => "true or false",
            Node::Int(_) => "a number",
            Node::Text(_) => "text",
            Node::List(_) => "a list",
            Node::Map(_) => "a mapping",
        }
    }

    /// The value under a key of a map.
    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match self {
            Node::Map(entries) => entries.iter_mut().find(|(k, _)| k == key).map(|(_, v)| v),
            _ => None,
        }
    }
}

struct Budget {
    nodes: Cell<usize>,
    bytes: Cell<usize>,
}

impl Budget {
    fn spend<E: serde::de::Error>(&self, bytes: usize) -> Result<(), E> {
        match (self.nodes.get().checked_sub(1), self.bytes.get().checked_sub(bytes)) {
            (Some(nodes), Some(left)) => {
                self.nodes.set(nodes);
                self.bytes.set(left);
                Ok(())
            }
            _ => Err(E::custom("too many values, or aliases that unfold to too many")),
        }
    }
}

#[derive(Clone, Copy)]
struct Seed<'b> {
    budget: &'b Budget,
    depth: usize,
}

impl Seed<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))?;
        Ok(Seed { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a whole number, true, false, a list or a mapping")
    }

    /// A text without a document.
    fn visit_none<E: serde::de::Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Node, E> {
        self.budget.spend(0).map(|()| Node::Null)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Node, E> {
        self.budget.spend(1).map(|()| Node::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Node, E> {
        self.budget.spend(8).map(|()| Node::Int(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Node, E> {
        let value = i64::try_from(value).map_err(|_| E::custom("a number too large: put it in quotes"))?;
        self.visit_i64(value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        // What no whole number of ours holds comes as one of these.
        if value.is_infinite() || value.fract() == 0.0 && value.abs() >= i64::MAX as f64 {
            return Err(E::custom("a number too large: put it in quotes"));
        }
        Err(E::custom("a number with a fraction: put it in quotes if it is meant as text"))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Node, E> {
        self.budget.spend(value.len()).map(|()| Node::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
        self.budget.spend(0)?;
        let seed = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(seed)? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        self.budget.spend(0)?;
        let seed = self.deeper()?;
        let (mut entries, mut seen) = (Vec::new(), BTreeSet::new());
        while let Some(key) = map.next_key::<String>()? {
            self.budget.spend(key.len())?;
            if !seen.insert(key.clone()) {
                return Err(A::Error::custom(yaml::stands_twice(&key)));
            }
            entries.push((key, map.next_value_seed(seed)?));
        }
        Ok(Node::Map(entries))
    }
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Node::Null => serializer.serialize_unit(),
            Node::Bool(value) => serializer.serialize_bool(*value),
            Node::Int(value) => serializer.serialize_i64(*value),
            Node::Text(value) => serializer.serialize_str(value),
            Node::List(items) => serializer.collect_seq(items),
            Node::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_read_as_yaml_1_2_has_them() {
        let mut node = Node::parse("a: yes\nb: true\nc: 7\nd:\ne: [x, '1']\n").unwrap();
        let want = [
            ("a", Node::Text("yes".into())),
            ("b", Node::Bool(true)),
            ("c", Node::Int(7)),
            ("d", Node::Null),
            ("e", Node::List(vec![Node::Text("x".into()), Node::Text("1".into())])),
        ];
        for (key, mut value) in want {
            assert_eq!(node.get_mut(key), Some(&mut value), "{key}");
        }
    }

    #[test]
    fn hostile_texts_are_refused_with_their_place() {
        let bomb = format!(
            "a: &a [x,x,x,x,x,x,x,x,x,x]\n{}",
            (0..6).fold(String::new(), |text, n| {
                let (to, from) = (char::from(b'b' + n), char::from(b'a' + n));
                text + &format!("{to}: &{to} [{}]\n", vec![format!("*{from}"); 10].join(","))
            })
        );
        let wide = format!("a: &a '{}'\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 100].join(","));
        let deep = "[".repeat(5_000);
        let nested = format!("{}1{}", "[".repeat(9), "]".repeat(9));
        for (row, text, words) in [
            ("an alias bomb", bomb.as_str(), "too many values"),
            ("a wide alias", wide.as_str(), "too many values"),
            ("an endless nest", deep.as_str(), "nested too deeply"),
            ("a nest", nested.as_str(), "nested too deeply"),
            ("a key twice", "a: 1\nb: 2\na: 3\n", "stands twice"),
            ("a fraction", "a: 1.5\n", "fraction"),
            ("a huge number", "a: 18446744073709551615\n", "too large"),
            ("a tag", "a: !secret x\n", "the tag `!secret`: tags are not taken"),
            ("two documents", "a: 1\n---\nb: 1\n", "more than one document"),
            ("a recursive alias", "a: &a [*a]\n", "an alias within what it stands for"),
            ("broken", "a: [1\n", "unclosed bracket '['"),
        ] {
            match Node::parse(text) {
                Err(PolicyError::Yaml { text, .. }) => assert!(text.contains(words), "{row}: {text}"),
                other => panic!("{row}: {other:?}"),
            }
        }
        let Err(PolicyError::Yaml { line, .. }) = Node::parse("a: 1\nb: 2\na: 3\n") else { panic!() };
        assert_eq!(line, 3, "the place is known");
        assert!(matches!(Node::parse(&"#".repeat(MAX_TEXT + 1)), Err(PolicyError::TooLarge { .. })));
    }

    fn any_node() -> impl Strategy<Value = Node> {
        let leaf = prop_oneof![
            Just(Node::Null),
            any::<bool>().prop_map(Node::Bool),
            any::<i64>().prop_map(Node::Int),
            "\\PC{0,12}|[a-z \n#:'\"-]{60,200}".prop_map(Node::Text),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Node::List),
                proptest::collection::btree_map("[a-z~0-9 :#-]{0,6}", inner, 0..4)
                    .prop_map(|map| Node::Map(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_the_same(node in any_node()) {
            let text = serde_saphyr::to_string(&node).unwrap();
            prop_assert_eq!(Node::parse(&text).unwrap(), node, "{}", text);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,200}|[\\[\\]{}&*!:,a \n-]{0,80}") {
            let _ = Node::parse(&text);
        }
    }
}
