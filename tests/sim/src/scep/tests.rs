use std::io::Write;
use std::process::{Command, Stdio};

use super::*;

fn ca() -> (X509, PKey<Private>) {
    let key = keys::rsa(2048).unwrap();
    (keys::self_signed(&keys::name(&[("CN", "Test CA")]).unwrap(), &key, true).unwrap(), key)
}

/// Runs `openssl` with these words over `input`; what it wrote, if it was content.
fn openssl_tool(words: &[&str], input: &[u8]) -> Vec<u8> {
    let pipe = || Stdio::piped();
    let mut child = Command::new("openssl").args(words).stdin(pipe()).stdout(pipe()).stderr(pipe()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "openssl {words:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

fn manners() -> [Manner; 4] {
    let plain = Manner::default();
    [
        plain,
        Manner { encryption: Encryption::Aes256, ber: true, ..plain },
        Manner { encryption: Encryption::TripleDes, sha1: true, ..plain },
        Manner { by_get: true, ..plain },
    ]
}

#[test]
fn openssl_takes_our_messages_apart() {
    let (ca, ca_key) = ca();
    let dir = std::env::temp_dir().join(format!("lanyard-sim-scep-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("ca.pem");
    std::fs::write(&file, [ca.to_pem().unwrap(), ca_key.private_key_to_pem_pkcs8().unwrap()].concat()).unwrap();
    let file = file.to_str().unwrap();
    let key = keys::rsa(2048).unwrap();
    let subject = [("O", "Lanyard"), ("CN", "a device")];
    for manner in manners() {
        let order =
            Order { url: "", subject: &subject, challenge: Some("secret_1"), key: &key, renewing: None, manner };
        let message = Message::new(&order, &ca).unwrap();
        let verified = openssl_tool(&["cms", "-verify", "-noverify", "-binary", "-inform", "DER"], &message.bytes);
        let decrypt = ["cms", "-decrypt", "-inform", "DER", "-recip", file, "-inkey", file];
        let csr = openssl_tool(&decrypt, &verified);
        let text = openssl_tool(&["req", "-inform", "DER", "-verify", "-noout", "-text"], &csr);
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("secret_1") && text.contains("CN = a device"), "{manner:?}: {text}");
        let printed = openssl_tool(&["cms", "-cmsout", "-print", "-inform", "DER"], &message.bytes);
        let printed = String::from_utf8_lossy(&printed).into_owned();
        assert!(printed.contains("PRINTABLESTRING:19") && printed.contains(&message.transaction), "{manner:?}");
        assert_eq!(manner.ber, message.bytes[1] == 0x80);
    }
    std::fs::remove_dir_all(dir).unwrap();
}

/// A CertRep as a server writes it: granted with a certificate for `message`, or refused.
fn answer(message: &Message, ca: &(X509, PKey<Private>), failure: Option<&str>, nonce: &[u8]) -> Vec<u8> {
    let text = |arc: &str, v: &str| attribute(&format!("{ATTRIBUTE}.{arc}"), &der::tlv(der::PRINTABLE, v.as_bytes()));
    let mut attributes = vec![text("2", "3"), text("7", &message.transaction)];
    attributes.push(attribute(&format!("{ATTRIBUTE}.6"), &der::tlv(der::OCTETS, nonce)));
    attributes.push(text("3", if failure.is_some() { "2" } else { "0" }));
    attributes.extend(failure.map(|f| text("4", f)));
    let content = match failure {
        Some(_) => Vec::new(),
        None => {
            // The signer's own certificate stands for the one issued: it is over the same key.
            let degenerate = [
                der::small(1),
                der::tlv(der::SET, &[]),
                der::of(der::SEQUENCE, &[&der::oid(DATA)]),
                der::tlv(context(0), &message.signer.to_der().unwrap()),
                der::tlv(der::SET, &[]),
            ];
            let degenerate = der::tlv(context(0), &der::tlv(der::SEQUENCE, &degenerate.concat()));
            let degenerate = der::of(der::SEQUENCE, &[&der::oid(SIGNED_DATA), &degenerate]);
            let mut to = Stack::new().unwrap();
            to.push(message.signer.clone()).unwrap();
            let sealed = CmsContentInfo::encrypt(&to, &degenerate, Cipher::aes_128_cbc(), CMSOptions::BINARY).unwrap();
            sealed.to_der().unwrap()
        }
    };
    signed_data(&content, attributes, &ca.0, &ca.1, Manner::default()).unwrap()
}

#[test]
fn an_answer_is_taken_only_if_it_is_the_cas_and_ours() {
    let (ours, other) = (ca(), ca());
    let key = keys::rsa(2048).unwrap();
    let subject = [("CN", "a device")];
    let manner = Manner::default();
    let order = Order { url: "", subject: &subject, challenge: None, key: &key, renewing: None, manner };
    let message = Message::new(&order, &ours.0).unwrap();
    let read = |bytes: Vec<u8>| message.read_answer(&bytes, &ours.0, &key).map_err(|e| e.to_string());
    assert_eq!(read(answer(&message, &ours, None, &message.nonce)).unwrap(), message.signer);
    let refused = read(answer(&message, &ours, Some("1"), &message.nonce)).unwrap_err();
    assert!(refused.contains("badMessageCheck"), "{refused}");
    for (row, bytes) in [
        ("another CA", answer(&message, &other, None, &message.nonce)),
        ("another nonce", answer(&message, &ours, None, &[0; 16])),
        ("no CMS", b"hello".to_vec()),
    ] {
        assert!(read(bytes).is_err(), "{row}");
    }
}
