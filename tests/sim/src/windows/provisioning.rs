//! Reading wap-provisioningdoc as sternly as Windows does: what it would refuse without a word is an error here. [MS-MDE2] 2.2.9.1.

use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::x509::X509;

use super::soap::from_base64;
use crate::error::{Error, Result};
use crate::keys::hex;
use crate::xml::Element;

const WHAT: &str = "provisioning document";

/// The DM account that a provisioning document makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// PROVIDER-ID.
    pub provider_id: String,
    /// Where sessions go.
    pub addr: String,
    /// `DMClient/Provider/<id>/Poll`, names and values.
    pub poll: Vec<(String, String)>,
    /// The server's name for the device.
    pub ent_dm_id: Option<String>,
    /// Where the certificate is renewed.
    pub renewal_url: Option<String>,
    /// Client's user name, secret and first nonce (base64), for servers that challenge.
    pub(crate) login: (String, String, String),
    /// DMClient's other values.
    pub(crate) values: Vec<(String, String)>,
}

fn bad(detail: impl ToString) -> Error {
    Error::malformed(WHAT, detail)
}

fn part<'a>(parent: &'a Element, kind: &str) -> Option<&'a Element> {
    parent.all("characteristic").find(|c| c.attribute("type") == kind)
}

fn below<'a>(root: &'a Element, path: &[&str]) -> Option<&'a Element> {
    path.iter().try_fold(root, |e, kind| part(e, kind))
}

fn parm<'a>(parent: &'a Element, name: &str) -> Option<&'a str> {
    parent.all("parm").find(|p| p.attribute("name") == name).map(|p| p.attribute("value"))
}

fn needed(parent: &Element, name: &'static str) -> Result<String> {
    parm(parent, name).filter(|v| !v.is_empty()).map(str::to_owned).ok_or_else(|| bad(format!("no {name}")))
}

/// The account and the certificate over our key.
pub(crate) fn read(root: &Element, key: &PKey<Private>) -> Result<(Account, X509)> {
    if root.name != "wap-provisioningdoc" || root.attribute("version") != "1.1" {
        return Err(bad("not wap-provisioningdoc 1.1"));
    }
    for top in &root.children {
        // Anything else at the top ends in event 56, 0x83750005.
        if !["CertificateStore", "APPLICATION", "DMClient"].contains(&top.attribute("type")) {
            return Err(bad(format!("{:?} at the top", top.attribute("type"))));
        }
    }
    let roots = below(root, &["CertificateStore", "Root", "System"]).ok_or_else(|| bad("no root certificate"))?;
    match roots.children.as_slice() {
        [one] => stored(one).map(|_| ())?,
        other => return Err(bad(format!("{} root certificates", other.len()))),
    }
    let my = below(root, &["CertificateStore", "My", "User"]).or(below(root, &["CertificateStore", "My", "System"]));
    if my.and_then(|m| part(m, "PrivateKeyContainer")).is_none() {
        return Err(bad("no PrivateKeyContainer"));
    }
    let certificate = issued(root, key)?;
    Ok((account(root)?, certificate))
}

/// The certificate over this key; its thumbprint must be the name it stands under.
pub(crate) fn issued(root: &Element, key: &PKey<Private>) -> Result<X509> {
    let all = root.all("characteristic").filter(|c| c.attribute("type") == "CertificateStore");
    let my = all.flat_map(|store| [below(store, &["My", "User"]), below(store, &["My", "System"])]).flatten();
    for entry in my.flat_map(|m| m.all("characteristic")).filter(|c| c.attribute("type") != "PrivateKeyContainer") {
        let certificate = stored(entry)?;
        if certificate.public_key()?.public_eq(key) {
            return Ok(certificate);
        }
    }
    Err(bad("no certificate over our key"))
}

fn stored(entry: &Element) -> Result<X509> {
    let encoded = needed(entry, "EncodedCertificate")?;
    if encoded.contains(['\r', '\n']) {
        return Err(bad("EncodedCertificate in lines"));
    }
    let certificate = X509::from_der(&from_base64(WHAT, &encoded)?)?;
    let thumbprint = hex(&certificate.digest(MessageDigest::sha1())?).to_uppercase();
    if entry.attribute("type") != thumbprint {
        return Err(bad(format!("{} where the thumbprint is {thumbprint}", entry.attribute("type"))));
    }
    Ok(certificate)
}

fn account(root: &Element) -> Result<Account> {
    let application = part(root, "APPLICATION").ok_or_else(|| bad("no APPLICATION"))?;
    if needed(application, "APPID")? != "w7" {
        return Err(bad("APPID is not w7"));
    }
    let provider_id = needed(application, "PROVIDER-ID")?;
    let addr = needed(application, "ADDR")?;
    if !addr.starts_with("https://") {
        return Err(bad(format!("ADDR {addr}")));
    }
    let auths: Vec<&Element> = application.all("characteristic").filter(|c| c.attribute("type") == "APPAUTH").collect();
    let auth = |level: &str| {
        let found = auths
            .iter()
            .find(|a| parm(a, "AAUTHLEVEL") == Some(level))
            .ok_or_else(|| bad(format!("no APPAUTH {level}")))?;
        // Without a nonce in both: event 17, 0x80070057, and no session ever.
        from_base64(WHAT, &needed(found, "AAUTHDATA")?)?;
        needed(found, "AAUTHSECRET").map(|secret| (secret, *found))
    };
    let (_, client) = auth("CLIENT")?;
    if parm(client, "AAUTHTYPE").is_some_and(|t| t != "DIGEST") {
        return Err(bad("the server's own login is not DIGEST"));
    }
    let (secret, ours) = auth("APPSRV")?;
    let login = (needed(ours, "AAUTHNAME")?, secret, needed(ours, "AAUTHDATA")?);
    let client = below(root, &["DMClient", "Provider", &provider_id]).ok_or_else(|| bad("no DMClient/Provider"))?;
    let poll = part(client, "Poll").map(parms).unwrap_or_default();
    Ok(Account {
        ent_dm_id: parm(client, "EntDMID").map(str::to_owned),
        renewal_url: renewal(root)?,
        values: parms(client),
        provider_id,
        addr,
        poll: checked_poll(poll)?,
        login,
    })
}

fn parms(of: &Element) -> Vec<(String, String)> {
    of.all("parm").map(|p| (p.attribute("name").to_owned(), p.attribute("value").to_owned())).collect()
}

/// Never all zero, and exactly one endless schedule (a number of retries that is 0, under an interval that is not).
fn checked_poll(poll: Vec<(String, String)>) -> Result<Vec<(String, String)>> {
    let value = |name: &str| poll.iter().find(|(n, _)| n == name).and_then(|(_, v)| v.parse::<u32>().ok());
    let sets = [
        ("NumberOfFirstRetries", "IntervalForFirstSetOfRetries"),
        ("NumberOfSecondRetries", "IntervalForSecondSetOfRetries"),
        ("NumberOfRemainingScheduledRetries", "IntervalForRemainingScheduledRetries"),
    ];
    let endless = sets.iter().filter(|(n, i)| value(n) == Some(0) && value(i).is_some_and(|i| i > 0)).count();
    if endless == 1 { Ok(poll) } else { Err(bad(format!("{endless} endless poll schedules: {poll:?}"))) }
}

fn renewal(root: &Element) -> Result<Option<String>> {
    let stores = root.all("characteristic").filter(|c| c.attribute("type") == "CertificateStore");
    let Some(renew) = stores.filter_map(|s| below(s, &["My", "WSTEP", "Renew"])).next() else { return Ok(None) };
    let number = |name| needed(renew, name)?.parse::<u32>().map_err(|_| bad(name));
    let (period, retry) = (number("RenewPeriod")?, number("RetryInterval")?);
    if renew.all("parm").any(|p| p.attribute("name") != "ServerURL" && p.attribute("datatype").is_empty()) {
        return Err(bad("a renewal parameter without datatype"));
    }
    if !(1..=1000).contains(&period) || retry > period {
        return Err(bad(format!("RenewPeriod {period}, RetryInterval {retry}")));
    }
    Ok(parm(renew, "ServerURL").map(str::to_owned))
}
