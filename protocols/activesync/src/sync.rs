//! Sync, as far as a gateway must know it: how long it may be held. [MS-ASCMD] 2.2.3.84.2, 2.2.3.199.

use crate::pages::air_sync as tag;

/// How long the mail server may hold a Sync with this body, in seconds: its `HeartbeatInterval` (14.0 and later), or its `Wait` (12.1),
/// which counts minutes. `None`: it is to be answered at once, or is no Sync.
pub fn held_seconds(body: &[u8]) -> Option<u32> {
    let root = crate::decode(body, tag::SYNC).ok()?;
    let number = |tag| root.child_text(tag).and_then(|text| text.trim().parse::<u32>().ok());
    number(tag::HEARTBEAT_INTERVAL).or_else(|| number(tag::WAIT).map(|minutes| minutes.saturating_mul(60)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lanyard_wbxml::Element;

    #[test]
    fn a_sync_says_how_long_it_may_be_held() {
        let sync = |tag, text: &str| crate::encode(&Element::of(tag::SYNC, [Element::text_of(tag, text)]));
        for (row, body, want) in [
            ("minutes", sync(tag::WAIT, "10"), Some(600)),
            ("seconds", sync(tag::HEARTBEAT_INTERVAL, "90"), Some(90)),
            ("no number", sync(tag::WAIT, "x"), None),
            ("more than there is", sync(tag::WAIT, "4294967295"), Some(u32::MAX)),
            ("nothing", crate::encode(&Element::of(tag::SYNC, [])), None),
            ("no Sync", b"x".to_vec(), None),
        ] {
            assert_eq!(held_seconds(&body), want, "{row}");
        }
    }
}
