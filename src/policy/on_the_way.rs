//! A part on its way to a device, as a policy command carries it. There it is text, and this is the one place that writes and reads it.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::part::{NoSuchPart, Part, PartId};

/// What is next for a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is to be set.
    Install,
    /// It is to be made first: there was nothing to set.
    Add,
    /// It is to be set apart from what was set with it: of all together nothing came, and the device did not say for which.
    Alone,
    /// It is to be taken away.
    Remove,
    /// It is to be read back.
    ReadBack,
    /// Likewise, with nothing else in the message: the device broke off over one of several.
    ReadApart,
    /// It is done with.
    Nothing,
}

impl Next {
    /// Each with its sign in the text.
    pub const ALL: [(Next, char); 7] = [
        (Next::Install, '+'),
        (Next::Add, 'a'),
        (Next::Alone, '1'),
        (Next::Remove, '-'),
        (Next::ReadBack, '='),
        (Next::ReadApart, '~'),
        (Next::Nothing, '.'),
    ];

    /// Whether it is only to be read back.
    pub fn is_look(self) -> bool {
        matches!(self, Next::ReadBack | Next::ReadApart)
    }

    fn sign(self) -> char {
        Next::ALL.iter().find(|(next, _)| *next == self).map_or('.', |(_, sign)| *sign)
    }
}

/// A part on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnTheWay {
    /// What is next for it.
    pub next: Next,
    /// Which one.
    pub id: PartId,
    /// The hash of what was sent; empty until then.
    pub hash: String,
}

impl OnTheWay {
    /// Whether it is still to be done, by what is wanted now: policies change while it is on its way. What is wanted again, by whatever
    /// policy and in whatever form, is never taken away.
    pub fn is_due(&self, wanted: &BTreeMap<PartId, Part>) -> bool {
        match self.next {
            Next::Install | Next::Add | Next::Alone => wanted.contains_key(&self.id),
            Next::Remove => wanted.keys().all(|other| other.place() != self.id.place()),
            Next::ReadBack | Next::ReadApart => wanted.get(&self.id).is_none_or(|part| part.hash == self.hash),
            Next::Nothing => false,
        }
    }

    /// A part of which nothing was sent yet.
    pub fn new(next: Next, id: PartId) -> OnTheWay {
        OnTheWay { next, id, hash: String::new() }
    }
}

/// A sign, the part, a blank, the hash.
impl fmt::Display for OnTheWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{} {}", self.next.sign(), self.id, self.hash)
    }
}

impl FromStr for OnTheWay {
    type Err = NoSuchPart;

    fn from_str(text: &str) -> Result<OnTheWay, NoSuchPart> {
        let mut rest = text.chars();
        let sign = rest.next();
        let next = Next::ALL.into_iter().find(|(_, known)| Some(*known) == sign).map(|(next, _)| next);
        let next = next.ok_or_else(|| NoSuchPart(text.to_owned()))?;
        // Paths may hold blanks, hashes do not.
        match rest.as_str().rsplit_once(' ') {
            Some((id, hash)) => Ok(OnTheWay { next, id: id.parse()?, hash: hash.to_owned() }),
            // Version 0.1.0 wrote Apple's so where nothing was sent yet.
            None => match rest.as_str().parse()? {
                id @ (PartId::Settings | PartId::Profile(_)) => Ok(OnTheWay::new(next, id)),
                _ => Err(NoSuchPart(text.to_owned())),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_go_through_text() {
        for id in
            ["setting:camera", "csp:./Device/Vendor/MSFT/WiFi/Profile/Office net/WlanXml", "settings", "profile:a.b"]
        {
            for (next, _) in Next::ALL {
                for hash in ["ab", ""] {
                    let part = OnTheWay { hash: hash.into(), ..OnTheWay::new(next, id.parse().unwrap()) };
                    assert_eq!(part.to_string().parse(), Ok(part));
                }
            }
        }
        for text in ["", "+", "+x y", "?setting:camera ab", "+setting:camera"] {
            assert!(text.parse::<OnTheWay>().is_err(), "{text}");
        }
        for (text, hash) in
            [("+setting:camera ", ""), ("+settings", ""), ("-profile:a.b", ""), ("+profile:a.b cd", "cd")]
        {
            assert_eq!(text.parse::<OnTheWay>().unwrap().hash, hash, "{text}");
        }
    }
}
