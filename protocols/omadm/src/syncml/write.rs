//! The tree of a message as XML, on one line.

use crate::Error;
use crate::xml::{self, Element};

/// Fails where XML cannot carry a text: that must never go out in an altered form.
pub(super) fn encode(root: &Element<'_>) -> Result<Vec<u8>, Error> {
    let mut out = String::with_capacity(1_024);
    element(root, Some(" xmlns=\"SYNCML:SYNCML1.2\""), &mut out)?;
    Ok(out.into_bytes())
}

fn element(element: &Element<'_>, namespace: Option<&str>, out: &mut String) -> Result<(), Error> {
    out.push('<');
    out.push_str(&element.name);
    out.push_str(namespace.unwrap_or_default());
    if element.children.is_empty() && element.text.is_empty() {
        out.push_str("/>");
        return Ok(());
    }
    out.push('>');
    if !xml::is_text(&element.text) {
        return Err(Error::Unencodable { element: "text of SyncML" });
    }
    xml::escape(&element.text, out);
    let below = (element.name == "Meta").then_some(" xmlns=\"syncml:metinf\"");
    for child in &element.children {
        self::element(child, below, out)?;
    }
    out.push_str("</");
    out.push_str(&element.name);
    out.push('>');
    Ok(())
}
