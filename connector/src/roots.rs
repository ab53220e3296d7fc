//! Whom servers are checked against: the system's root certificates and those that were given. What of them cannot be read is told, since it
//! looks like an unknown authority afterwards.

use rustls::{RootCertStore, pki_types::CertificateDer};

/// See the module.
pub struct Roots {
    store: RootCertStore,
    unread: Vec<String>,
}

impl Roots {
    /// The system's and these.
    pub fn with(more: &[CertificateDer<'static>]) -> Self {
        let found = rustls_native_certs::load_native_certs();
        Self::gathered(found.certs, found.errors.iter().map(ToString::to_string).collect(), more)
    }

    fn gathered(
        systems: Vec<CertificateDer<'static>>,
        mut unread: Vec<String>,
        more: &[CertificateDer<'static>],
    ) -> Self {
        let mut store = RootCertStore::empty();
        for (whose, certificates) in [("of the system", systems), ("of --ca", more.to_vec())] {
            let (_, ignored) = store.add_parsable_certificates(certificates);
            if ignored > 0 {
                unread.push(format!("{ignored} {whose} that no server can be checked by"));
            }
        }
        Self { store, unread }
    }

    /// Those that can be used, and what of the others is to be told. An error: there are none.
    pub fn usable(self) -> Result<(RootCertStore, Vec<String>), String> {
        let Self { store, unread } = self;
        if store.is_empty() {
            return Err(match unread.as_slice() {
                [] => "the system has none, and --ca names none".into(),
                said => said.join("; "),
            });
        }
        for why in &unread {
            tracing::warn!(why, "not all root certificates are used");
        }
        Ok((store, unread))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> CertificateDer<'static> {
        rcgen::generate_simple_self_signed(["localhost".into()]).unwrap().cert.into()
    }

    fn told(
        systems: &[CertificateDer<'static>],
        unread: &[&str],
        more: &[CertificateDer<'static>],
    ) -> Result<String, String> {
        let unread = unread.iter().map(ToString::to_string).collect();
        Roots::gathered(systems.to_vec(), unread, more).usable().map(|(_, unread)| unread.join("; "))
    }

    #[test]
    fn what_cannot_be_read_is_told_beside_what_can() {
        let (good, bad) = (root(), CertificateDer::from(vec![1, 2, 3]));
        let of_the_system = "1 of the system that no server can be checked by";
        let both = format!("/etc/ssl: denied; {of_the_system}");
        for (row, systems, unread, more, wanted) in [
            ("all", vec![good.clone()], &[][..], vec![], Ok("")),
            ("some", vec![good.clone(), bad.clone()], &["/etc/ssl: denied"], vec![], Ok(&*both)),
            ("one that was given is enough", vec![], &[], vec![good], Ok("")),
            ("nowhere any", vec![], &[], vec![], Err("the system has none, and --ca names none")),
            ("denied", vec![], &["/etc/ssl: denied"], vec![], Err("/etc/ssl: denied")),
            ("none that is one", vec![bad], &[], vec![], Err(of_the_system)),
        ] {
            let told = told(&systems, unread, &more);
            assert_eq!(told.as_ref().map(String::as_str).map_err(String::as_str), wanted, "{row}");
        }
    }
}
