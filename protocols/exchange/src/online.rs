//! Exchange Online's cmdlets over HTTPS: a token for the application's certificate, then `InvokeCommand`. The form is that of the
//! ExchangeOnlineManagement module, which no specification promises; the token is RFC 7523 with the certificate credential of Microsoft Entra.

use crate::cmdlet::{Cmdlet, Failure, Row};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

/// What a token is asked for.
const SCOPE: &str = "https://outlook.office365.com/.default";
const ASSERTION: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// An assertion is good for so long; Entra takes ten minutes at most.
const GOOD: Duration = Duration::minutes(5);
/// Clocks may be apart.
const BEFORE: Duration = Duration::minutes(2);
/// The mailbox that requests of an application are routed by.
const ANCHOR: &str = "APP:SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}@";
/// Rows in a page.
const PAGE: u32 = 1000;
/// Characters of an error that are kept.
const WORDS: usize = 1000;

/// An application of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// The tenant's id.
    pub tenant: Uuid,
    /// The application's id.
    pub id: Uuid,
    /// `https://login.microsoftonline.com`, or another cloud's; without a slash at the end.
    pub login: String,
    /// `https://outlook.office365.com`, likewise.
    pub exchange: String,
}

/// A request to be sent by POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The whole address.
    pub url: String,
    /// Besides Host and Content-Length.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// An assertion that is to be signed: PS256 (RSASSA-PSS with SHA-256, a salt of 32 bytes) over [`Unsigned::text`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    /// What is signed.
    pub text: String,
}

impl Application {
    /// Where tokens come from.
    pub fn token_url(&self) -> String {
        format!("{}/{}/oauth2/v2.0/token", self.login, self.tenant)
    }

    /// An assertion by the certificate whose DER has this SHA-256. `once`: an id that was never used.
    pub fn assertion(&self, sha256: &[u8; 32], once: Uuid, now: OffsetDateTime) -> Unsigned {
        let part = |value: Json| URL_SAFE_NO_PAD.encode(value.to_string());
        let head = json!({ "alg": "PS256", "typ": "JWT", "x5t#S256": URL_SAFE_NO_PAD.encode(sha256) });
        let claims = json!({
            "aud": self.token_url(), "iss": self.id, "sub": self.id, "jti": once,
            "nbf": (now - BEFORE).unix_timestamp(), "exp": (now + GOOD).unix_timestamp(),
        });
        Unsigned { text: format!("{}.{}", part(head), part(claims)) }
    }

    /// The request for a token.
    pub fn token_request(&self, assertion: &Unsigned, signature: &[u8]) -> Request {
        let signed = format!("{}.{}", assertion.text, URL_SAFE_NO_PAD.encode(signature));
        let fields = [
            ("grant_type", "client_credentials"),
            ("client_id", &self.id.to_string()),
            ("scope", SCOPE),
            ("client_assertion_type", ASSERTION),
            ("client_assertion", &signed),
        ];
        let body: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
        let headers = vec![("content-type", "application/x-www-form-urlencoded".into()), ("accept", JSON.into())];
        Request { url: self.token_url(), headers, body: body.join("&").into_bytes() }
    }

    /// A call of a cmdlet; `page`: the address of its next page. `None` where that leads elsewhere: the token must not go there.
    pub fn invoke(&self, cmdlet: &Cmdlet, page: Option<&str>, token: &str, once: Uuid) -> Option<Request> {
        let base = format!("{}/adminapi/beta/{}/InvokeCommand", self.exchange, self.tenant);
        let url = match page {
            Some(page) => page.starts_with(&format!("{base}?")).then(|| page.to_string())?,
            None if cmdlet.select.is_empty() => base,
            None => format!("{base}?$select={}", cmdlet.select.join(",")),
        };
        let body = json!({ "CmdletInput": { "CmdletName": cmdlet.name, "Parameters": cmdlet.json(edit) } });
        let headers = vec![
            ("authorization", format!("Bearer {token}")),
            ("content-type", JSON.into()),
            ("accept", JSON.into()),
            ("x-anchormailbox", format!("{ANCHOR}{}", self.tenant)),
            ("x-cmdletname", cmdlet.name.into()),
            ("x-responseformat", "json".into()),
            ("prefer", format!("odata.maxpagesize={PAGE}")),
            ("client-request-id", once.to_string()),
        ];
        Some(Request { url, headers, body: body.to_string().into_bytes() })
    }
}

const JSON: &str = "application/json";

fn edit(add: &[String], remove: &[String]) -> Json {
    let mut table = Map::from_iter([("@odata.type".to_string(), json!("#Exchange.GenericHashTable"))]);
    for (name, ids) in [("add", add), ("remove", remove)] {
        match ids {
            [] => {}
            [one] => drop(table.insert(name.into(), json!(one))),
            several => drop(table.insert(name.into(), json!(several))),
        }
    }
    Json::Object(table)
}

/// As `application/x-www-form-urlencoded` has it.
fn escaped(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// An answer, as far as it counts.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// `X-ExceptionType`.
    pub exception: Option<&'a str>,
    /// The body.
    pub body: &'a [u8],
}

/// A token.
pub struct Token {
    /// What goes into `Authorization`.
    pub secret: String,
    /// For how long it is good.
    pub life: Duration,
}

/// The token of an answer.
pub fn token(answer: Answer<'_>) -> Result<Token, Failure> {
    #[derive(Deserialize)]
    struct Given {
        access_token: String,
        expires_in: u32,
    }
    #[derive(Deserialize)]
    struct Refused {
        #[serde(default)]
        error_description: String,
    }
    match answer.status {
        200 => match serde_json::from_slice::<Given>(answer.body) {
            Ok(given) if is_token(&given.access_token) => {
                Ok(Token { secret: given.access_token, life: Duration::seconds(i64::from(given.expires_in)) })
            }
            _ => Err(Failure::Unread("no token in the answer".into())),
        },
        408 | 429 | 500.. => Err(busy(answer, format!("the login answers {}", answer.status))),
        status => {
            let said = serde_json::from_slice::<Refused>(answer.body).map(|refused| refused.error_description);
            let said = said.ok().filter(|said| !said.is_empty()).unwrap_or_else(|| format!("it answers {status}"));
            // The rest of it are ids and times of theirs.
            Err(Failure::Login(short(said.lines().next().unwrap_or_default())))
        }
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// One page of rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// The objects.
    pub rows: Vec<Row>,
    /// Where the next page is.
    pub next: Option<String>,
    /// What Exchange remarked.
    pub warnings: Vec<String>,
}

/// What a cmdlet brought.
pub fn rows(answer: Answer<'_>) -> Result<Rows, Failure> {
    #[derive(Deserialize)]
    struct Page {
        #[serde(default)]
        value: Vec<Json>,
        #[serde(rename = "@odata.nextLink")]
        next: Option<String>,
        #[serde(default, rename = "@adminapi.warnings")]
        warnings: Vec<String>,
    }
    if !matches!(answer.status, 200 | 201 | 204) {
        return Err(failure(answer));
    }
    if answer.body.is_empty() {
        return Ok(Rows::default());
    }
    let page: Page = serde_json::from_slice(answer.body).map_err(|error| Failure::Unread(error.to_string()))?;
    let row = |value| match value {
        Json::Object(row) => Ok(row),
        _ => Err(Failure::Unread("a row that is no object".into())),
    };
    let rows = page.value.into_iter().map(row).collect::<Result<_, _>>()?;
    Ok(Rows { rows, next: page.next, warnings: page.warnings })
}

fn failure(answer: Answer<'_>) -> Failure {
    let said = words(answer.body);
    let kind = format!("{} {said}", answer.exception.unwrap_or_default());
    let has = |word: &str| kind.contains(word);
    match answer.status {
        401 => Failure::Login("the token is not taken".into()),
        _ if has("maximum number of concurrent") => busy(answer, said),
        408 | 429 | 503 | 504 => {
            busy(answer, if said.is_empty() { format!("it answers {}", answer.status) } else { said })
        }
        _ if has("ManagementObjectNotFoundException") || has("couldn't be found on") => Failure::NotFound(said),
        // Exchange says nothing of it, or zeros.
        403 => Failure::Forbidden(if said.is_empty() { "it answers 403".into() } else { said }),
        _ if has("CmdletAccessDeniedException") || has("is not recognized as the name of a cmdlet") => {
            Failure::Forbidden(said)
        }
        // A gateway's: Exchange says what it does not find.
        404 if said.is_empty() => busy(answer, "it answers 404".into()),
        500.. => Failure::Unread(format!("it answers {}: {said}", answer.status)),
        status => Failure::Refused(if said.is_empty() { format!("it answers {status}") } else { said }),
    }
}

/// Where an error says what it is: the outer message is often "Invalid Operation" alone.
fn words(body: &[u8]) -> String {
    let Ok(document) = serde_json::from_slice::<Json>(body) else { return String::new() };
    let error = document.get("error");
    let detail = error.and_then(|error| error.pointer("/details/0/message"));
    let inner = error.and_then(|error| error.pointer("/innererror/internalException/message"));
    let outer = error.and_then(|error| error.get("message"));
    let said = [detail, inner, outer].into_iter().flatten().filter_map(Json::as_str).find(|text| !text.is_empty());
    short(said.unwrap_or_default())
}

fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(WORDS).collect()
}

fn busy(answer: Answer<'_>, text: String) -> Failure {
    Failure::Busy { text, after: answer.retry_after }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmdlets::{self, Lists};
    use crate::partnership::Key;
    use time::macros::datetime;

    fn application() -> Application {
        Application {
            tenant: Uuid::from_u128(1),
            id: Uuid::from_u128(2),
            login: "https://login.example".into(),
            exchange: "https://exchange.example".into(),
        }
    }

    fn said(status: u16, body: &[u8]) -> Answer<'_> {
        Answer { status, retry_after: None, exception: None, body }
    }

    #[test]
    fn an_assertion_names_the_certificate_and_lives_for_minutes() {
        let now = datetime!(2026-12-01 12:00 UTC);
        let unsigned = application().assertion(&[7; 32], Uuid::from_u128(3), now);
        let parts: Vec<Json> = unsigned
            .text
            .split('.')
            .map(|part| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap())
            .collect();
        assert_eq!(parts[0]["x5t#S256"], URL_SAFE_NO_PAD.encode([7; 32]));
        assert_eq!(
            (&parts[1]["iss"], &parts[1]["aud"]),
            (&json!(Uuid::from_u128(2)), &json!(application().token_url()))
        );
        let exp = parts[1]["exp"].as_i64().unwrap() - now.unix_timestamp();
        assert!((60..=600).contains(&exp), "{exp}");
        let request = application().token_request(&unsigned, &[1, 2]);
        let body = String::from_utf8(request.body).unwrap();
        assert!(body.contains("scope=https%3A%2F%2Foutlook.office365.com%2F.default&"), "{body}");
        assert!(body.ends_with(&format!("client_assertion={}.AQI", unsigned.text)), "{body}");
    }

    #[test]
    fn a_cmdlet_goes_as_json_with_its_list_edits() {
        let key = Key { guid: Uuid::from_u128(5), device_id: "Appl".into(), mailbox: Uuid::from_u128(6) };
        let request = application().invoke(&cmdlets::set_lists(&key, Lists::Block), None, "t", Uuid::nil()).unwrap();
        let body: Json = serde_json::from_slice(&request.body).unwrap();
        let given = &body["CmdletInput"]["Parameters"];
        assert_eq!(given["Identity"], key.mailbox.to_string());
        let edit = |change: &str| json!({ "@odata.type": "#Exchange.GenericHashTable", change: "Appl" });
        assert_eq!(given["ActiveSyncAllowedDeviceIDs"], edit("remove"));
        assert_eq!(given["ActiveSyncBlockedDeviceIDs"], edit("add"));
        assert!(request.headers.contains(&("x-cmdletname", "Set-CASMailbox".into())));
        let read = application().invoke(&cmdlets::device(key.guid), None, "t", Uuid::nil()).unwrap();
        assert!(read.url.contains("InvokeCommand?$select=Guid,DistinguishedName,"), "{}", read.url);
    }

    #[test]
    fn a_page_is_fetched_from_the_same_place_or_not_at_all() {
        let all = cmdlets::devices();
        let base = "https://exchange.example/adminapi/beta/00000000-0000-0000-0000-000000000001/InvokeCommand";
        for (page, taken) in [
            (format!("{base}?$skiptoken=9"), true),
            ("https://elsewhere.example/adminapi/beta/x/InvokeCommand?$skiptoken=9".into(), false),
            (format!("{}.elsewhere.example/?", application().exchange), false),
            ("http://exchange.example/adminapi/beta/".into(), false),
        ] {
            let request = application().invoke(&all, Some(&page), "t", Uuid::nil());
            assert_eq!(request.map(|request| request.url), taken.then_some(page));
        }
    }

    #[test]
    fn tokens_are_read_or_the_refusal_said() {
        let given = br#"{"token_type":"Bearer","expires_in":3599,"access_token":"ey.J.x"}"#;
        let token = super::token(said(200, given)).ok().unwrap();
        assert_eq!((token.secret.as_str(), token.life), ("ey.J.x", Duration::seconds(3599)));
        for (status, body, want) in [
            (200, &br#"{"expires_in":1,"access_token":"a\nb"}"#[..], Failure::Unread("no token in the answer".into())),
            (
                401,
                &br#"{"error":"invalid_client","error_description":"AADSTS700027: wrong\r\nTrace ID: 7"}"#[..],
                Failure::Login("AADSTS700027: wrong".into()),
            ),
            (400, &b"<html>"[..], Failure::Login("it answers 400".into())),
            (503, &b""[..], Failure::Busy { text: "the login answers 503".into(), after: None }),
        ] {
            assert_eq!(super::token(said(status, body)).err(), Some(want));
        }
    }

    #[test]
    fn rows_are_read_page_by_page() {
        let body = br#"{"value":[{"Guid":"x"}],"@odata.nextLink":"https://e/n","@adminapi.warnings":["w"]}"#;
        let page = rows(said(200, body)).unwrap();
        assert_eq!((page.rows.len(), page.next.as_deref(), page.warnings.len()), (1, Some("https://e/n"), 1));
        assert_eq!(rows(said(200, b"")).unwrap(), Rows::default());
        assert!(matches!(rows(said(200, br#"{"value":[7]}"#)), Err(Failure::Unread(_))));
        assert!(matches!(rows(said(200, b"{")), Err(Failure::Unread(_))));
    }

    #[test]
    fn errors_are_told_apart_by_what_may_be_done_about_them() {
        let details = br#"{"error":{"code":"BadRequest","message":"Invalid Operation","details":[{"message":"|Microsoft.X.ManagementObjectNotFoundException|no object 'a'"}]}}"#;
        let inner = br#"{"error":{"message":"Error","innererror":{"internalException":{"message":"cannot"}}}}"#;
        let crowd = br#"{"error":{"message":"You have reached the maximum number of concurrent requests"}}"#;
        for (what, status, body, want) in [
            ("not there", 400, &details[..], "NotFound"),
            ("refused", 400, &inner[..], "Refused"),
            ("too many", 400, &crowd[..], "Busy"),
            ("throttled", 429, &b""[..], "Busy"),
            ("a wrong address", 404, &b"<html>"[..], "Busy"),
            ("away", 503, &b""[..], "Busy"),
            ("forbidden without a word", 403, &b""[..], "Forbidden"),
            ("forbidden in zeros", 403, &b"\0\0\0"[..], "Forbidden"),
            ("an old token", 401, &b""[..], "Login"),
            ("broken", 500, &b""[..], "Unread"),
            ("some other", 418, &b""[..], "Refused"),
        ] {
            let failure = rows(said(status, body)).unwrap_err();
            assert!(format!("{failure:?}").starts_with(want), "{what}: {failure:?}");
        }
        let later = Answer { retry_after: Some(9), ..said(429, b"") };
        assert!(matches!(rows(later), Err(Failure::Busy { after: Some(9), .. })));
        let typed = Answer { exception: Some("ManagementObjectNotFoundException"), ..said(404, b"") };
        assert!(matches!(rows(typed), Err(Failure::NotFound(_))));
    }
}
