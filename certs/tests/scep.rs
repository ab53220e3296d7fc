//! SCEP as a device speaks it, by a client that shares no code with the server's side.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use lanyard_certs::issue::{ClientCertificate, Serial, Subject, Validity};
use lanyard_certs::scep::{self, Content, FailInfo, MessageType, Request, Signer};
use lanyard_certs::{Authority, Error};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::symm::Cipher;
use openssl::x509::X509;
use proptest::prelude::*;
use secrecy::ExposeSecret as _;
use support::scep_client::{Message, read_answer, self_signed};
use support::{CHALLENGE, NOW, authority, challenge_request, fixture, issue, rsa};
use time::Duration;

struct Client {
    ca: Authority,
    issuing: X509,
    key: PKey<Private>,
    own: X509,
    request: Vec<u8>,
}

impl Client {
    fn new() -> Self {
        let (ca, key) = (authority(), rsa());
        let issuing = X509::from_der(ca.issuing_der()).unwrap();
        let (own, request) = (self_signed(&key, NOW.unix_timestamp()), challenge_request(&key));
        Self { ca, issuing, key, own, request }
    }

    fn message(&self) -> Message<'_> {
        Message {
            message_type: "19",
            transaction_id: "tx/1+a=",
            nonce: &[7; 16],
            signer: &self.own,
            key: &self.key,
            ca: &self.issuing,
            content: &self.request,
            cipher: Cipher::aes_128_cbc(),
            digest: MessageDigest::sha256(),
            ber: false,
        }
    }

    fn open(&self, message: &Message<'_>) -> Result<Request, Error> {
        scep::receive(&message.build())?.open(&self.ca, NOW)
    }
}

fn certificate_for(ca: &Authority, request: &Request) -> Vec<u8> {
    let subject = Subject::named("from the invitation");
    let wanted = ClientCertificate {
        public_key_der: &request.csr().unwrap().public_key_der,
        subject: &subject,
        alt_names: &[],
        crl_url: None,
        validity: Validity::client(NOW),
        serial: Serial::random().unwrap(),
    };
    ca.issue_client(&wanted).unwrap()
}

#[test]
fn every_cipher_and_digest_enrols_and_is_answered_in_kind() {
    let client = Client::new();
    let (sha1, sha256) = ("1.3.14.3.2.26", "2.16.840.1.101.3.4.2.1");
    let (aes128, des3) = ("2.16.840.1.101.3.4.1.2", "1.2.840.113549.3.7");
    for (row, cipher, digest, ber, want) in [
        ("the Go clients", Cipher::des_cbc(), MessageDigest::sha1(), false, (des3, sha1)),
        ("3DES", Cipher::des_ede3_cbc(), MessageDigest::sha1(), false, (des3, sha1)),
        ("AES-128", Cipher::aes_128_cbc(), MessageDigest::sha256(), false, (aes128, sha256)),
        ("AES-256", Cipher::aes_256_cbc(), MessageDigest::sha256(), false, (aes128, sha256)),
        ("SHA-384", Cipher::aes_128_cbc(), MessageDigest::sha384(), false, (aes128, sha256)),
        ("SHA-512", Cipher::aes_256_cbc(), MessageDigest::sha512(), false, (aes128, sha256)),
        ("macOS", Cipher::aes_256_cbc(), MessageDigest::sha256(), true, (aes128, sha256)),
        ("single DES in BER", Cipher::des_cbc(), MessageDigest::sha1(), true, (des3, sha1)),
    ] {
        let request = client.open(&Message { cipher, digest, ber, ..client.message() }).unwrap();
        assert_eq!(request.signer, Signer::SelfSigned, "{row}");
        assert_eq!(request.challenge().unwrap().expose_secret(), CHALLENGE, "{row}");
        let issued = certificate_for(&client.ca, &request);
        let answer = request.header.success(&client.ca, &issued, [9; 16]).unwrap();
        let answer = read_answer(&answer, &client.issuing, &client.own, &client.key);
        assert_eq!((answer.status.as_str(), answer.transaction_id.as_str()), ("0", "tx/1+a="), "{row}");
        assert_eq!(answer.recipient_nonce, [7; 16], "{row}");
        assert_eq!((answer.cipher.as_deref(), answer.digest.as_str()), (Some(want.0), want.1), "{row}");
        assert_eq!(answer.certificate.unwrap().to_der().unwrap(), issued, "{row}");
    }
}

#[test]
fn a_renewal_is_told_from_an_enrolment() {
    let client = Client::new();
    let ours = issue(&client.ca, &client.key, "phone");
    for (row, message_type, signer, want) in [
        ("renewal by our certificate", "17", &ours, Ok(Signer::Ours)),
        ("enrolment by our certificate", "19", &ours, Ok(Signer::Ours)),
        ("renewal by its own certificate", "17", &client.own, Err(FailInfo::BadMessageCheck)),
    ] {
        let opened = client.open(&Message { message_type, signer, ..client.message() });
        let got = opened.map(|request| request.signer).map_err(|error| FailInfo::from_error(&error));
        assert_eq!(got, want, "{row}");
    }
}

#[test]
fn expired_and_strange_signers_are_refused_in_scep() {
    let client = Client::new();
    let ours = issue(&client.ca, &client.key, "phone");
    let message = Message { message_type: "17", signer: &ours, ..client.message() };
    let envelope = scep::receive(&message.build()).unwrap();
    let late = envelope.open(&client.ca, NOW + Duration::days(731)).unwrap_err();
    assert_eq!(FailInfo::from_error(&late), FailInfo::BadTime);

    let other = Authority::create(NOW, &[1; 32]).unwrap();
    let theirs = issue(&other, &client.key, "phone");
    let strange = client.open(&Message { signer: &theirs, ..client.message() }).unwrap_err();
    assert!(matches!(strange, Error::NotOurs { .. }), "{strange}");

    let answer = envelope.header.failure(&client.ca, FailInfo::BadTime, [9; 16]).unwrap();
    let answer = read_answer(&answer, &client.issuing, &ours, &client.key);
    assert_eq!((answer.status.as_str(), answer.fail_info.as_deref()), ("2", Some("3")));
    assert!(answer.certificate.is_none());
}

#[test]
fn a_message_for_another_ca_cannot_be_decrypted_but_can_be_answered() {
    let client = Client::new();
    let other = Authority::create(NOW, &[1; 32]).unwrap();
    let theirs = X509::from_der(other.issuing_der()).unwrap();
    let envelope = scep::receive(&Message { ca: &theirs, ..client.message() }.build()).unwrap();
    let refused = envelope.open(&client.ca, NOW).unwrap_err();
    assert!(matches!(refused, Error::Decrypt { .. }), "{refused}");
    let unreadable = client.open(&Message { content: b"no request", ..client.message() }).unwrap_err();
    assert_eq!(FailInfo::from_error(&refused), FailInfo::from_error(&unreadable), "no padding oracle");
    // The same CA's messages can be read afterwards: a failure leaves nothing behind.
    client.open(&Message { cipher: Cipher::des_cbc(), ..client.message() }).unwrap();
    assert!(envelope.header.failure(&client.ca, FailInfo::from_error(&refused), [0; 16]).is_ok());
}

#[test]
fn a_poll_is_answered_with_pending() {
    let client = Client::new();
    let request = client.open(&Message { message_type: "20", content: b"0\0", ..client.message() }).unwrap();
    assert!(matches!(request.content, Content::Poll));
    let answer = request.header.pending(&client.ca, [9; 16]).unwrap();
    let answer = read_answer(&answer, &client.issuing, &client.own, &client.key);
    assert_eq!((answer.status.as_str(), answer.fail_info), ("3", None));
}

#[test]
fn what_is_not_served_is_refused_in_scep() {
    let client = Client::new();
    let envelope = scep::receive(&Message { message_type: "22", ..client.message() }.build()).unwrap();
    assert_eq!(envelope.header.message_type, MessageType::Other(22));
    let refused = envelope.open(&client.ca, NOW).unwrap_err();
    assert_eq!(FailInfo::from_error(&refused), FailInfo::BadRequest);
    let rc2 = client.open(&Message { cipher: Cipher::rc2_40_cbc(), ..client.message() }).unwrap_err();
    assert_eq!(FailInfo::from_error(&rc2), FailInfo::BadAlgorithm);
    let no_request = client.open(&Message { content: b"no request", ..client.message() }).unwrap_err();
    assert_eq!(FailInfo::from_error(&no_request), FailInfo::BadRequest);
}

#[test]
fn what_cannot_be_read_is_malformed() {
    let client = Client::new();
    let nonce = Message { nonce: &[7; 65], ..client.message() }.build();
    let transaction = Message { transaction_id: &"x".repeat(257), ..client.message() }.build();
    let no_transaction = Message { transaction_id: "", ..client.message() }.build();
    let kind = Message { message_type: "many", ..client.message() }.build();
    for bytes in [nonce, transaction, no_transaction, kind, Vec::new(), vec![0x30; scep::MAX_MESSAGE + 1]] {
        let refused = scep::receive(&bytes).unwrap_err();
        assert!(refused.is_malformed(), "{refused}");
    }
    for nested in [[0x30, 0x80], [0x24, 0x80], [0xA0, 0x80]] {
        assert!(scep::receive(&nested.repeat(100_000)).unwrap_err().is_malformed(), "bottomless nesting");
    }
    let mut changed = client.message().build();
    let middle = changed.len() / 3;
    changed[middle] ^= 1;
    let refused = scep::receive(&changed).unwrap_err();
    assert!(refused.is_malformed() || matches!(refused, Error::Signature { .. }), "{refused}");
}

#[test]
fn the_messages_kept_are_read() {
    let ca = authority();
    for (name, signer, kind) in [
        ("scep-des-sha1.der", Signer::SelfSigned, MessageType::Enrol),
        ("scep-aes-sha256.der", Signer::SelfSigned, MessageType::Enrol),
        ("scep-macos-ber.der", Signer::SelfSigned, MessageType::Enrol),
        ("scep-renewal.der", Signer::Ours, MessageType::Renew),
        ("scep-poll.der", Signer::SelfSigned, MessageType::Poll),
    ] {
        let request = scep::receive(&fixture(name)).unwrap().open(&ca, NOW).unwrap();
        assert_eq!((request.signer, request.header.message_type), (signer, kind), "{name}");
        assert_eq!(request.header.transaction_id, "2b5ec1bd58d2eb6dc2c6a1ecf0e0be8a", "{name}");
    }
    let real = scep::receive(&fixture("scep-scepclient.der")).unwrap().open(&ca, NOW).unwrap();
    assert_eq!(real.csr().unwrap().common_name.as_deref(), Some("phone"), "scepclient");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
        let _ = scep::receive(&bytes);
    }

    #[test]
    fn no_change_of_a_message_panics(at in 0_usize..3000, bit in 0_u8..8, name in 0_usize..3) {
        let ca = authority();
        let mut bytes = fixture(["scep-des-sha1.der", "scep-macos-ber.der", "scep-renewal.der"][name]);
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        if let Ok(envelope) = scep::receive(&bytes) {
            let _ = envelope.open(&ca, NOW);
        }
    }
}
