//! An administrator's program: the admin API over HTTPS with a bearer token, by its published routes and fields alone.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::error::{Error, Result};
use crate::http::{Client, Request, Settings};
use crate::mail::percent;
use crate::world::World;

const WHAT: &str = "admin API";

/// One administrator. Clones share a connection.
#[derive(Clone)]
pub struct Admin {
    base: String,
    token: String,
    http: Arc<Mutex<Client>>,
}

/// A device as the API shows it.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Device {
    pub id: String,
    pub channel: Option<String>,
    pub platform: String,
    pub state: String,
    pub user: String,
    pub name: Option<String>,
    pub compliance: Option<String>,
    pub enrolments: Vec<Enrolment>,
}

/// One of a device's enrolments.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Enrolment {
    pub id: String,
    pub channel: String,
    pub state: String,
    pub identity: String,
}

/// A command.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Command {
    pub id: String,
    pub device: String,
    pub channel: String,
    pub action: String,
    pub scope: Option<String>,
    pub state: String,
    pub approval: Option<String>,
    pub created: String,
    pub finished: Option<String>,
    pub evidence: Vec<Evidence>,
    pub error: Option<Value>,
}

/// What proves a command done.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Evidence {
    pub channel: String,
    pub kind: String,
    pub detail: String,
}

/// An invitation, with its secrets.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Invitation {
    pub id: String,
    pub url: String,
    pub code: String,
    pub user: String,
}

/// How a policy stands on one device.
#[derive(Debug, Clone, Deserialize)]
#[allow(missing_docs)]
pub struct Coverage {
    pub device: String,
    pub state: String,
}

impl Command {
    /// Whether nothing more will come of it.
    pub fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "acknowledged" | "confirmed" | "presumed" | "failed" | "cancelled" | "expired")
    }
}

impl Admin {
    /// At this address, under a certificate of this CA for `localhost`.
    pub fn new(ca_pem: &[u8], addr: SocketAddr, token: &str) -> Result<Admin> {
        let base = format!("https://localhost:{}", addr.port());
        let world = World::new(ca_pem, addr, &base, &base)?;
        let http = Client::new(&world, None, Settings::default())?;
        Ok(Admin { base, token: token.to_owned(), http: Arc::new(Mutex::new(http)) })
    }

    /// `local` of a running server, by its data folder.
    pub fn of_server(data: &Path) -> Result<Admin> {
        let read = |name: &'static str| std::fs::read_to_string(data.join(name)).map_err(Error::io(name));
        let json: Value =
            serde_json::from_str(&read("server.json")?).map_err(|e| Error::malformed("server.json", e))?;
        let addr = json.get("admin").and_then(Value::as_str).and_then(|a| a.parse().ok());
        let addr = addr.ok_or_else(|| Error::malformed("server.json", "no admin"))?;
        Admin::new(read("ca.pem")?.as_bytes(), addr, read("local.token")?.trim())
    }

    /// The same program with another person's token.
    pub fn with_token(&self, token: &str) -> Admin {
        Admin { token: token.to_owned(), ..self.clone() }
    }

    /// One call. `path` comes after `/api/v1/`. A refusal is [`Error::Refused`] with the problem's code. A call that a broken
    /// connection cut short is repeated once under its key, so that it acts once.
    pub async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Option<&Value>) -> Result<T> {
        let request = self.request(method, path, body);
        let mut http = self.http.lock().await;
        let answer = match http.send(&request).await {
            Err(e) if e.is_transport() => http.send(&request).await?,
            other => other?,
        };
        drop(http);
        if !(200..300).contains(&answer.status) {
            let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let text = |key: &str| problem.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            return Err(match text("code") {
                code if code.is_empty() => answer.accepted(WHAT).err().unwrap_or(Error::Late(WHAT)),
                code => Error::Refused { what: WHAT, code, text: text("detail") },
            });
        }
        serde_json::from_slice(&answer.body).map_err(|e| Error::malformed(WHAT, format!("{path}: {e}")))
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Request {
        let mut request = Request::get(format!("{}/api/v1/{path}", self.base));
        if method == Method::POST {
            request = request.header("Idempotency-Key", uuid::Uuid::new_v4().to_string());
        }
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json");
            request.body = body.to_string().into();
        }
        request.method = method;
        request.header("Authorization", format!("Bearer {}", self.token))
    }

    /// GET.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        self.call(Method::GET, path, None).await
    }

    /// POST.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: Value) -> Result<T> {
        self.call(Method::POST, path, Some(&body)).await
    }

    /// PUT.
    pub async fn put<T: DeserializeOwned>(&self, path: &str, body: Value) -> Result<T> {
        self.call(Method::PUT, path, Some(&body)).await
    }

    /// A list, its pages joined. `path` has no query.
    pub async fn list<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>> {
        #[derive(Deserialize)]
        struct Page<T> {
            items: Vec<T>,
            next: Option<String>,
        }
        let (mut items, mut after) = (Vec::new(), String::new());
        loop {
            let page: Page<T> = self.get(&format!("{path}?limit=500{after}")).await?;
            items.extend(page.items);
            match page.next {
                Some(next) => after = format!("&after={}", percent(&next)),
                None => return Ok(items),
            }
        }
    }

    /// Invites a user to enrol a device of a channel: apple, windows or activesync.
    pub async fn invite(&self, channel: &str, user: &str) -> Result<Invitation> {
        self.post("invitations", json!({"channel": channel, "user": user})).await
    }

    /// All devices.
    pub async fn devices(&self) -> Result<Vec<Device>> {
        self.list("devices").await
    }

    /// One device, by its id or a name that fits it alone.
    pub async fn device(&self, name: &str) -> Result<Device> {
        self.get(&format!("devices/{}", percent(name))).await
    }

    /// allow, block, quarantine …: an act on a device without a body.
    pub async fn act(&self, device: &str, act: &str) -> Result<Value> {
        self.post(&format!("devices/{}/{act}", percent(device)), json!({})).await
    }

    /// Asks for a wipe; `delay` is its undo window, such as `10m`.
    pub async fn wipe(&self, device: &str, scope: &str, reason: &str, delay: Option<&str>) -> Result<Command> {
        let body = match delay {
            Some(delay) => json!({"scope": scope, "reason": reason, "delay": delay}),
            None => json!({"scope": scope, "reason": reason}),
        };
        self.post(&format!("devices/{}/wipe", percent(device)), body).await
    }

    /// A command as it stands.
    pub async fn command(&self, id: &str) -> Result<Command> {
        self.get(&format!("commands/{id}")).await
    }

    /// Carries out a policy file. Its name in the text must be `name`.
    pub async fn apply_policy(&self, name: &str, text: &str) -> Result<Value> {
        self.put(&format!("policies/{}?apply=true", percent(name)), json!({"text": text})).await
    }

    /// How a policy stands, device by device.
    pub async fn coverage(&self, policy: &str) -> Result<Vec<Coverage>> {
        self.list(&format!("policies/{}/coverage", percent(policy))).await
    }

    /// Sets a setting.
    pub async fn set(&self, key: &str, value: &str) -> Result<Value> {
        self.put(&format!("settings/{key}"), json!({"value": value})).await
    }

    /// Makes an administrator with a token, and is that person.
    pub async fn add_admin(&self, name: &str) -> Result<Admin> {
        self.post::<Value>("admins", json!({"name": name})).await?;
        let token: Value = self.post("tokens", json!({"admin": name})).await?;
        let secret = token.get("token").and_then(Value::as_str);
        Ok(self.with_token(secret.ok_or_else(|| Error::malformed(WHAT, "no token"))?))
    }
}
