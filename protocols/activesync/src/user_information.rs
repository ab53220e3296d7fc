//! Settings that ask whose mailbox it is, and what the mail server says of that. [MS-ASCMD] 2.2.1.18, 2.2.3.181 (UserInformation).

use lanyard_wbxml::Element;

use crate::pages::settings as tag;
use crate::{Error, decode, encode};

/// More of a mailbox's addresses are not read.
const MOST: usize = 64;
/// A longer one is none.
const LONGEST: usize = 254;

/// `Settings{UserInformation{Get}}`. From 12.0.
pub fn request() -> Vec<u8> {
    encode(&Element::of(tag::SETTINGS, [Element::of(tag::USER_INFORMATION, [Element::empty(tag::GET)])]))
}

/// The addresses of the mailbox, its primary one first. None where the answer names none.
pub fn addresses(answer: &[u8]) -> Result<Vec<String>, Error> {
    let root = decode(answer, tag::SETTINGS)?;
    let Some(told) = root.path(&[tag::USER_INFORMATION, tag::GET]) else { return Ok(Vec::new()) };
    let own = told.child(tag::EMAIL_ADDRESSES).or_else(|| own_account(told)?.child(tag::EMAIL_ADDRESSES));
    let Some(own) = own else { return Ok(Vec::new()) };
    let named = |wanted| own.elements().filter(move |one| one.tag == wanted).filter_map(Element::text);
    let mut all: Vec<String> = Vec::new();
    for address in named(tag::PRIMARY_SMTP_ADDRESS).chain(named(tag::SMTP_ADDRESS)) {
        if is_address(address) && all.len() < MOST && !all.iter().any(|known| known == address) {
            all.push(address.to_string());
        }
    }
    Ok(all)
}

/// From 14.1 on there may be more: those with an id are mailboxes elsewhere, that the user has connected as they liked.
fn own_account(told: &Element) -> Option<&Element> {
    let accounts = told.child(tag::ACCOUNTS)?;
    accounts.elements().find(|account| account.tag == tag::ACCOUNT && account.child(tag::ACCOUNT_ID).is_none())
}

fn is_address(text: &str) -> bool {
    let plain = !text.chars().any(|c| c.is_control() || c.is_whitespace());
    plain
        && text.len() <= LONGEST
        && text.split_once('@').is_some_and(|(name, host)| !name.is_empty() && !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(told: Element) -> Vec<u8> {
        let status = || Element::text_of(tag::STATUS, "1");
        let information = Element::of(tag::USER_INFORMATION, [status(), Element::of(tag::GET, [told])]);
        encode(&Element::of(tag::SETTINGS, [status(), information]))
    }

    fn all(primary: Option<&str>, others: &[&str]) -> Element {
        let others = others.iter().map(|address| Element::text_of(tag::SMTP_ADDRESS, *address));
        let primary = primary.map(|address| Element::text_of(tag::PRIMARY_SMTP_ADDRESS, address));
        Element::of(tag::EMAIL_ADDRESSES, others.chain(primary))
    }

    #[test]
    fn the_users_own_mailbox_is_named_in_either_form() {
        let other = Element::of(tag::ACCOUNT, [Element::text_of(tag::ACCOUNT_ID, "1"), all(Some("boss@e.org"), &[])]);
        let own = Element::of(tag::ACCOUNT, [all(Some("ann@e.org"), &["a@e.org", "ann@e.org", "a b@e.org", "x"])]);
        for (row, told, want) in [
            ("to 14.0", all(None, &["a@e.org", "b@e.org"]), &["a@e.org", "b@e.org"][..]),
            ("from 14.1", Element::of(tag::ACCOUNTS, [other.clone(), own]), &["ann@e.org", "a@e.org"]),
            ("another's alone", Element::of(tag::ACCOUNTS, [other]), &[]),
            ("nothing", Element::empty(tag::ACCOUNTS), &[]),
        ] {
            assert_eq!(addresses(&answer(told)).unwrap(), want, "{row}");
        }
        assert_eq!(addresses(&encode(&Element::empty(tag::SETTINGS))).unwrap(), [""; 0]);
        assert!(addresses(b"x").is_err());
    }

    #[test]
    fn the_question_is_the_specifications() {
        let root = decode(&request(), tag::SETTINGS).unwrap();
        assert!(root.path(&[tag::USER_INFORMATION, tag::GET]).is_some());
    }
}
