//! Values of the policy file by their types and ranges, each error with its place.

use super::error::PolicyError;
use super::node::Node;

/// Text of the file in a message: at most 80 characters, nothing that moves a terminal's cursor.
pub(super) fn cut(text: &str) -> String {
    text.escape_debug().take(80).collect()
}

pub(super) fn wrong(place: &str, expected: &'static str, found: &Node) -> PolicyError {
    PolicyError::WrongType { place: place.to_owned(), expected, found: found.kind().to_owned() }
}

pub(super) fn text(node: Node, place: &str) -> Result<String, PolicyError> {
    match node {
        Node::Text(text) => Ok(text),
        node => Err(wrong(place, "text", &node)),
    }
}

pub(super) fn truth(node: Node, place: &str) -> Result<bool, PolicyError> {
    match node {
        Node::Bool(value) => Ok(value),
        node => Err(wrong(place, "true or false", &node)),
    }
}

/// A whole number within a range; `note` tells what to do instead.
pub(super) fn number<N: TryFrom<i64> + PartialOrd + std::fmt::Display>(
    node: Node,
    place: &str,
    (low, high): (N, N),
    note: &str,
) -> Result<N, PolicyError> {
    let Node::Int(number) = node else {
        return Err(wrong(place, "a whole number", &node));
    };
    match N::try_from(number) {
        Ok(number) if low <= number && number <= high => Ok(number),
        _ => PolicyError::refused(place, format!("{number} is out of range, {low} to {high}: {note}")),
    }
}

/// The items of a list, each with its place.
pub(super) fn list(
    node: Node,
    place: &str,
    expected: &'static str,
    limit: usize,
) -> Result<Vec<(String, Node)>, PolicyError> {
    match node {
        Node::List(items) if items.len() > limit => Err(PolicyError::TooLarge { place: place.to_owned(), limit }),
        Node::List(items) => {
            Ok(items.into_iter().enumerate().map(|(n, item)| (format!("{place}[{n}]"), item)).collect())
        }
        node => Err(wrong(place, expected, &node)),
    }
}
