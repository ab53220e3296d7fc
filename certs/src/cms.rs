//! Signed messages (CMS SignedData, RFC 5652): profiles that we sign, and what devices sign.
//!
//! Devices send BER with indefinite lengths (macOS) as well as DER, sign with SHA-1 (the Go clients, older systems),
//! and sign with certificates that are good for client authentication only. OpenSSL reads and verifies; who signed,
//! and whether that certificate is ours, is decided here and not by a trust store, since time and purpose are judged
//! by the caller.

mod read;
mod sign;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::error::ErrorStack;
use openssl::stack::Stack;
use openssl::x509::X509;

pub(crate) use self::read::{Parsed, cipher_of, to_der};
pub(crate) use self::sign::{Attribute, DigestKind, Signing, attribute, degenerate, octets, signed_data};
use crate::ca::{Authority, When};
use crate::error::{Doing as _, Error, limit};
use crate::issue::Identity;
use crate::keys::PrivateKey;
use crate::{Result, keys};

/// The largest signed message that is read: a profile.
pub const MAX_SIGNED: usize = 8 * 1024 * 1024;
/// The largest `Mdm-Signature` that is read, decoded. Real ones have some 2 kB.
pub const MAX_DETACHED: usize = 16 * 1024;

const WHAT: &str = "signed message";

/// A message whose signature belongs to its content. That says nothing of who signed: check `signer_der`.
#[derive(Clone, Debug)]
pub struct Signed {
    /// What was signed.
    pub content: Vec<u8>,
    /// The certificate of the one signer.
    pub signer_der: Vec<u8>,
    /// All certificates that came along, the signer's among them.
    pub certificates: Vec<Vec<u8>>,
}

/// A signed message taken apart with nothing checked: for looking into a raw profile.
#[derive(Clone, Debug)]
pub struct Unchecked {
    /// What was signed, if it came along.
    pub content: Option<Vec<u8>>,
    /// The certificates that came along.
    pub certificates: Vec<Vec<u8>>,
}

/// Signs a profile with the issuing CA's own key: attached, SHA-256, with the issuing and the root certificate.
///
/// The same profile gives the same bytes: no signing time is stated.
pub fn sign_profile(authority: &Authority, profile: &[u8]) -> Result<Vec<u8>> {
    let chain = [authority.issuing_der(), authority.root_der()];
    let signing = Signing {
        certificate: authority.issuing_der(),
        key: &authority.issuing_key,
        digest: DigestKind::Sha256,
        chain: &chain,
    };
    signed_data(&signing, Some(profile), Vec::new())
}

/// Signs a profile with a certificate that others issued: attached, SHA-256, with its chain, leaf first. RSA and ECDSA.
///
/// # Errors
/// [`Error::Key`] for a key of another kind, or one that does not fit the leaf.
pub fn sign_profile_by(chain: &[&[u8]], key: &PrivateKey, profile: &[u8]) -> Result<Vec<u8>> {
    let kind = keys::kind("the server's key", &key.0)?;
    let certificate = chain.first().copied().ok_or(Error::Field { field: "chain", why: "no certificate in it" })?;
    let leaf = X509::from_der(certificate).and_then(|leaf| leaf.public_key()).doing("reading a certificate")?;
    if !leaf.public_eq(&key.0) {
        let found = format!("{kind:?}, and the certificate is another's");
        return Err(Error::Key { what: "the server's key", found, wanted: "the key of the certificate" });
    }
    signed_data(&Signing { certificate, key, digest: DigestKind::Sha256, chain }, Some(profile), Vec::new())
}

/// Signs with a certificate that the issuing CA issued: attached, SHA-256, with the chain.
pub fn sign_with(authority: &Authority, signer: &Identity, content: &[u8]) -> Result<Vec<u8>> {
    let chain = [&signer.certificate_der, authority.issuing_der(), authority.root_der()];
    let signing =
        Signing { certificate: &signer.certificate_der, key: &signer.key, digest: DigestKind::Sha256, chain: &chain };
    signed_data(&signing, Some(content), Vec::new())
}

/// Checks an attached signature by exactly one signer, whose certificate is in the message or among `known`.
///
/// # Errors
/// [`Error::Malformed`], [`Error::Key`], [`Error::Algorithm`] or [`Error::Signature`].
pub fn verify_attached(message: &[u8], known: &[&[u8]]) -> Result<Signed> {
    limit(WHAT, message, MAX_SIGNED)?;
    let der = to_der(message)?;
    let (signer_der, content) = check(&der, None, known)?;
    let certificates = Parsed::read(&der)?.certificates.into_iter().map(<[u8]>::to_vec).collect();
    Ok(Signed { content, signer_der, certificates })
}

/// Checks a detached signature over `body`, byte for byte, by one of our certificates; answers the signer's DER.
///
/// SHA-1 is accepted. A signing time in the message is passed over: time is judged by `when`.
///
/// # Errors
/// Not CMS: [`Error::Malformed`]. Another body or key: [`Error::Signature`]. Not our CA: [`Error::NotOurs`].
pub fn verify_detached(signature: &[u8], body: &[u8], authority: &Authority, when: When) -> Result<Vec<u8>> {
    limit("detached signature", signature, MAX_DETACHED)?;
    let (signer_der, _) = check(&to_der(signature)?, Some(body), &[])?;
    authority.check_issued(&signer_der, when)?;
    Ok(signer_der)
}

/// Checks the header `Mdm-Signature` of a request: base64 of a detached signature over the raw body.
///
/// Whether the certificate is the one pinned to the device is the caller's to say.
pub fn verify_mdm_signature(header: &str, body: &[u8], authority: &Authority, when: When) -> Result<Vec<u8>> {
    limit("Mdm-Signature", header.as_bytes(), MAX_DETACHED * 3 / 2)?;
    let signature = decode_base64("Mdm-Signature", header)?;
    verify_detached(&signature, body, authority, when)
}

/// The certificate that a header `Mdm-Signature` names as its signer's, where it is one of ours.
///
/// That proves nothing yet: it tells whose body is worth reading, so that [`verify_mdm_signature`] can follow.
///
/// # Errors
/// [`Error::Malformed`], [`Error::NotOurs`].
pub fn mdm_signer(header: &str, authority: &Authority) -> Result<Vec<u8>> {
    limit("Mdm-Signature", header.as_bytes(), MAX_DETACHED * 3 / 2)?;
    let signature = decode_base64("Mdm-Signature", header)?;
    limit("detached signature", &signature, MAX_DETACHED)?;
    let signer = Parsed::read(&to_der(&signature)?)?.signer_certificate(&[])?;
    let signer_der = signer.to_der().doing("writing a certificate")?;
    authority.check_issued(&signer_der, When::Any)?;
    Ok(signer_der)
}

/// Takes a signed message apart without checking anything.
pub fn unwrap_unchecked(message: &[u8]) -> Result<Unchecked> {
    limit(WHAT, message, MAX_SIGNED)?;
    let der = to_der(message)?;
    let parsed = Parsed::read(&der)?;
    let certificates = parsed.certificates.iter().map(|certificate| certificate.to_vec()).collect();
    Ok(Unchecked { content: parsed.content.map(<[u8]>::to_vec), certificates })
}

/// Base64 as headers and queries carry it: with or without padding, line breaks and blanks passed over.
pub(crate) fn decode_base64(what: &'static str, text: &str) -> Result<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let dense: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    LENIENT.decode(dense).map_err(|_| Error::Malformed { what, why: "not base64" })
}

/// Verifies a message already in DER; the signer's certificate and the content.
///
/// OpenSSL is given the certificate that we chose and told to look at no other, so that both speak of the same one.
pub(crate) fn check(der: &[u8], detached: Option<&[u8]>, known: &[&[u8]]) -> Result<(Vec<u8>, Vec<u8>)> {
    let malformed = |why| Error::Malformed { what: WHAT, why };
    let parsed = Parsed::read(der)?;
    if detached.is_none() && parsed.content.is_none() {
        return Err(malformed("it has no content"));
    }
    // All that are listed: where one is unknown, OpenSSL 3.0 fails before it hashes and never frees the detached content.
    for digest in parsed.digests.iter().copied().chain([parsed.signer()?.digest]) {
        DigestKind::accepted(digest)?;
    }
    let signer = parsed.signer_certificate(known)?;
    let key = crate::ca::public_of(&signer)?;
    keys::kind("signer's certificate", &key)?;

    let signer_der = signer.to_der().doing("writing a certificate")?;
    let mut only = Stack::new().doing("verifying a signature")?;
    only.push(signer).doing("verifying a signature")?;
    let mut message = CmsContentInfo::from_der(der).map_err(|_| malformed("OpenSSL cannot read it"))?;
    // BINARY: else line ends are changed before they are hashed. The chain is judged by the caller.
    let options = CMSOptions::BINARY | CMSOptions::NOINTERN | CMSOptions::NO_SIGNER_CERT_VERIFY;
    let mut content = Vec::new();
    if message.verify(Some(&only), None, detached, Some(&mut content), options).is_err() {
        drop(ErrorStack::get());
        return Err(Error::Signature { what: WHAT });
    }
    Ok((signer_der, content))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::Duration;

    use super::*;
    use crate::client::Presented;
    use crate::oid;
    use crate::testing::{self, NOW, authority, device, fixture, phone};

    fn header(name: &str) -> String {
        String::from_utf8(fixture(name)).unwrap()
    }

    #[test]
    fn a_list_with_an_unknown_digest_is_refused_before_openssl_leaks() {
        let text = header("mdm-signature-sha256.txt");
        let mut signature = decode_base64("Mdm-Signature", &text).unwrap();
        let sha256 = oid::SHA256.as_bytes();
        let at = signature.windows(sha256.len()).position(|bytes| bytes == sha256).unwrap();
        signature[at + 1] ^= 0x08;
        let refused = verify_detached(&signature, &fixture("mdm-signature-body.plist"), authority(), When::Any);
        assert!(matches!(refused, Err(Error::Algorithm { .. })), "{refused:?}");
    }

    #[test]
    fn a_signed_profile_is_the_one_kept_and_openssl_verifies_it() {
        let profile = fixture("profile.plist");
        let signed = sign_profile(authority(), &profile).unwrap();
        assert_eq!(signed, fixture("profile-signed.der"), "profiles are signed the same each time");
        let (file, root) = (testing::file("p7", &signed), testing::file("pem", authority().root_pem().as_bytes()));
        let out = testing::file("out", b"");
        let at = NOW.unix_timestamp().to_string();
        let arguments = ["cms", "-verify", "-binary", "-inform", "DER", "-attime", &at, "-purpose", "any"];
        let files = ["-in", file.text(), "-CAfile", root.text(), "-out", out.text()];
        testing::openssl(&[&arguments[..], &files].concat());
        assert_eq!(std::fs::read(out.text()).unwrap(), profile);
        let shown = testing::openssl(&["cms", "-cmsout", "-print", "-inform", "DER", "-in", file.text()]);
        assert!(shown.contains("sha256") && !shown.contains("signingTime"), "{shown}");
    }

    #[test]
    fn a_profile_signed_by_a_leaf_carries_its_chain() {
        let signed = sign_with(authority(), phone(), b"profile").unwrap();
        let read = verify_attached(&signed, &[]).unwrap();
        assert_eq!((&read.content[..], read.certificates.len()), (&b"profile"[..], 3));
        assert_eq!(read.signer_der, phone().certificate_der);
        let unchecked = unwrap_unchecked(&signed).unwrap();
        assert_eq!(unchecked.content.as_deref(), Some(&b"profile"[..]));
    }

    #[test]
    fn an_ec_leaf_signs_too() {
        let names = [crate::issue::AltName::Dns("mdm.example".to_owned())];
        let validity = crate::issue::Validity::server(NOW);
        let serial = crate::issue::Serial::random().unwrap();
        let wanted = crate::issue::ServerCertificate { names: &names, crl_url: None, validity, serial };
        let signed = sign_with(authority(), &authority().issue_server(&wanted).unwrap(), b"profile").unwrap();
        assert_eq!(verify_attached(&signed, &[]).unwrap().content, b"profile");
    }

    /// A certificate of somebody else's, as the `openssl` program makes one, with its key in this form.
    fn of_others(kind: &[&str], traditional: bool) -> (Vec<u8>, PrivateKey) {
        let (key, certificate) = (testing::file("key", b""), testing::file("pem", b""));
        let new = ["req", "-x509", "-nodes", "-days", "30", "-subj", "/CN=mdm.example.org", "-newkey"];
        let files = ["-keyout", key.text(), "-out", certificate.text()];
        testing::openssl(&[&new[..], kind, &files].concat());
        let pem = X509::from_pem(&std::fs::read(certificate.text()).unwrap()).unwrap();
        let read = openssl::pkey::PKey::private_key_from_pem(&std::fs::read(key.text()).unwrap()).unwrap();
        // PKCS#1 or SEC 1 where asked for, else PKCS#8.
        let der = if traditional { read.private_key_to_der() } else { read.private_key_to_pkcs8() };
        (pem.to_der().unwrap(), PrivateKey::from_der(&der.unwrap()).unwrap())
    }

    #[test]
    fn a_profile_is_signed_by_the_servers_certificate_whatever_its_key() {
        let profile = fixture("profile.plist");
        let rsa = &["rsa:2048"][..];
        let ec = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"][..];
        let large = &["ec", "-pkeyopt", "ec_paramgen_curve:P-384"][..];
        for (kind, traditional) in [(rsa, false), (rsa, true), (ec, false), (ec, true), (large, false)] {
            let (certificate, key) = of_others(kind, traditional);
            let chain = [&certificate[..], authority().issuing_der()];
            let signed = sign_profile_by(&chain, &key, &profile).unwrap();
            let read = verify_attached(&signed, &[]).unwrap();
            assert_eq!((read.certificates.len(), &read.signer_der), (2, &certificate), "{kind:?}");
            let root = X509::from_der(&certificate).unwrap().to_pem().unwrap();
            let (file, root) = (testing::file("p7", &signed), testing::file("pem", &root));
            let out = testing::file("out", b"");
            let arguments = ["cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any"];
            let files = ["-in", file.text(), "-CAfile", root.text(), "-out", out.text()];
            testing::openssl(&[&arguments[..], &files].concat());
            assert_eq!(std::fs::read(out.text()).unwrap(), profile, "{kind:?}");
            let (_, another) = of_others(kind, traditional);
            assert!(matches!(sign_profile_by(&chain, &another, &profile), Err(Error::Key { .. })), "{kind:?}");
        }
        assert!(sign_profile_by(&[], &of_others(ec, false).1, &profile).is_err());
    }

    #[test]
    fn a_request_signed_by_a_device_names_its_certificate() {
        let body = fixture("mdm-signature-body.plist");
        for name in ["mdm-signature-sha256.txt", "mdm-signature-sha1.txt"] {
            let signer = verify_mdm_signature(&header(name), &body, authority(), When::At(NOW)).unwrap();
            let presented = Presented::check(&signer, authority(), When::At(NOW)).unwrap();
            assert_eq!(presented.common_name.as_deref(), Some("phone"), "{name}");
            assert_eq!(mdm_signer(&header(name), authority()).unwrap(), signer, "{name}");
            let late = NOW + Duration::days(731);
            let late = verify_mdm_signature(&header(name), &body, authority(), When::At(late));
            assert!(matches!(late, Err(Error::OutsideValidity { .. })), "{name}");
            verify_mdm_signature(&header(name), &body, authority(), When::Any).unwrap();
        }
    }

    #[test]
    fn another_body_another_ca_and_no_cms_are_told_apart() {
        let (body, header) = (fixture("mdm-signature-body.plist"), header("mdm-signature-sha256.txt"));
        let crlf = String::from_utf8(body.clone()).unwrap().replace('\n', "\r\n").into_bytes();
        for other in [&crlf[..], b"", &body[1..]] {
            let refused = verify_mdm_signature(&header, other, authority(), When::Any);
            assert!(matches!(refused, Err(Error::Signature { .. })));
        }
        let other = Authority::create(NOW, &[3; 32]).unwrap();
        let refused = verify_mdm_signature(&header, &body, &other, When::Any);
        assert!(matches!(refused, Err(Error::NotOurs { .. })));
        assert!(matches!(mdm_signer(&header, &other), Err(Error::NotOurs { .. })));
        for nonsense in ["", "AAAA", "***", &header[..400], &"A".repeat(40_000)] {
            let refused = verify_mdm_signature(nonsense, &body, authority(), When::Any).unwrap_err();
            assert!(refused.is_malformed(), "{refused}");
            assert!(mdm_signer(nonsense, authority()).unwrap_err().is_malformed());
        }
    }

    #[test]
    fn two_signers_none_and_two_certificates_of_one_name_are_refused() {
        let none = degenerate(&[&phone().certificate_der]).unwrap();
        assert!(verify_attached(&none, &[]).unwrap_err().is_malformed());
        let (one, two) = (phone(), device(authority(), "two"));
        let certificate =
            |identity: &Identity| testing::file("pem", crate::ca::pem(&identity.certificate_der).as_bytes());
        let key = |identity: &Identity| testing::file("key", &identity.key.0.private_key_to_pem_pkcs8().unwrap());
        let (a, b, c, d) = (certificate(one), key(one), certificate(&two), key(&two));
        let (content, out) = (testing::file("in", b"content"), testing::file("out", b""));
        let signers = ["-signer", a.text(), "-inkey", b.text(), "-signer", c.text(), "-inkey", d.text()];
        let arguments = ["cms", "-sign", "-nodetach", "-binary", "-outform", "DER"];
        testing::openssl(&[&arguments[..], &signers, &["-in", content.text(), "-out", out.text()]].concat());
        let refused = verify_attached(&std::fs::read(out.text()).unwrap(), &[]).unwrap_err();
        assert!(refused.to_string().contains("more than one signer"), "{refused}");

        // A second certificate with the signer's issuer and number, for another key.
        let twin = twin_of(one);
        let bare = testing::sign_without_certificates(one, b"content");
        let refused = verify_attached(&bare, &[&one.certificate_der, &twin]).unwrap_err();
        assert!(refused.to_string().contains("two certificates"), "{refused}");
        let refused = verify_attached(&bare, &[&twin]).unwrap_err();
        assert!(matches!(refused, Error::Signature { .. }), "{refused}");
        verify_attached(&bare, &[&one.certificate_der, &one.certificate_der]).unwrap();
    }

    fn twin_of(identity: &Identity) -> Vec<u8> {
        let serial = Presented::parse(&identity.certificate_der).unwrap().serial;
        let key = crate::keys::PrivateKey::rsa_2048().unwrap();
        let wanted = crate::issue::ClientCertificate {
            public_key_der: &key.public_der().unwrap(),
            subject: &crate::issue::Subject::named("twin"),
            alt_names: &[],
            crl_url: None,
            validity: crate::issue::Validity::client(NOW),
            serial,
        };
        authority().issue_client(&wanted).unwrap()
    }

    #[test]
    fn a_streamed_signature_in_ber_is_read() {
        let certificate = testing::file("pem", crate::ca::pem(&phone().certificate_der).as_bytes());
        let key = testing::file("key", &phone().key.0.private_key_to_pem_pkcs8().unwrap());
        let (content, out) = (testing::file("in", &vec![b'x'; 100_000]), testing::file("out", b""));
        let arguments = ["cms", "-sign", "-nodetach", "-binary", "-stream", "-indef", "-outform", "DER"];
        let files = ["-signer", certificate.text(), "-inkey", key.text(), "-in", content.text(), "-out", out.text()];
        testing::openssl(&[&arguments[..], &files].concat());
        let ber = std::fs::read(out.text()).unwrap();
        assert_eq!(ber[1], 0x80, "openssl was to write indefinite lengths");
        assert_eq!(verify_attached(&ber, &[]).unwrap().content.len(), 100_000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = verify_attached(&bytes, &[]);
            let _ = verify_detached(&bytes, b"body", authority(), When::Any);
            let _ = unwrap_unchecked(&bytes);
        }

        #[test]
        fn no_change_gives_other_content(at in 0_usize..3000, bit in 0_u8..8) {
            let mut bytes = fixture("profile-signed.der");
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            let _ = unwrap_unchecked(&bytes);
            if let Ok(signed) = verify_attached(&bytes, &[]) {
                prop_assert_eq!(signed.content, fixture("profile.plist"));
            }
        }
    }
}
