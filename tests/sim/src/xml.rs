//! A small tree of XML elements, read with quick-xml: SOAP answers, provisioning documents and SyncML. Prefixes are dropped, as Windows
//! ignores them; writing is done by hand where each document is made.

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};

use crate::error::{Error, Result};

const MAX_DEPTH: usize = 64;

/// One element. Text is what stands directly in it, joined and trimmed at its ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Element>,
    pub(crate) text: String,
}

impl Element {
    /// The root element of a document.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Element> {
        let mut reader = Reader::from_reader(bytes);
        let mut stack = vec![Element::default()];
        let bad = |e: &dyn std::fmt::Display| Error::malformed("XML", e);
        loop {
            match reader.read_event().map_err(|e| bad(&e))? {
                Event::Start(start) => {
                    if stack.len() >= MAX_DEPTH {
                        return Err(bad(&"nested too deep"));
                    }
                    stack.push(open(&start)?);
                }
                Event::Empty(start) => {
                    let element = open(&start)?;
                    if let Some(top) = stack.last_mut() {
                        top.children.push(element);
                    }
                }
                Event::End(_) => close(&mut stack),
                Event::Text(text) => append(&mut stack, &text.decode().map_err(|e| bad(&e))?),
                Event::CData(text) => append(&mut stack, &text.decode().map_err(|e| bad(&e))?),
                Event::GeneralRef(name) => {
                    let resolved = match name.resolve_char_ref().map_err(|e| bad(&e))? {
                        Some(c) => c.to_string(),
                        None => {
                            let name = name.decode().map_err(|e| bad(&e))?;
                            resolve_predefined_entity(&name).ok_or_else(|| bad(&"unknown entity"))?.to_owned()
                        }
                    };
                    append(&mut stack, &resolved);
                }
                Event::DocType(_) => return Err(bad(&"a DOCTYPE")),
                Event::Eof => break,
                Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            }
        }
        match (stack.pop(), stack.is_empty()) {
            (Some(mut document), true) if document.children.len() == 1 => {
                document.children.pop().ok_or_else(|| bad(&"empty"))
            }
            _ => Err(bad(&"not one whole element")),
        }
    }

    /// The first child of this name.
    pub(crate) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|c| c.name == name)
    }

    /// The first element at the end of this path of names below.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Element> {
        path.iter().try_fold(self, |e, name| e.child(name))
    }

    /// The text at the end of a path; empty if there is none.
    pub(crate) fn text_at(&self, path: &[&str]) -> &str {
        self.at(path).map_or("", |e| e.text.as_str())
    }

    /// All children of this name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |c| c.name == name)
    }

    /// An attribute's value; empty if there is none.
    pub(crate) fn attribute(&self, name: &str) -> &str {
        self.attributes.iter().find(|(k, _)| k == name).map_or("", |(_, v)| v)
    }
}

fn open(start: &BytesStart<'_>) -> Result<Element> {
    let bad = |e: &dyn std::fmt::Display| Error::malformed("XML", e);
    let name = String::from_utf8_lossy(start.local_name().as_ref()).into_owned();
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|e| bad(&e))?;
        let key = String::from_utf8_lossy(attribute.key.local_name().as_ref()).into_owned();
        attributes.push((key, attribute.unescape_value().map_err(|e| bad(&e))?.into_owned()));
    }
    Ok(Element { name, attributes, ..Element::default() })
}

fn append(stack: &mut [Element], text: &str) {
    if let Some(top) = stack.last_mut() {
        top.text.push_str(text);
    }
}

/// The reader has checked that end tags match, so the element at the top is whole.
fn close(stack: &mut Vec<Element>) {
    if let Some(mut done) = stack.pop() {
        done.text = done.text.trim().to_owned();
        if let Some(top) = stack.last_mut() {
            top.children.push(done);
        }
    }
}

/// Text as it may stand in an element or an attribute. No CDATA: Windows writes none.
pub(crate) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_tree_without_its_prefixes() {
        let xml =
            br#"<?xml version="1.0"?><s:A xmlns:s="x" k="1 &lt; 2"><b> one &amp; &#50; </b><s:c/><b>three</b></s:A>"#;
        let a = Element::parse(xml).unwrap();
        assert_eq!((a.name.as_str(), a.attribute("k"), a.text_at(&["b"])), ("A", "1 < 2", "one & 2"));
        assert_eq!((a.all("b").count(), a.child("c").is_some()), (2, true));
        for bad in [&b"<a><b></a>"[..], b"<a>", b"", b"<a/><b/>", b"<!DOCTYPE a><a/>", b"<a>&x;</a>"] {
            assert!(Element::parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    proptest! {
        #[test]
        fn what_is_escaped_is_read(text in "[ -~]{0,40}") {
            let xml = format!("<a k=\"{0}\">{0}</a>", escape(&text));
            let a = Element::parse(xml.as_bytes()).unwrap();
            prop_assert_eq!((a.text.as_str(), a.attribute("k")), (text.trim(), text.as_str()));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Element::parse(&bytes);
        }
    }
}
