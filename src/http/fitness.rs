//! What a certificate says of itself, and whether clients will take it.

use crate::clock::Timestamp;
use rustls::{RootCertStore, pki_types::CertificateDer};
use std::time::Duration;
use x509_parser::prelude::{ASN1Time, FromDer as _, X509Certificate};

const DAY: u64 = 86_400;
/// Days that a certificate may be good for: of a public authority (CA/Browser Forum, Apple HT211025) …
const PUBLIC: u64 = 398;
/// … and of any other (Apple HT210176).
const OWN: u64 = 825;
/// One that ends within this is to be replaced.
const SOON: Duration = Duration::from_secs(30 * DAY);

/// When a certificate ends; none where it cannot be read.
pub fn end_of(der: &[u8]) -> Option<Timestamp> {
    let (_, read) = X509Certificate::from_der(der).ok()?;
    Some(moment(read.validity().not_after))
}

/// For how long it was made.
pub fn lasts(der: &[u8]) -> Option<Duration> {
    let (_, read) = X509Certificate::from_der(der).ok()?;
    let validity = read.validity();
    Some(moment(validity.not_after).since(moment(validity.not_before)))
}

/// When it ends, where that is soon.
pub fn ends_soon(der: &[u8], now: Timestamp) -> Option<Timestamp> {
    end_of(der).filter(|until| *until > now && until.since(now) <= SOON)
}

/// Why clients will not take this chain, leaf first. `public`: the roots of public authorities.
pub fn unfit(chain: &[CertificateDer<'_>], public: &RootCertStore, now: Timestamp) -> Vec<String> {
    let Some(leaf) = chain.first() else { return vec!["there is no certificate".into()] };
    let Ok((_, leaf)) = X509Certificate::from_der(leaf) else { return vec!["it cannot be read".into()] };
    let most = if chain.iter().any(|one| is_issued_by(one, public)) { PUBLIC } else { OWN };
    unfit_leaf(&leaf, most, now)
}

fn unfit_leaf(leaf: &X509Certificate<'_>, most: u64, now: Timestamp) -> Vec<String> {
    let (from, until) = (moment(leaf.validity().not_before), moment(leaf.validity().not_after));
    let serves = leaf.extended_key_usage().ok().flatten().is_some_and(|usage| usage.value.server_auth);
    let mut wrong = Vec::new();
    if until <= now {
        wrong.push(format!("it ended at {until}"));
    }
    if from > now {
        wrong.push(format!("it is not good before {from}"));
    }
    if !serves {
        wrong.push("its extended key usage does not name serverAuth".into());
    }
    let days = until.since(from).as_secs() / DAY;
    if days > most {
        wrong.push(format!("it is good for {days} days, and phones take {most} at most"));
    }
    wrong
}

fn is_issued_by(der: &[u8], roots: &RootCertStore) -> bool {
    let Ok((_, read)) = X509Certificate::from_der(der) else { return false };
    let issuer = read.issuer().as_raw();
    // A root's name is kept without the head of its sequence, which is of two to four bytes.
    let heads = |name: &[u8]| issuer.ends_with(name) && (2..=4).contains(&(issuer.len() - name.len()));
    roots.roots.iter().any(|root| heads(&root.subject))
}

fn moment(at: ASN1Time) -> Timestamp {
    Timestamp::from_unix(at.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair};

    const NOW: i64 = 1_764_000_000;

    /// Good from and until so many days from now.
    fn leaf(from: i64, until: i64, usage: &[ExtendedKeyUsagePurpose]) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec!["mdm.example.org".into()]).unwrap();
        let at = |days: i64| time::OffsetDateTime::from_unix_timestamp(NOW + days * 86_400).unwrap();
        (params.not_before, params.not_after) = (at(from), at(until));
        params.extended_key_usages = usage.to_vec();
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn what_clients_do_not_take_is_named() {
        use ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
        let (now, none) = (Timestamp::from_unix(NOW), RootCertStore::empty());
        for (row, from, until, usage, public, part) in [
            ("good", -1, 89, vec![ServerAuth], false, ""),
            ("for clients too", -1, 89, vec![ClientAuth, ServerAuth], false, ""),
            ("ended", -90, -1, vec![ServerAuth], false, "it ended at"),
            ("not yet", 1, 90, vec![ServerAuth], false, "it is not good before"),
            ("for clients", -1, 89, vec![ClientAuth], false, "serverAuth"),
            ("for nothing", -1, 89, vec![], false, "serverAuth"),
            ("long enough", -1, 824, vec![ServerAuth], false, ""),
            ("too long", -1, 825, vec![ServerAuth], false, "826 days, and phones take 825"),
            ("of a public authority", -1, 397, vec![ServerAuth], true, ""),
            ("too long of one", -1, 398, vec![ServerAuth], true, "399 days, and phones take 398"),
        ] {
            let leaf = leaf(from, until, &usage);
            let mut roots = RootCertStore::empty();
            roots.add(leaf.clone()).unwrap();
            let wrong = unfit(&[leaf], if public { &roots } else { &none }, now).join("; ");
            assert!(wrong.contains(part) && wrong.is_empty() == part.is_empty(), "{row}: {wrong}");
        }
        assert_eq!(unfit(&[], &none, now).len(), 1);
    }

    #[test]
    fn one_that_ends_within_thirty_days_is_told_of() {
        for (until, soon) in [(-1, false), (1, true), (30, true), (31, false)] {
            let leaf = leaf(-1, until, &[]);
            assert_eq!(ends_soon(&leaf, Timestamp::from_unix(NOW)).is_some(), soon, "{until}");
        }
    }
}
