//! Enrolment from discovery to the provisioning document, and renewal of the certificate. [MS-MDE2] 3.1, 3.4, 3.6.

use openssl::pkcs7::{Pkcs7, Pkcs7Flags};
use openssl::pkey::{PKey, Private};
use openssl::stack::Stack;

use super::provisioning::{self, Account};
use super::soap::{AC, CM, Call, DISCOVERY, ENROLMENT, POLICY, WSSE, WST, base64_lines, from_base64};
use super::{State, WindowsDevice, csr};
use crate::error::{Error, Result};
use crate::http::Request;
use crate::keys::Identity;
use crate::xml::{Element, escape};

/// What discovery told.
struct Services {
    policy: String,
    enrolment: String,
}

impl WindowsDevice {
    /// Enrols, or tries again after an error with the same key and the same request.
    pub async fn continue_enrolment(&mut self, user: &str, code: &str) -> Result<()> {
        if self.state != State::New {
            return Ok(());
        }
        let services = self.discover(user).await?;
        self.get_policies(&services, user, code).await?;
        if self.key.is_none() {
            self.key = Some(self.world.keys.rsa(2048).await?);
        }
        let key = self.key.clone().ok_or(Error::Gone("no key"))?;
        let request = csr::request(self.csr, &self.facts.device_id, &key)?;
        let document = self.request_token(&services.enrolment, Some((user, code)), Token::Pkcs10(&request)).await?;
        let (account, certificate) = provisioning::read(&document, &key)?;
        let identity = Identity::from_parts(&[certificate], &key)?;
        self.http.set_identity(Some(&identity))?;
        self.tree.provide(&account, self.facts.exchange_id.as_deref(), &self.facts.hw_dev_id);
        (self.account, self.identity, self.state) = (Some(account), Some(identity), State::Enrolled);
        Ok(())
    }

    async fn discover(&mut self, user: &str) -> Result<Services> {
        let url = format!("{}/EnrollmentServer/Discovery.svc", self.world.enrol_url);
        self.http.send(&Request::get(&url)).await?.accepted("Discovery")?;
        let body = format!(
            "<Discover xmlns=\"{DISCOVERY}\"><request xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\">\
             <EmailAddress>{}</EmailAddress><RequestVersion>9.0</RequestVersion><DeviceType>CIMClient_Windows</DeviceType>\
             <ApplicationVersion>{}</ApplicationVersion><OSEdition>{}</OSEdition><AuthPolicies>\
             <AuthPolicy>OnPremise</AuthPolicy><AuthPolicy>Federated</AuthPolicy></AuthPolicies></request></Discover>",
            escape(user),
            self.facts.os_version,
            self.facts.edition
        );
        let answer = self
            .call(Call {
                what: "Discovery",
                url: &url,
                action: &format!("{DISCOVERY}/IDiscoveryService/Discover"),
                answer: &format!("{DISCOVERY}/IDiscoveryService/DiscoverResponse"),
                login: None,
                body: &body,
            })
            .await?;
        let result = answer.at(&["DiscoverResponse", "DiscoverResult"]);
        let result = result.ok_or_else(|| Error::malformed("Discovery", "no DiscoverResult"))?;
        let version: f32 = result.text_at(&["EnrollmentVersion"]).parse().unwrap_or(99.0);
        let policy = result.text_at(&["EnrollmentPolicyServiceUrl"]).to_owned();
        let enrolment = result.text_at(&["EnrollmentServiceUrl"]).to_owned();
        let host = |url: &str| url.parse::<http::Uri>().ok().and_then(|u| u.host().map(str::to_owned));
        match result.text_at(&["AuthPolicy"]) {
            "OnPremise" if version <= 9.0 && host(&policy).is_some() && host(&policy) == host(&enrolment) => {
                Ok(Services { policy, enrolment })
            }
            other => {
                Err(Error::malformed("Discovery", format!("AuthPolicy {other:?}, {version}, {policy}, {enrolment}")))
            }
        }
    }

    async fn get_policies(&mut self, services: &Services, user: &str, code: &str) -> Result<()> {
        let body = format!(
            "<GetPolicies xmlns=\"{POLICY}\"><client><lastUpdate xsi:nil=\"true\"/><preferredLanguage xsi:nil=\"true\"/></client>\
             <requestFilter xsi:nil=\"true\"/></GetPolicies>"
        );
        let answer = self
            .call(Call {
                what: "GetPolicies",
                url: &services.policy,
                action: &format!("{POLICY}/IPolicy/GetPolicies"),
                answer: &format!("{POLICY}/IPolicy/GetPoliciesResponse"),
                login: Some((user, code)),
                body: &body,
            })
            .await?;
        let attributes = answer.at(&["GetPoliciesResponse", "response", "policies", "policy", "attributes"]);
        let attributes = attributes.ok_or_else(|| Error::malformed("GetPolicies", "no policy"))?;
        let schema = attributes.text_at(&["policySchema"]);
        let bits = attributes.text_at(&["privateKeyAttributes", "minimalKeyLength"]);
        let hash = attributes.text_at(&["hashAlgorithmOIDReference"]);
        if (schema, bits) != ("3", "2048") {
            return Err(Error::malformed("GetPolicies", format!("policySchema {schema:?}, minimalKeyLength {bits:?}")));
        }
        let oids = answer.at(&["GetPoliciesResponse", "oIDs"]);
        let named = oids.and_then(|o| o.all("oID").find(|o| o.text_at(&["oIDReferenceID"]) == hash));
        match named.map(|o| (o.text_at(&["group"]), o.text_at(&["value"]))) {
            Some(("1", "2.16.840.1.101.3.4.2.1" | "1.3.14.3.2.26")) => Ok(()),
            other => Err(Error::malformed("GetPolicies", format!("hash algorithm {other:?}"))),
        }
    }

    /// A provisioning document for a PKCS#10 (new) or a PKCS#7 around one (renewal).
    async fn request_token(&mut self, url: &str, login: Option<(&str, &str)>, token: Token<'_>) -> Result<Element> {
        let (kind, value_type, bytes) = match token {
            Token::Pkcs10(bytes) => ("Issue", format!("{ENROLMENT}#PKCS10"), bytes),
            Token::Pkcs7(bytes) => ("Renew", format!("{ENROLMENT}#PKCS7"), bytes),
        };
        let body = format!(
            "<wst:RequestSecurityToken><wst:TokenType>{CM}DeviceEnrollmentToken</wst:TokenType>\
             <wst:RequestType>{WST}/{kind}</wst:RequestType>\
             <wsse:BinarySecurityToken ValueType=\"{value_type}\" EncodingType=\"{WSSE}#base64binary\">{}</wsse:BinarySecurityToken>\
             {}</wst:RequestSecurityToken>",
            base64_lines(bytes),
            self.additional_context()
        );
        let answer = self
            .call(Call {
                what: "RequestSecurityToken",
                url,
                action: &format!("{ENROLMENT}/RST/wstep"),
                answer: &format!("{ENROLMENT}/RSTRC/wstep"),
                login,
                body: &body,
            })
            .await?;
        let response = answer.at(&["RequestSecurityTokenResponseCollection", "RequestSecurityTokenResponse"]);
        let token = response.and_then(|r| r.at(&["RequestedSecurityToken", "BinarySecurityToken"]));
        let token = token.ok_or_else(|| Error::malformed("RequestSecurityToken", "no BinarySecurityToken"))?;
        if token.attribute("ValueType") != format!("{CM}DeviceEnrollmentProvisionDoc") {
            return Err(Error::malformed("RequestSecurityToken", token.attribute("ValueType")));
        }
        Element::parse(&from_base64("RequestSecurityToken", &token.text)?)
    }

    /// The context items of Windows 11 25H2 in its order, thirteen network addresses among them.
    fn additional_context(&self) -> String {
        let f = &self.facts;
        let edition = f.edition.to_string();
        let macs: Vec<String> = (0..13u8).map(|n| mac(&f.device_id, n)).collect();
        let mut items = vec![
            ("UXInitiated", "true"),
            ("HWDevID", &f.hw_dev_id),
            ("Locale", "en-US"),
            ("TargetedUserLoggedIn", "true"),
            ("OSEdition", &edition),
            ("DeviceName", &f.name),
        ];
        items.extend(macs.iter().map(|m| ("MAC", m.as_str())));
        items.extend([
            ("DeviceID", f.device_id.as_str()),
            ("EnrollmentType", "Full"),
            ("DeviceType", if f.phone { "WindowsPhone" } else { "CIMClient_Windows" }),
            ("OSVersion", &f.os_version),
            ("ApplicationVersion", &f.os_version),
            ("NotInOobe", "false"),
            ("Manufacturer", &f.manufacturer),
            ("DeviceModel", &f.model),
            ("SerialNumber", &f.serial),
            ("RequestVersion", "9.0"),
        ]);
        let item = |(name, value): (&str, &str)| {
            format!("<ac:ContextItem Name=\"{name}\"><ac:Value>{}</ac:Value></ac:ContextItem>", escape(value))
        };
        let items: String = items.into_iter().map(item).collect();
        format!("<ac:AdditionalContext xmlns=\"{AC}\">{items}</ac:AdditionalContext>")
    }

    /// Renews the certificate with a new key, over TLS with the old one. The old one is forgotten once the new one has come.
    pub async fn renew(&mut self) -> Result<()> {
        let url = self.the_account()?.renewal_url.clone().ok_or_else(|| Error::malformed("renewal", "no ServerURL"))?;
        let old = self.identity.clone().ok_or(Error::Gone("no identity"))?;
        let key = self.world.keys.rsa(2048).await?;
        let signed = signed_by(&old, &csr::request(self.csr, &self.facts.device_id, &key)?)?;
        let document = self.request_token(&url, None, Token::Pkcs7(&signed)).await?;
        let certificate = provisioning::issued(&document, &key)?;
        let identity = Identity::from_parts(&[certificate], &key)?;
        self.http.set_identity(Some(&identity))?;
        (self.identity, self.key) = (Some(identity), Some(key));
        Ok(())
    }
}

enum Token<'a> {
    Pkcs10(&'a [u8]),
    Pkcs7(&'a [u8]),
}

fn signed_by(identity: &Identity, content: &[u8]) -> Result<Vec<u8>> {
    let (certificate, key): (_, PKey<Private>) = (identity.certificate()?, identity.private_key()?);
    let pkcs7 = Pkcs7::sign(&certificate, &key, &*Stack::new()?, content, Pkcs7Flags::BINARY)?;
    Ok(pkcs7.to_der()?)
}

fn mac(device_id: &str, n: u8) -> String {
    let hex: Vec<&str> = (0..4).filter_map(|i| device_id.get(i * 2..i * 2 + 2)).collect();
    format!("02-{}-{n:02X}", hex.join("-"))
}

impl Account {
    /// The minutes between polls once the first sets are through.
    pub fn poll_minutes(&self) -> Option<u32> {
        self.poll
            .iter()
            .find(|(name, _)| name == "IntervalForRemainingScheduledRetries")
            .and_then(|(_, v)| v.parse().ok())
    }
}
