//! Code pages: which token on which page stands for which name. The tables belong to the protocols.

use crate::tree::Tag;

/// One code page of a protocol.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// What SWITCH_PAGE names it by.
    pub number: u8,
    /// The XML namespace whose names it holds.
    pub namespace: &'static str,
    /// Tokens 0x05 to 0x3F and their names, in any order.
    pub tags: &'static [(u8, &'static str)],
}

/// All code pages of a protocol.
#[derive(Debug, Clone, Copy)]
pub struct CodePages {
    /// In any order; numbers do not repeat.
    pub pages: &'static [Page],
}

impl CodePages {
    /// The page of that number.
    pub fn page(&self, number: u8) -> Option<&'static Page> {
        self.pages.iter().find(|page| page.number == number)
    }

    /// The XML namespace of a page.
    pub fn namespace(&self, number: u8) -> Option<&'static str> {
        self.page(number).map(|page| page.namespace)
    }

    /// The page for an XML namespace.
    pub fn page_of(&self, namespace: &str) -> Option<&'static Page> {
        self.pages.iter().find(|page| page.namespace == namespace)
    }

    /// The tag for a token, unknown where the tables lack it.
    pub fn tag(&self, page: u8, token: u8) -> Tag {
        let known = self.page(page).and_then(|page| page.tags.iter().find(|(known, _)| *known == token));
        Tag { page, token, name: known.map(|(_, name)| *name) }
    }

    /// The tag for a name on a page.
    pub fn named(&self, page: u8, name: &str) -> Option<Tag> {
        self.page(page)?.tag(name)
    }
}

impl Page {
    /// The tag for a name on this page.
    pub fn tag(&self, name: &str) -> Option<Tag> {
        let (token, name) = self.tags.iter().find(|(_, known)| *known == name)?;
        Some(Tag { page: self.number, token: *token, name: Some(name) })
    }
}
