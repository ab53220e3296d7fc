//! The admin API over a kept connection, with the time that each call took.

use crate::server::Server;
use bytes::Bytes;
use http::Method;
use lanyard_sim::{
    World,
    http::{Client, Request, Settings},
};
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

pub(crate) struct Api {
    base: String,
    token: String,
    client: Mutex<Client>,
}

impl Api {
    pub(crate) fn of(server: &Server) -> Self {
        let read = |name: &str| std::fs::read_to_string(server.data.join(name)).unwrap();
        let told: Value = serde_json::from_str(&read("server.json")).unwrap();
        let address: std::net::SocketAddr = told["admin"].as_str().unwrap().parse().unwrap();
        let base = format!("https://localhost:{}", address.port());
        let world = World::new(read("ca.pem").as_bytes(), address, &base, &base).unwrap();
        let settings = Settings { timeout: Duration::from_secs(600), ..Settings::default() };
        let client = Mutex::new(Client::new(&world, None, settings).unwrap());
        Self { base, token: read("local.token").trim().into(), client }
    }

    /// One call. `path` comes after `/api/v1/`.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (Duration, Bytes) {
        // Without an Idempotency-Key: the answer that is kept for it is gone in a day, and shall not be weighed.
        let mut request = Request::get(format!("{}/api/v1/{path}", self.base));
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json");
            request.body = body.to_string().into();
        }
        request.method = method;
        let request = request.header("Authorization", format!("Bearer {}", self.token));
        let mut client = self.client.lock().await;
        let begun = Instant::now();
        let answer = client.send(&request).await.unwrap().accepted("admin API").unwrap();
        (begun.elapsed(), answer.body)
    }

    pub(crate) async fn get(&self, path: &str) -> (Duration, Bytes) {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (Duration, Bytes) {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> (Duration, Bytes) {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// All pages of a list, a thousand items each; what they say is looked at no further than for the next one.
    pub(crate) async fn whole(&self, path: &str) -> Vec<Bytes> {
        let (mut pages, mut after) = (Vec::new(), String::new());
        loop {
            let (_, page) = self.get(&format!("{path}?limit=1000{after}")).await;
            let next = next(&page);
            pages.push(page);
            match next {
                Some(next) => after = format!("&after={next}"),
                None => return pages,
            }
        }
    }
}

/// The cursor at a page's end, without reading the page.
fn next(page: &[u8]) -> Option<String> {
    let tail = String::from_utf8_lossy(&page[page.len().saturating_sub(200)..]).into_owned();
    let (_, rest) = tail.rsplit_once("\"next\":")?;
    Some(rest.trim().strip_prefix('"')?.split_once('"')?.0.to_owned())
}
