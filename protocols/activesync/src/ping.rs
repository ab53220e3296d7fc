//! Ping: a request that the mail server holds open until there is news. [MS-ASCMD] 2.2.1.13.

use lanyard_wbxml::Element;

use crate::pages::ping as tag;
use crate::status::Answer;
use crate::{Error, decode};

/// What a client waits for. Either part is absent where the server is to use what was sent before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// How long to hold, in seconds.
    pub heartbeat_seconds: Option<u32>,
    /// Which folders to watch.
    pub folders: Option<Vec<Folder>>,
}

/// A folder to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// The server's id of it.
    pub id: String,
    /// Such as `Email`.
    pub class: String,
}

impl Request {
    /// Reads a body, which may be empty. An interval that is not a number counts as absent.
    pub fn parse(body: &[u8]) -> Result<Request, Error> {
        if body.is_empty() {
            return Ok(Request::default());
        }
        let root = decode(body, tag::PING)?;
        let text = |element: &Element, tag| element.child_text(tag).unwrap_or_default().to_owned();
        Ok(Request {
            heartbeat_seconds: root.child_text(tag::HEARTBEAT_INTERVAL).and_then(|text| text.trim().parse().ok()),
            folders: root.child(tag::FOLDERS).map(|folders| {
                let folders = folders.children_with(tag::FOLDER);
                folders.map(|folder| Folder { id: text(folder, tag::ID), class: text(folder, tag::CLASS) }).collect()
            }),
        })
    }

    /// Writes a body; empty where both parts are absent.
    pub fn encode(&self) -> Vec<u8> {
        let interval = self.heartbeat_seconds.map(|n| Element::text_of(tag::HEARTBEAT_INTERVAL, n.to_string()));
        let folders = self.folders.iter().map(|folders| {
            Element::of(
                tag::FOLDERS,
                folders.iter().map(|folder| {
                    let id = Element::text_of(tag::ID, &*folder.id);
                    Element::of(tag::FOLDER, [id, Element::text_of(tag::CLASS, &*folder.class)])
                }),
            )
        });
        let parts: Vec<Element> = interval.into_iter().chain(folders).collect();
        if parts.is_empty() { Vec::new() } else { crate::encode(&Element::of(tag::PING, parts)) }
    }
}

/// How a Ping ends. Its statuses are older than the common ones and go out as documents in every version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// 1: the time is up, nothing happened.
    Elapsed,
    /// 2: something changed in these folders.
    Changes(Vec<String>),
    /// 3: parts are absent that were never sent.
    MissingParameters,
    /// 4.
    Syntax,
    /// 5: with the nearest interval that is taken, in seconds.
    Interval(u32),
    /// 6: with how many folders are taken.
    TooManyFolders(u32),
    /// 7: FolderSync first. A client that hears this meets our refusal at once, where some take a common status on a
    /// Ping for a plain failure (Android).
    FolderSyncFirst,
    /// 8.
    ServerError,
}

impl End {
    /// The answer.
    pub fn answer(&self) -> Answer {
        let number = |tag, n: u32| Element::text_of(tag, n.to_string());
        let (status, more) = match self {
            End::Elapsed => (1, None),
            End::Changes(ids) => {
                let ids = ids.iter().map(|id| Element::text_of(tag::FOLDER, &**id));
                (2, Some(Element::of(tag::FOLDERS, ids)))
            }
            End::MissingParameters => (3, None),
            End::Syntax => (4, None),
            End::Interval(seconds) => (5, Some(number(tag::HEARTBEAT_INTERVAL, *seconds))),
            End::TooManyFolders(most) => (6, Some(number(tag::MAX_FOLDERS, *most))),
            End::FolderSyncFirst => (7, None),
            End::ServerError => (8, None),
        };
        Answer::document(&Element::of(tag::PING, std::iter::once(number(tag::STATUS, status)).chain(more)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pages::PAGES;
    use lanyard_wbxml::Limits;
    use proptest::prelude::*;

    #[test]
    fn either_part_may_be_left_out() {
        assert_eq!(Request::parse(&[]), Ok(Request::default()));
        let request = Request { heartbeat_seconds: Some(470), folders: None };
        assert_eq!(Request::parse(&request.encode()), Ok(request));
    }

    #[test]
    fn every_end_has_its_status() {
        let ends = [
            End::Elapsed,
            End::Changes(vec!["5".into()]),
            End::MissingParameters,
            End::Syntax,
            End::Interval(60),
            End::TooManyFolders(200),
            End::FolderSyncFirst,
            End::ServerError,
        ];
        for (at, end) in ends.iter().enumerate() {
            let answer = end.answer();
            let root = lanyard_wbxml::decode(&answer.body, &PAGES, &Limits::SMALL).unwrap().root;
            assert_eq!((root.tag, answer.http), (tag::PING, 200));
            assert_eq!(root.child_text(tag::STATUS), Some((at + 1).to_string().as_str()));
        }
        let folders = [0x03, 0x01, 0x6A, 0, 0, 13, 0x45, 0x47, 3, b'7', 0, 1, 1];
        assert_eq!(End::FolderSyncFirst.answer().body, folders);
    }

    proptest! {
        #[test]
        fn what_is_encoded_parses_to_the_same(
            heartbeat_seconds: Option<u32>,
            folders in prop::option::of(prop::collection::vec(("[a-z0-9:]{0,9}", "(Email|Calendar)"), 0..4)),
        ) {
            let folders = folders.map(|list| list.into_iter().map(|(id, class)| Folder { id, class }).collect());
            let request = Request { heartbeat_seconds, folders };
            prop_assert_eq!(Request::parse(&request.encode()), Ok(request));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = Request::parse(&bytes);
        }
    }
}
