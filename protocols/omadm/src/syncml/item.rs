//! Item: one node that a command is about, with its value. [OMA RepPro] 6.1.13.

use super::{Location, Meta, Notes, leaf, parent};
use crate::Error;
use crate::xml::Element;

/// One node and its value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Item {
    /// The node, in what we send.
    pub target: Option<Location>,
    /// The node, in what a client reports.
    pub source: Option<Location>,
    /// Format and type of the value, size of a large one.
    pub meta: Meta,
    /// The value; kept as sent, white space included.
    pub data: Option<String>,
    /// More chunks of this value follow.
    pub more_data: bool,
}

impl Item {
    /// The node by whichever end names it.
    pub fn uri(&self) -> Option<&str> {
        self.source.as_ref().or(self.target.as_ref()).map(|location| location.uri.as_str())
    }

    /// The items of a command of which node and value can be read, as far as they are there.
    pub(super) fn all_of(command: &Element<'_>, notes: &mut Notes) -> Vec<Item> {
        Item::each_of(command, notes).filter(|(_, whole)| *whole).map(|(item, _)| item).collect()
    }

    /// All items of a command, without what of them cannot be read: an alert is known by its type.
    pub(super) fn any_of(command: &Element<'_>, notes: &mut Notes) -> Vec<Item> {
        Item::each_of(command, notes).map(|(item, _)| item).collect()
    }

    fn each_of(command: &Element<'_>, notes: &mut Notes) -> impl Iterator<Item = (Item, bool)> {
        let items = command.children.iter().filter(|child| child.name == "Item");
        items.map(move |item| Item::from_tree(item, command, notes))
    }

    /// The item, and whether node and value could be read.
    fn from_tree(element: &Element<'_>, command: &Element<'_>, notes: &mut Notes) -> (Item, bool) {
        let mut whole = true;
        let mut meta = Meta::of(element, command, notes);
        let mut location = |name| {
            let read = notes.take(command, element.child(name).map(Location::from_tree).transpose());
            whole &= read.is_some();
            read.flatten()
        };
        let (target, source) = (location("Target"), location("Source"));
        let data = notes.take(command, element.child("Data").map(data).transpose());
        // Of its alert on the type of a session Windows says the type here, not in Meta ([MS-MDM] 3.2.5.1.5).
        meta.kind = meta.kind.or_else(|| element.child_text("Type").map(str::to_owned));
        whole &= data.is_some();
        let more_data = element.child("MoreData").is_some();
        (Item { target, source, meta, data: data.flatten(), more_data }, whole)
    }

    pub(super) fn to_tree(&self) -> Element<'_> {
        let mut children = Vec::with_capacity(4);
        children.extend(self.target.as_ref().map(|target| target.to_tree("Target")));
        children.extend(self.source.as_ref().map(|source| source.to_tree("Source")));
        children.extend(self.meta.to_tree());
        children.extend(self.data.as_deref().map(|data| leaf("Data", data)));
        children.extend(self.more_data.then(|| parent("MoreData", [])));
        parent("Item", children)
    }
}

/// Marked-up values come escaped; bare mark-up within Data would lose its text here.
fn data(element: &Element<'_>) -> Result<String, Error> {
    match element.children.first() {
        Some(child) => Err(Error::unexpected("Data", &child.name)),
        None => Ok(element.text.clone().into_owned()),
    }
}
