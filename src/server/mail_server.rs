//! What was last found wrong with the mail server, and since when.

use crate::clock::Timestamp;
use std::sync::{Mutex, PoisonError};

/// See the module. Nothing is wrong until something was found.
#[derive(Default)]
pub struct MailServer(Mutex<Option<(String, Timestamp)>>);

impl MailServer {
    /// Notes what a look has found. True where that is news.
    pub fn note(&self, wrong: Option<String>, now: Timestamp) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (was, is) = (known.is_some(), wrong.is_some());
        let since = known.as_ref().map_or(now, |(_, since)| *since);
        *known = wrong.map(|text| (text, since));
        was != is
    }

    /// What is wrong, and since when.
    pub fn wrong(&self) -> Option<(String, Timestamp)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_is_news_once_and_keeps_its_beginning() {
        let (known, at) = (MailServer::default(), Timestamp::from_unix);
        assert!(!known.note(None, at(1)) && known.wrong().is_none());
        assert!(known.note(Some("away".into()), at(2)));
        assert!(!known.note(Some("no mail server".into()), at(3)));
        assert_eq!(known.wrong(), Some(("no mail server".into(), at(2))));
        assert!(known.note(None, at(4)) && known.wrong().is_none());
    }
}
