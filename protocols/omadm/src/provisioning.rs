//! The wap-provisioningdoc: what a PC gets when it enrols, and when it renews its certificate. [MS-MDE2] 2.2.9.
//!
//! Only the three characteristics that Windows takes here: CertificateStore, APPLICATION, DMClient.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::enrolment::EnrolmentType;
use crate::xml;

/// A certificate with the name that its folder gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// The certificate.
    pub der: &'a [u8],
    /// SHA-1 over it: how Windows names it.
    pub sha1: [u8; 20],
}

/// The whole document, for a first enrolment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provisioning<'a> {
    /// The root to be trusted, for the server's TLS as well.
    pub root: Certificate<'a>,
    /// The authority that issued the device's certificate.
    pub intermediate: Option<Certificate<'a>>,
    /// The device's own; Windows has its key already.
    pub client: Certificate<'a>,
    /// Which store that goes to.
    pub enrolment_type: EnrolmentType,
    /// When and where the certificate is renewed.
    pub renewal: Renewal<'a>,
    /// How the DM client reaches us.
    pub account: Account<'a>,
    /// What the client knows of its enrolment.
    pub client_settings: ClientSettings<'a>,
    /// How often it comes by itself.
    pub poll: Poll,
}

/// Renewal by the existing certificate, the only kind that Windows 10 and later know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewal<'a> {
    /// How long before the end it begins, in days (1 to 1000).
    pub period_days: u32,
    /// How often it is tried, in days, at most the period.
    pub retry_days: u32,
    /// Where the request goes.
    pub url: &'a str,
}

/// The DM account. Over mutual TLS the secrets prove nothing, but Windows wants them, each with a nonce.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Account<'a> {
    /// PROVIDER-ID: kept for ever, letters and digits alone, since it stands in paths.
    pub provider_id: &'a str,
    /// Shown to the user.
    pub name: &'a str,
    /// Where sessions go, https.
    pub address: &'a str,
    /// The issued certificate's subject as text (`CN=…`), to find it by. None: Windows picks by itself.
    pub subject: Option<&'a str>,
    /// The client's name towards us.
    pub login: &'a str,
    /// The client's secret towards us.
    pub client_secret: &'a str,
    /// Ours towards the client.
    pub server_secret: &'a str,
    /// Fresh random bytes for the client's first digest, and for ours.
    pub nonces: [[u8; 16]; 2],
}

impl std::fmt::Debug for Account<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account").field("provider_id", &self.provider_id).field("address", &self.address).finish()
    }
}

/// The DMClient's own nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientSettings<'a> {
    /// The user.
    pub upn: &'a str,
    /// What the device is called.
    pub device_name: &'a str,
    /// Our name for the enrolment; Windows renews no certificate without one.
    pub dm_id: &'a str,
}

/// Polls by schedule: twice a bounded number of times, then for ever. In minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Poll {
    /// How many, and how far apart, at first. Not zero: that would be for ever.
    pub first: (u32, u32),
    /// Then.
    pub second: (u32, u32),
    /// How far apart for ever after.
    pub endless: u32,
}

impl Provisioning<'_> {
    /// The document as text, on one line.
    pub fn encode(&self) -> String {
        let mut out = Writer::begin();
        out.open("CertificateStore");
        out.open("Root").open("System").certificate(self.root).close(2);
        if let Some(intermediate) = self.intermediate {
            out.open("CA").open("System").certificate(intermediate).close(2);
        }
        out.open("My").client(self.client, self.enrolment_type);
        self.renewal.write(&mut out);
        out.close(2);
        self.account.write(&mut out, self.enrolment_type);
        out.open("DMClient").open("Provider").open(self.account.provider_id);
        out.text("UPN", self.client_settings.upn).text("EntDeviceName", self.client_settings.device_name);
        out.text("EntDMID", self.client_settings.dm_id);
        self.poll.write(&mut out);
        out.close(3);
        out.end()
    }
}

/// The document for a renewal: the new certificate, and whose account it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewed<'a> {
    /// The new certificate.
    pub client: Certificate<'a>,
    /// Which store it goes to.
    pub enrolment_type: EnrolmentType,
    /// As provisioned.
    pub provider_id: &'a str,
}

impl Renewed<'_> {
    /// The document as text, on one line.
    pub fn encode(&self) -> String {
        let mut out = Writer::begin();
        out.open("CertificateStore").open("My").client(self.client, self.enrolment_type).close(2);
        out.open("APPLICATION").parm("PROVIDER-ID", self.provider_id).close(1);
        out.end()
    }
}

impl Renewal<'_> {
    fn write(&self, out: &mut Writer) {
        out.open("WSTEP").open("Renew");
        out.typed("ROBOSupport", "true", "boolean");
        out.typed("RenewPeriod", &self.period_days.to_string(), "integer");
        out.typed("RetryInterval", &self.retry_days.to_string(), "integer");
        out.text("ServerURL", self.url).close(2);
    }
}

impl Account<'_> {
    fn write(&self, out: &mut Writer, enrolment_type: EnrolmentType) {
        out.open("APPLICATION").parm("APPID", "w7").parm("PROVIDER-ID", self.provider_id).parm("NAME", self.name);
        out.parm("ADDR", self.address).parm("CONNRETRYFREQ", "6").parm("INITIALBACKOFFTIME", "30000");
        out.parm("MAXBACKOFFTIME", "120000").flag("BACKCOMPATRETRYDISABLED");
        out.parm("DEFAULTENCODING", "application/vnd.syncml.dm+xml");
        // The device's store has no documented form here.
        if let Some(subject) = self.subject.filter(|_| enrolment_type == EnrolmentType::Full) {
            out.parm("SSLCLIENTCERTSEARCHCRITERIA", &format!("Subject={}&Stores=My%5CUser", url_escaped(subject)));
        }
        let [client_nonce, server_nonce] = self.nonces;
        out.open("APPAUTH").parm("AAUTHLEVEL", "CLIENT").parm("AAUTHTYPE", "DIGEST");
        out.parm("AAUTHSECRET", self.server_secret).parm("AAUTHDATA", &STANDARD.encode(server_nonce)).close(1);
        out.open("APPAUTH").parm("AAUTHLEVEL", "APPSRV").parm("AAUTHTYPE", "DIGEST").parm("AAUTHNAME", self.login);
        out.parm("AAUTHSECRET", self.client_secret).parm("AAUTHDATA", &STANDARD.encode(client_nonce)).close(2);
    }
}

impl Poll {
    fn write(&self, out: &mut Writer) {
        out.open("Poll");
        for (name, value) in [
            ("NumberOfFirstRetries", self.first.0),
            ("IntervalForFirstSetOfRetries", self.first.1),
            ("NumberOfSecondRetries", self.second.0),
            ("IntervalForSecondSetOfRetries", self.second.1),
            ("NumberOfRemainingScheduledRetries", 0),
            ("IntervalForRemainingScheduledRetries", self.endless),
        ] {
            out.typed(name, &value.to_string(), "integer");
        }
        out.typed("PollOnLogin", "true", "boolean").close(1);
    }
}

/// Percent-escapes all but what stands for itself anywhere in a URL.
fn url_escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

struct Writer(String);

impl Writer {
    fn begin() -> Writer {
        Writer("<wap-provisioningdoc version=\"1.1\">".to_owned())
    }

    fn end(mut self) -> String {
        self.0.push_str("</wap-provisioningdoc>");
        self.0
    }

    fn open(&mut self, kind: &str) -> &mut Writer {
        self.0.push_str(&format!("<characteristic type=\"{}\">", xml::escaped(kind)));
        self
    }

    fn close(&mut self, levels: usize) -> &mut Writer {
        self.0.push_str(&"</characteristic>".repeat(levels));
        self
    }

    fn parm(&mut self, name: &str, value: &str) -> &mut Writer {
        self.0.push_str(&format!("<parm name=\"{name}\" value=\"{}\"/>", xml::escaped(value)));
        self
    }

    fn typed(&mut self, name: &str, value: &str, kind: &str) -> &mut Writer {
        self.0.push_str(&format!("<parm name=\"{name}\" value=\"{}\" datatype=\"{kind}\"/>", xml::escaped(value)));
        self
    }

    fn text(&mut self, name: &str, value: &str) -> &mut Writer {
        self.typed(name, value, "string")
    }

    /// A parm that says what it says by being there.
    fn flag(&mut self, name: &str) -> &mut Writer {
        self.0.push_str(&format!("<parm name=\"{name}\"/>"));
        self
    }

    fn certificate(&mut self, certificate: Certificate<'_>) -> &mut Writer {
        let name: String = certificate.sha1.iter().map(|byte| format!("{byte:02X}")).collect();
        self.open(&name).parm("EncodedCertificate", &STANDARD.encode(certificate.der)).close(1)
    }

    /// The store of the device's own certificate, with the empty container that says where its key is.
    fn client(&mut self, certificate: Certificate<'_>, enrolment_type: EnrolmentType) -> &mut Writer {
        let store = match enrolment_type {
            EnrolmentType::Full => "User",
            EnrolmentType::Device => "System",
        };
        self.open(store).certificate(certificate).open("PrivateKeyContainer").close(2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn certificate(byte: u8) -> Certificate<'static> {
        Certificate { der: b"certificate", sha1: [byte; 20] }
    }

    fn whole(enrolment_type: EnrolmentType) -> Provisioning<'static> {
        Provisioning {
            root: certificate(0xA1),
            intermediate: Some(certificate(0xB2)),
            client: certificate(0xC3),
            enrolment_type,
            renewal: Renewal {
                period_days: 42,
                retry_days: 7,
                url: "https://mdm.lamp.example/EnrollmentServer/Enrollment.svc?a=1&b=2",
            },
            account: Account {
                provider_id: "Lamp",
                name: "Lamp & Cord",
                address: "https://mdm.lamp.example/omadm",
                subject: Some("CN=0190a0b0-0000-7000-8000-000000000001"),
                login: "enrolment",
                client_secret: "one",
                server_secret: "two",
                nonces: [[1; 16], [2; 16]],
            },
            client_settings: ClientSettings { upn: "lucy@lamp.example", device_name: "DESK-1", dm_id: "e1" },
            poll: Poll { first: (5, 3), second: (8, 15), endless: 60 },
        }
    }

    /// Compares with the golden file; with `LANYARD_BLESS` set writes it instead.
    fn golden(name: &str, got: &str) {
        let path = format!("{}/../../fixtures/omadm/{name}", env!("CARGO_MANIFEST_DIR"));
        if std::env::var_os("LANYARD_BLESS").is_some() {
            std::fs::write(&path, got).unwrap();
        }
        assert_eq!(got, std::fs::read_to_string(&path).unwrap(), "{name}");
    }

    #[test]
    fn documents_are_as_agreed() {
        golden("provisioning-full.golden.xml", &whole(EnrolmentType::Full).encode());
        let client = certificate(0xC3);
        let renewed = Renewed { client, enrolment_type: EnrolmentType::Full, provider_id: "Lamp" };
        golden("provisioning-renewal.golden.xml", &renewed.encode());
    }

    #[test]
    fn only_what_windows_takes_stands_at_the_top() {
        let text = whole(EnrolmentType::Full).encode();
        let root = xml::parse(text.as_bytes(), &Limits::SOAP).unwrap();
        let kinds: Vec<_> = root.children.iter().map(|child| child.attribute("type").unwrap()).collect();
        assert_eq!(kinds, ["CertificateStore", "APPLICATION", "DMClient"]);
    }

    #[test]
    fn a_device_enrolment_fills_the_other_store() {
        let text = whole(EnrolmentType::Device).encode();
        assert!(text.contains("<characteristic type=\"My\"><characteristic type=\"System\">"));
        assert!(!text.contains("SSLCLIENTCERTSEARCHCRITERIA"));
    }

    #[test]
    fn secrets_are_not_shown() {
        assert!(!format!("{:?}", whole(EnrolmentType::Full)).contains("two"));
    }
}
