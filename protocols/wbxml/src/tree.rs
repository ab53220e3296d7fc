//! The tree between bytes and a protocol's own types.

use std::fmt;
use std::hash::{Hash, Hasher};

/// A tag: page and token, and the name where the tables have one. Two tags are equal when page and token are.
#[derive(Debug, Clone, Copy)]
pub struct Tag {
    /// The code page.
    pub page: u8,
    /// 0x05 to 0x3F, without the content and attribute bits.
    pub token: u8,
    /// `None` for a token that the tables lack: a reader passes over it.
    pub name: Option<&'static str>,
}

impl Tag {
    /// A tag that is known beforehand.
    pub const fn new(page: u8, token: u8, name: &'static str) -> Tag {
        Tag { page, token, name: Some(name) }
    }
}

impl PartialEq for Tag {
    fn eq(&self, other: &Tag) -> bool {
        (self.page, self.token) == (other.page, other.token)
    }
}

impl Eq for Tag {}

impl Hash for Tag {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.page, self.token).hash(state);
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "{}/{:02X}", self.page, self.token),
        }
    }
}

/// An element with what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// What it is.
    pub tag: Tag,
    /// What is in it, in order.
    pub children: Vec<Node>,
}

/// One piece of an element's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// A child element.
    Element(Element),
    /// Text. Decoding joins neighbours, so two never follow each other.
    Text(String),
    /// Bytes of which WBXML says nothing.
    Opaque(Vec<u8>),
}

impl Element {
    /// An empty element.
    pub fn empty(tag: Tag) -> Element {
        Element { tag, children: Vec::new() }
    }

    /// An element with text only; empty where the text is.
    pub fn text_of(tag: Tag, text: impl Into<String>) -> Element {
        let text = text.into();
        let children = if text.is_empty() { Vec::new() } else { vec![Node::Text(text)] };
        Element { tag, children }
    }

    /// An element with opaque bytes only.
    pub fn opaque_of(tag: Tag, bytes: impl Into<Vec<u8>>) -> Element {
        Element { tag, children: vec![Node::Opaque(bytes.into())] }
    }

    /// An element with child elements only.
    pub fn of(tag: Tag, children: impl IntoIterator<Item = Element>) -> Element {
        Element { tag, children: children.into_iter().map(Node::Element).collect() }
    }

    /// The same with one more child at its end.
    #[must_use]
    pub fn with(mut self, child: Element) -> Element {
        self.children.push(Node::Element(child));
        self
    }

    /// The name, `None` for an unknown token.
    pub fn name(&self) -> Option<&'static str> {
        self.tag.name
    }

    /// All child elements, in order.
    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) | Node::Opaque(_) => None,
        })
    }

    /// The first child with that tag.
    pub fn child(&self, tag: Tag) -> Option<&Element> {
        self.elements().find(|element| element.tag == tag)
    }

    /// The first child with that name, on whatever page.
    pub fn child_named(&self, name: &str) -> Option<&Element> {
        self.elements().find(|element| element.tag.name == Some(name))
    }

    /// All children with that tag, in order.
    pub fn children_with(&self, tag: Tag) -> impl Iterator<Item = &Element> {
        self.elements().filter(move |element| element.tag == tag)
    }

    /// The first child of the first child … along the tags.
    pub fn path(&self, tags: &[Tag]) -> Option<&Element> {
        tags.iter().try_fold(self, |element, tag| element.child(*tag))
    }

    /// The content where it is one string, or opaque bytes that are UTF-8; `""` where empty; `None` where it is
    /// anything else.
    pub fn text(&self) -> Option<&str> {
        match self.children.as_slice() {
            [] => Some(""),
            [Node::Text(text)] => Some(text),
            [Node::Opaque(bytes)] => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The content as bytes, where it is one string or opaque; empty where there is none.
    pub fn bytes(&self) -> Option<&[u8]> {
        match self.children.as_slice() {
            [] => Some(&[]),
            [Node::Text(text)] => Some(text.as_bytes()),
            [Node::Opaque(bytes)] => Some(bytes),
            _ => None,
        }
    }

    /// [`Element::text`] of the first child with that tag.
    pub fn child_text(&self, tag: Tag) -> Option<&str> {
        self.child(tag).and_then(Element::text)
    }
}
