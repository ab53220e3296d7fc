//! Enrolling and leaving: the profile, the certificate, and the check-in messages Authenticate, TokenUpdate, CheckOut.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Method;
use openssl::cms::{CMSOptions, CmsContentInfo};
use plist::{Dictionary, Value};

use super::profile::EnrolmentProfile;
use super::{AppleDevice, Kind, State};
use crate::error::{Error, Result};
use crate::http::{Reading, Request, Response};
use crate::keys::Identity;
use crate::scep::{self, Manner, Order};

impl AppleDevice {
    /// Gets `{invitation_url}/profile` and reads it.
    pub async fn fetch_profile(&mut self, invitation_url: &str) -> Result<()> {
        let url = format!("{}/profile", invitation_url.trim_end_matches('/'));
        let answer = self.http.send(&Request::get(url)).await?.accepted("enrolment profile")?;
        if !answer.header("content-type").starts_with("application/x-apple-aspen-config") {
            let detail = format!("Content-Type {:?}", answer.header("content-type"));
            return Err(Error::malformed("enrolment profile", detail));
        }
        self.profile = Some(EnrolmentProfile::read(&answer.body)?);
        self.unpushed = answer.header("lanyard-push") == "none";
        Ok(())
    }

    /// Gets a certificate as the profile says, and shows it from now on. The key is made once: asking again repeats the request.
    pub async fn obtain_identity(&mut self) -> Result<()> {
        let scep = self.the_profile()?.scep.clone();
        if self.key.is_none() {
            self.key = Some(self.world.keys.rsa(scep.bits).await?);
        }
        let identity = self.certify(&scep).await?;
        self.http.set_identity(Some(&identity))?;
        self.identity = Some(identity);
        Ok(())
    }

    async fn certify(&mut self, scep: &super::Scep) -> Result<Identity> {
        let key = self.key.as_ref().ok_or(Error::Gone("no key"))?;
        let subject: Vec<(&str, &str)> = scep.subject.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let manner = Manner { ber: self.facts.kind == Kind::Mac, ..Manner::default() };
        let challenge = scep.challenge.as_deref();
        let order = Order { url: &scep.url, subject: &subject, challenge, key, renewing: None, manner };
        scep::enrol(&mut self.http, &order).await
    }

    /// The first check-in: who I am. Taken, it is not enrolled yet.
    pub async fn authenticate(&mut self) -> Result<()> {
        let f = &self.facts;
        let mut body = self.message("Authenticate")?;
        for (key, value) in [
            ("BuildVersion", &f.build),
            ("DeviceName", &f.name),
            ("Model", &f.model),
            ("ModelName", &f.model_name),
            ("OSVersion", &f.os_version),
            ("ProductName", &f.product),
            ("SerialNumber", &f.serial),
        ] {
            body.insert(key.into(), Value::String(value.clone()));
        }
        if let Some(imei) = &f.imei {
            body.insert("IMEI".into(), Value::String(imei.clone()));
        }
        self.check_in(body).await?.accepted("Authenticate")?;
        self.authenticated = true;
        Ok(())
    }

    /// The second check-in, and any later one: how to wake me. The first that is taken completes the enrolment.
    pub async fn token_update(&mut self) -> Result<()> {
        let mut body = self.message("TokenUpdate")?;
        body.insert("Token".into(), Value::Data(self.push.token.clone()));
        body.insert("PushMagic".into(), Value::String(self.push.magic.clone()));
        if let Some(token) = &self.push.unlock_token {
            body.insert("UnlockToken".into(), Value::Data(token.clone()));
        }
        body.insert("AwaitingConfiguration".into(), Value::Boolean(false));
        self.check_in(body).await?.accepted("TokenUpdate")?;
        if self.state == State::New {
            self.state = State::Enrolled;
        }
        Ok(())
    }

    /// A new push token, as after a restore of the push service; the server hears of it at once.
    pub async fn change_token(&mut self) -> Result<()> {
        self.push.token = crate::keys::random::<32>()?.to_vec();
        self.token_update().await
    }

    /// The user removes the enrolment profile: one CheckOut, heard or not, and it is gone.
    pub async fn remove_enrolment(&mut self) -> Result<()> {
        let result = self.check_out().await;
        self.unenrol();
        result
    }

    pub(super) async fn check_out(&mut self) -> Result<()> {
        if self.conduct.no_checkout || !self.the_profile()?.check_out {
            return Ok(());
        }
        let body = self.message("CheckOut")?;
        self.check_in(body).await?.accepted("CheckOut").map(|_| ())
    }

    /// An InstallProfile of the enrolment profile: new key, new certificate, Authenticate and TokenUpdate under it. If any step fails,
    /// the old identity works on.
    pub(super) async fn renew(&mut self, bytes: &[u8]) -> Result<()> {
        let renewed = EnrolmentProfile::read(bytes)?;
        renewed.may_replace(self.the_profile()?)?;
        let before = (self.profile.replace(renewed), self.key.take(), self.identity.take());
        let result = self.take_on_new_identity().await;
        if result.is_err() {
            (self.profile, self.key, self.identity) = before;
            let old = self.identity.clone();
            self.http.set_identity(old.as_ref())?;
        }
        result
    }

    async fn take_on_new_identity(&mut self) -> Result<()> {
        self.obtain_identity().await?;
        self.authenticate().await?;
        self.token_update().await
    }

    fn message(&self, kind: &str) -> Result<Dictionary> {
        let mut body = Dictionary::new();
        body.insert("MessageType".into(), Value::String(kind.into()));
        body.insert("Topic".into(), Value::String(self.the_profile()?.topic.clone()));
        body.insert("UDID".into(), Value::String(self.facts.udid.clone()));
        Ok(body)
    }

    async fn check_in(&mut self, body: Dictionary) -> Result<Response> {
        let url = self.the_profile()?.check_in_url.clone();
        self.put(&url, "application/x-apple-aspen-mdm-checkin; charset=UTF-8", body, Reading::Read).await
    }

    /// PUTs a plist, signed in a header where the profile asks for it. Any status is an answer.
    pub(super) async fn put(&mut self, url: &str, kind: &str, body: Dictionary, reading: Reading) -> Result<Response> {
        let mut bytes = Vec::new();
        Value::Dictionary(body).to_writer_xml(&mut bytes)?;
        let mut request = Request::with_body(Method::PUT, url, kind, Bytes::new());
        if self.the_profile()?.sign_message {
            request = request.header("Mdm-Signature", self.signature(&bytes)?);
        }
        request.body = bytes.into();
        let agent = if self.facts.kind == Kind::Mac { "MDM-OSX/1.0 mdmclient/1560" } else { "MDM/1.0" };
        self.http.send_and(&request.header("User-Agent", agent), reading).await
    }

    /// Detached CMS over the raw body, base64.
    fn signature(&self, body: &[u8]) -> Result<String> {
        let identity = self.identity.as_ref().ok_or(Error::Gone("no identity"))?;
        let (certificate, key) = (identity.certificate()?, identity.private_key()?);
        let flags = CMSOptions::DETACHED | CMSOptions::BINARY;
        let cms = CmsContentInfo::sign(Some(&certificate), Some(&key), None, Some(body), flags)?;
        Ok(STANDARD.encode(cms.to_der()?))
    }
}
