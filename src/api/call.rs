//! A call as its handler sees it, and what it does.

use crate::{
    error::{Error, Result},
    fleet::{actor::Actor, registry::lookup},
    server::Server,
    store::{Record, Tx},
};
use std::{collections::BTreeMap, str::FromStr, sync::Arc};

/// Items in one page where nothing is said, and at most.
const PAGE: usize = 100;
const MAX_PAGE: usize = 1000;

/// What a handler gets besides the store and the body.
pub(super) struct Call {
    pub(super) server: Arc<Server>,
    pub(super) actor: Actor,
    /// The parts of the path in braces, by name.
    pub(super) path: BTreeMap<String, String>,
    pub(super) query: BTreeMap<String, String>,
}

impl Call {
    /// A part of the path, as text.
    pub(super) fn named(&self, part: &str) -> Result<&str> {
        self.path.get(part).map(String::as_str).ok_or_else(|| Error::Internal(format!("the route has no {part}")))
    }

    /// A part of the path that is an id, or what an id of this kind of record alone begins with.
    pub(super) fn id<R: Record, I: FromStr>(&self, tx: &mut Tx<'_>, part: &str, what: &'static str) -> Result<I> {
        lookup::id::<R, I>(tx, what, self.named(part)?)
    }

    /// `?after=` and `?limit=`.
    pub(super) fn page(&self) -> Result<(Option<&str>, usize)> {
        let limit = match self.query.get("limit") {
            None => PAGE,
            Some(text) => text.parse().ok().filter(|n| (1..=MAX_PAGE).contains(n)).ok_or_else(|| {
                Error::invalid("limit", format!("a number from 1 to {MAX_PAGE} is needed, not {text:?}"))
            })?,
        };
        Ok((self.query.get("after").map(String::as_str), limit))
    }
}

/// What a call does on the store, its body taken apart already: one thread serves every call there.
pub(super) type Work = Box<dyn FnOnce(&mut Tx<'_>, &Call) -> Result<Step> + Send>;

/// What came of it.
pub(super) enum Step {
    /// The answer, as JSON: written where it was read, since a page of a thousand devices takes its time.
    Done(Vec<u8>),
    /// What is to be done now that was looked at.
    Act(Work),
}

impl Step {
    pub(super) fn done(self) -> Result<Vec<u8>> {
        match self {
            Self::Done(text) => Ok(text),
            Self::Act(_) => Err(Error::Internal("a call of one step has a second".into())),
        }
    }
}
