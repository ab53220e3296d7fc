//! Exchange Online: a token for the application's certificate, then cmdlets over HTTPS.

use crate::{
    clock,
    driver::{Answer, Calling, Driver, Page},
    http::{Client, HttpError},
};
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PSS_SHA256, RsaKeyPair},
};
use bytes::Bytes;
use http::{Response, header::RETRY_AFTER};
use lanyard_exchange::{
    calls::Kind,
    cmdlet::{Cmdlet, Failure},
    online::{self, Application, Request},
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use secrecy::{ExposeSecret as _, SecretString};
use std::{sync::Arc, time::Duration};
use time::OffsetDateTime;
use tokio::sync::Mutex;
use uuid::Uuid;

/// A cmdlet may take so long.
const LIMIT: Duration = Duration::from_secs(120);
/// A question is put so often where Exchange is busy, with so long between at most.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(3);
const LONGEST: Duration = Duration::from_secs(120);
/// A token is renewed so long before its end.
const BEFORE: time::Duration = time::Duration::seconds(120);

/// The application's certificate with its key.
pub struct Credential {
    sha256: [u8; 32],
    key: RsaKeyPair,
}

impl Credential {
    /// Reads both, in PEM. RSA alone: Entra takes no other.
    pub fn read(certificate: &[u8], key: &[u8]) -> Result<Self, String> {
        let certificate = CertificateDer::from_pem_slice(certificate).map_err(|e| format!("the certificate: {e}"))?;
        let wrong = |what: &dyn std::fmt::Display| {
            format!("the key: an RSA key in PEM, without a password, is needed ({what})")
        };
        let key = match PrivateKeyDer::from_pem_slice(key).map_err(|e| wrong(&e))? {
            PrivateKeyDer::Pkcs8(key) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).map_err(|e| wrong(&e))?,
            PrivateKeyDer::Pkcs1(key) => RsaKeyPair::from_der(key.secret_pkcs1_der()).map_err(|e| wrong(&e))?,
            _ => return Err(wrong(&"it is another kind")),
        };
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &certificate);
        let sha256 = digest.as_ref().try_into().map_err(|_| "the certificate has no digest".to_string())?;
        Ok(Self { sha256, key })
    }

    fn sign(&self, text: &str) -> Result<Vec<u8>, Failure> {
        let mut signature = vec![0; self.key.public_modulus_len()];
        let signed = self.key.sign(&RSA_PSS_SHA256, &SystemRandom::new(), text.as_bytes(), &mut signature);
        signed.map_err(|_| Failure::Login("the assertion could not be signed".into()))?;
        Ok(signature)
    }
}

/// See the module.
pub struct Online {
    application: Application,
    credential: Credential,
    client: Arc<Client>,
    token: Mutex<Option<(SecretString, OffsetDateTime)>>,
}

impl Online {
    /// Asks nothing yet.
    pub fn new(application: Application, credential: Credential, client: Arc<Client>) -> Self {
        Self { application, credential, client, token: Mutex::default() }
    }

    /// A token that is good for a while; `fresh`: not the one that was kept.
    pub async fn token(&self, fresh: bool) -> Result<SecretString, Failure> {
        let mut kept = self.token.lock().await;
        if let Some((token, end)) = kept.as_ref().filter(|_| !fresh)
            && *end > clock::now() + BEFORE
        {
            return Ok(token.clone());
        }
        let assertion = self.application.assertion(&self.credential.sha256, Uuid::new_v4(), clock::now());
        let signature = self.credential.sign(&assertion.text)?;
        let answer = self.send(self.application.token_request(&assertion, &signature)).await?;
        let asked = clock::now();
        let token = online::token(said(&answer))?;
        let secret = SecretString::from(token.secret);
        *kept = Some((secret.clone(), asked + token.life));
        Ok(secret)
    }

    async fn send(&self, request: Request) -> Result<Response<Bytes>, Failure> {
        let Request { url, headers, body } = request;
        let mut made = http::Request::post(url);
        for (name, value) in headers {
            made = made.header(name, value);
        }
        let request = made.body(Bytes::from(body)).map_err(|error| Failure::Refused(error.to_string()))?;
        self.client.send(request, LIMIT).await.map_err(broken)
    }

    async fn once(&self, cmdlet: &Cmdlet, page: Option<&Page>) -> Result<Answer, Failure> {
        for fresh in [false, true] {
            let token = self.token(fresh).await?;
            let once = Uuid::new_v4();
            let page = page.map(|page| page.0.as_str());
            let Some(request) = self.application.invoke(cmdlet, page, token.expose_secret(), once) else {
                return Err(Failure::Unread("the next page is said to be elsewhere".into()));
            };
            let answer = self.send(request).await?;
            if !cmdlet.writes() && answer.status() == 200 && answer.body().is_empty() {
                return Err(Failure::Unread("an answer without a word is not the same as no rows".into()));
            }
            // Of a write a gateway's word that it gave up says nothing: it may have been done.
            let lost = cmdlet.writes() && matches!(answer.status().as_u16(), 408 | 503 | 504);
            match online::rows(said(&answer)).map_err(|failure| if lost { unsaid(failure) } else { failure }) {
                // A token may end before its time. It was not done: nobody was let in.
                Err(Failure::Login(_)) if !fresh => {}
                Err(failure) => return Err(failure),
                Ok(page) => {
                    for warning in page.warnings {
                        tracing::debug!(cmdlet = cmdlet.name, warning, "Exchange remarks");
                    }
                    return Ok(Answer { rows: page.rows, next: page.next.map(Page) });
                }
            }
        }
        Err(Failure::Login("the token is not taken".into()))
    }

    async fn patiently(&self, cmdlet: &Cmdlet, page: Option<&Page>) -> Result<Answer, Failure> {
        let mut tried = 0;
        loop {
            tried += 1;
            let answer = self.once(cmdlet, page).await;
            let wait = match &answer {
                Err(Failure::Busy { after, .. }) => after.map(Duration::from_secs),
                Err(Failure::Unread(_)) => None,
                _ => return answer,
            };
            // What writes is asked about before it is written again, and not here.
            if cmdlet.writes() || tried >= TRIES {
                return answer;
            }
            tokio::time::sleep(wait.unwrap_or(PAUSE * tried).min(LONGEST)).await;
        }
    }
}

impl Driver for Online {
    fn call<'a>(&'a self, cmdlet: &'a Cmdlet, page: Option<&'a Page>) -> Calling<'a> {
        Box::pin(async move {
            if !cmdlet.is_allowed() {
                return Err(Failure::Refused(format!("{} is not on the list of what is called", cmdlet.name)));
            }
            self.patiently(cmdlet, page).await
        })
    }

    fn kind(&self) -> Kind {
        Kind::Online
    }
}

fn said(answer: &Response<Bytes>) -> online::Answer<'_> {
    let text = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
    let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    online::Answer {
        status: answer.status().as_u16(),
        retry_after,
        exception: text("x-exceptiontype"),
        body: answer.body(),
    }
}

fn unsaid(failure: Failure) -> Failure {
    match failure {
        Failure::Busy { text, .. } => Failure::Unread(text),
        failure => failure,
    }
}

/// What broke before anything was sent is another matter than what may have been done.
fn broken(error: HttpError) -> Failure {
    match error {
        HttpError::Cut(_) | HttpError::Timeout | HttpError::Body => Failure::Unread(error.to_string()),
        error => Failure::Busy { text: error.to_string(), after: None },
    }
}
