//! What Windows has: the table of its nodes, with their builds and editions.

mod nodes;

pub(super) use nodes::NODES;

/// The smallest edition that has a node; each larger one has it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Edition {
    /// Windows Home.
    Home,
    /// Pro, and what schools and workshops have of it.
    Pro,
    /// Enterprise and Education.
    Enterprise,
    /// No edition of a PC: what phones and headsets left behind.
    NoPc,
}
