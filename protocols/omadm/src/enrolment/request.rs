//! What a device asks: the envelope, who asks, and which of the three requests it is. [MS-MDE2] 3.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Discover, SecurityTokenRequest};
use crate::Error;
use crate::xml::{self, Element, Limits};

/// Longest MessageID that is repeated, in bytes.
const MAX_MESSAGE_ID: usize = 256;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Goes back as RelatesTo.
    pub message_id: String,
    /// Who asks, where the request says so; Discover does not.
    pub credentials: Option<Credentials>,
    /// What is asked.
    pub body: Body,
}

/// The three requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// Where and how to enrol.
    Discover(Discover),
    /// What the certificate request should look like.
    GetPolicies,
    /// A certificate and the settings, or a new certificate.
    RequestSecurityToken(Box<SecurityTokenRequest>),
}

/// Who asks. Never shown by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// On premises: user name and password (empty on renewal).
    Password {
        /// As typed, white space around it removed.
        user: String,
        /// As sent.
        password: String,
    },
    /// Federated: what our sign-on page, or Entra, handed out.
    Token {
        /// Which of the two.
        value_type: String,
        /// Decoded from base64.
        token: Vec<u8>,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::Password { user, .. } => {
                f.debug_struct("Password").field("user", user).finish_non_exhaustive()
            }
            Credentials::Token { value_type, .. } => {
                f.debug_struct("Token").field("value_type", value_type).finish_non_exhaustive()
            }
        }
    }
}

impl Request {
    /// Reads a request within [`Limits::SOAP`]. Prefixes, namespaces and white space do not matter.
    pub fn parse(bytes: &[u8]) -> Result<Request, Error> {
        let root = xml::parse(bytes, &Limits::SOAP)?;
        if root.name != "Envelope" {
            return Err(Error::unexpected("request", &root.name));
        }
        let header = need(&root, "Envelope", "Header")?;
        let body = need(&root, "Envelope", "Body")?;
        let [content] = body.children.as_slice() else {
            return Err(Error::Missing { within: "Body", element: "exactly one request" });
        };
        Ok(Request {
            message_id: header_id(header).ok_or(Error::Missing { within: "Header", element: "MessageID" })?.to_owned(),
            credentials: header.child("Security").map(credentials).transpose()?.flatten(),
            body: match content.name.as_ref() {
                "Discover" => Body::Discover(Discover::from_tree(content)?),
                "GetPolicies" => Body::GetPolicies,
                "RequestSecurityToken" => {
                    Body::RequestSecurityToken(Box::new(SecurityTokenRequest::from_tree(content)?))
                }
                other => return Err(Error::unexpected("Body", other)),
            },
        })
    }
}

/// The MessageID of a request that [`Request::parse`] refused, for the fault that answers it.
pub fn message_id(bytes: &[u8]) -> Option<String> {
    let root = xml::parse(bytes, &Limits::SOAP).ok()?;
    header_id(root.child("Header")?).map(str::to_owned)
}

fn header_id<'t>(header: &'t Element<'_>) -> Option<&'t str> {
    header.child_text("MessageID").filter(|id| id.len() <= MAX_MESSAGE_ID)
}

/// A Security header without either kind says nothing of who asks.
fn credentials(security: &Element<'_>) -> Result<Option<Credentials>, Error> {
    if let Some(token) = security.child("UsernameToken") {
        let user = token.child_text("Username").unwrap_or_default().to_owned();
        let password = token.child("Password").map(|password| password.text.to_string()).unwrap_or_default();
        return Ok(Some(Credentials::Password { user, password }));
    }
    let Some(token) = security.child("BinarySecurityToken") else { return Ok(None) };
    let value_type = token.attribute("ValueType").unwrap_or_default().to_owned();
    Ok(Some(Credentials::Token { value_type, token: base64_text(token, "BinarySecurityToken")? }))
}

/// Base64 as devices write it: with line breaks and blanks.
pub(super) fn base64_text(element: &Element<'_>, name: &'static str) -> Result<Vec<u8>, Error> {
    let text: Vec<u8> = element.text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(text).map_err(|_| Error::Value { element: name, reason: "not base64" })
}

pub(super) fn need<'t, 'a>(
    element: &'t Element<'a>,
    within: &'static str,
    name: &'static str,
) -> Result<&'t Element<'a>, Error> {
    element.child(name).ok_or(Error::Missing { within, element: name })
}
