//! One row of the table of routes: where, what for, what comes in and out, and who answers.

use super::{
    asked::Asked,
    call::{Call, Step, Work},
    problem::{self, Problem},
};
use crate::{
    documents::Empty,
    error::{Error, Result},
    server::Server,
    store::Tx,
};
use axum::{
    extract::{RawPathParams, Request, rejection::RawPathParamsRejection},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, on},
};
use bytes::Bytes;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::sync::Arc;

type Handle = dyn Fn(&[u8]) -> std::result::Result<Work, Problem> + Send + Sync;
/// The parts of the path in braces, unless they are no UTF-8.
type Path = std::result::Result<RawPathParams, RawPathParamsRejection>;
type Misfit = serde_path_to_error::Error<serde_json::Error>;
/// Bytes of a body that is taken apart on a thread of its own: the rest of the server goes on meanwhile.
const LARGE: usize = 16 * 1024;

/// See the module.
pub(super) struct Route {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    /// Parameters in the query, besides those of a page.
    pub(super) query: &'static [(&'static str, &'static str)],
    pub(super) pages: bool,
    pub(super) status: StatusCode,
    pub(super) body: fn(&mut SchemaGenerator) -> Option<Schema>,
    pub(super) answer: fn(&mut SchemaGenerator) -> Schema,
    handle: Option<Arc<Handle>>,
    looks: Looks,
}

/// What reads much does so beside the writer, so that nobody waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Looks {
    /// It reads little, or reads what it then writes.
    No,
    /// It reads and writes nothing.
    Only,
    /// It reads first; what it then does, if it does anything, is another store operation.
    First,
}

fn new<B, A>(
    method: Method,
    path: &'static str,
    summary: &'static str,
    handle: fn(&mut Tx<'_>, &Call, B) -> Result<A>,
) -> Route
where
    B: DeserializeOwned + JsonSchema + Send + 'static,
    A: Serialize + JsonSchema + 'static,
{
    let status = if method == Method::POST { StatusCode::CREATED } else { StatusCode::OK };
    let whole: Arc<Handle> = Arc::new(move |bytes| {
        let body: B = read(bytes)?;
        Ok(Box::new(move |tx, call| json(&handle(tx, call, body)?)))
    });
    Route { handle: Some(whole), ..described::<B, A>(method, path, summary, status) }
}

fn json<A: Serialize>(answer: &A) -> Result<Step> {
    serde_json::to_vec(answer).map(Step::Done).map_err(|e| Error::Internal(e.to_string()))
}

/// A change that is shown first, and made where the query says `apply=true`: `look` reads what it would do, beside the writer;
/// `act` does it, and is refused where that has changed meanwhile.
pub(super) fn previewed<B, A>(
    method: Method,
    path: &'static str,
    summary: &'static str,
    look: fn(&mut Tx<'_>, &Call, &B) -> Result<A>,
    act: fn(&mut Tx<'_>, &Call, B, A) -> Result<A>,
) -> Route
where
    B: DeserializeOwned + JsonSchema + Send + 'static,
    A: Serialize + JsonSchema + Send + 'static,
{
    let whole: Arc<Handle> = Arc::new(move |bytes| {
        let body: B = read(bytes)?;
        Ok(Box::new(move |tx, call| {
            let carry_out = carry_out(call)?;
            let shown = look(tx, call, &body)?;
            if !carry_out {
                return json(&shown);
            }
            Ok(Step::Act(Box::new(move |tx, call| json(&act(tx, call, body, shown)?))))
        }))
    });
    let query = &[("apply", "true carries the change out; else it is only shown")];
    let route = described::<B, A>(method, path, summary, StatusCode::OK).query(query);
    Route { handle: Some(whole), looks: Looks::First, ..route }
}

fn carry_out(call: &Call) -> Result<bool> {
    match call.query.get("apply").map(String::as_str) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Error::invalid("apply", "true or false is needed")),
    }
}

/// A row for the documentation alone: the handler stands in the router by itself.
pub(super) fn described<B, A>(method: Method, path: &'static str, summary: &'static str, status: StatusCode) -> Route
where
    B: DeserializeOwned + JsonSchema + 'static,
    A: Serialize + JsonSchema + 'static,
{
    Route {
        body: |generator| (B::schema_name() != Empty::schema_name()).then(|| generator.subschema_for::<B>()),
        answer: |generator| generator.subschema_for::<A>(),
        handle: None,
        looks: Looks::No,
        query: &[],
        pages: false,
        method,
        path,
        summary,
        status,
    }
}

/// Something to read.
pub(super) fn get<A: Serialize + JsonSchema + 'static>(
    path: &'static str,
    summary: &'static str,
    handle: fn(&mut Tx<'_>, &Call, Empty) -> Result<A>,
) -> Route {
    new(Method::GET, path, summary, handle)
}

/// Something to do.
pub(super) fn post<B, A>(
    path: &'static str,
    summary: &'static str,
    handle: fn(&mut Tx<'_>, &Call, B) -> Result<A>,
) -> Route
where
    B: DeserializeOwned + JsonSchema + Send + 'static,
    A: Serialize + JsonSchema + 'static,
{
    new(Method::POST, path, summary, handle)
}

/// Something to set.
pub(super) fn put<B, A>(
    path: &'static str,
    summary: &'static str,
    handle: fn(&mut Tx<'_>, &Call, B) -> Result<A>,
) -> Route
where
    B: DeserializeOwned + JsonSchema + Send + 'static,
    A: Serialize + JsonSchema + 'static,
{
    new(Method::PUT, path, summary, handle)
}

/// Something to set in part.
pub(super) fn patch<B, A>(
    path: &'static str,
    summary: &'static str,
    handle: fn(&mut Tx<'_>, &Call, B) -> Result<A>,
) -> Route
where
    B: DeserializeOwned + JsonSchema + Send + 'static,
    A: Serialize + JsonSchema + 'static,
{
    new(Method::PATCH, path, summary, handle)
}

/// Something to end.
pub(super) fn delete<A: Serialize + JsonSchema + 'static>(
    path: &'static str,
    summary: &'static str,
    handle: fn(&mut Tx<'_>, &Call, Empty) -> Result<A>,
) -> Route {
    new(Method::DELETE, path, summary, handle)
}

impl Route {
    /// The answer is a page of a list.
    pub(super) fn paged(mut self) -> Self {
        self.pages = true;
        self
    }

    /// It reads many records and writes none: it stands in nobody's way.
    pub(super) fn beside(mut self) -> Self {
        self.looks = Looks::Only;
        self
    }

    /// The query may hold these: name and meaning.
    pub(super) fn query(mut self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.query = query;
        self
    }

    /// The act answers with 200: it made nothing new.
    pub(super) fn ok(mut self) -> Self {
        self.status = StatusCode::OK;
        self
    }

    /// Whether it has a handler here; else it stands in the table for the documentation.
    pub(super) fn is_served(&self) -> bool {
        self.handle.is_some()
    }

    /// As axum takes it.
    pub(super) fn handler(self, server: &Arc<Server>) -> MethodRouter {
        let Ok(filter) = MethodFilter::try_from(self.method.clone()) else { return MethodRouter::new() };
        let (server, route) = (server.clone(), Arc::new(self));
        on(filter, move |path: Path, request: Request| answer(server.clone(), route.clone(), path, request))
    }
}

/// The body as what a handler takes. An absent one is an empty object. What takes its time in that is the body's to say: not for the
/// store's thread.
pub(super) fn read<B: DeserializeOwned>(bytes: &[u8]) -> std::result::Result<B, Problem> {
    let body = if bytes.is_empty() { Ok(Value::Object(serde_json::Map::new())) } else { serde_json::from_slice(bytes) };
    let body: Value = body.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, "json", e.to_string()))?;
    // serde would take a list as an object's fields in their order.
    if !body.is_object() {
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "an object is needed").field("body"));
    }
    serde_path_to_error::deserialize(body).map_err(|misfit| {
        let (field, text) = misfit_in(&misfit);
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", text).field(field)
    })
}

/// The field that does not fit, and what is wrong with it.
fn misfit_in(misfit: &Misfit) -> (String, String) {
    let (path, text) = (misfit.path().to_string(), misfit.inner().to_string());
    if path != "." {
        return (path.clone(), format!("{path}: {text}"));
    }
    // A field too many or too few has no path; serde names it between back quotes, as it does values elsewhere.
    let named = text.starts_with("unknown field") || text.starts_with("missing field");
    let field = text.split('`').nth(1).filter(|_| named).unwrap_or("body").to_string();
    (field, text)
}

async fn answer(server: Arc<Server>, route: Arc<Route>, path: Path, request: Request) -> Response {
    let Ok(path) = path else { return problem::path_is_no_text().into_response() };
    let path = path.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let asked = match Asked::read(&server, path, request).await {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let Some(handle) = route.handle.clone() else {
        return Problem::new(StatusCode::NOT_FOUND, "no_such_route", "there is nothing here").into_response();
    };
    let work = match prepare(handle, asked.body.clone()).await {
        Ok(work) => work,
        // What is wrong with a call is for those to know who may call.
        Err(problem) => return asked.admit().await.err().unwrap_or_else(|| problem.into_response()),
    };
    let status = route.status;
    match (route.looks, route.method == Method::GET) {
        (Looks::No, reads) => asked.run(!reads, move |tx, call| Ok((status, work(tx, call)?.done()?))).await,
        (Looks::Only, _) => asked.look(move |tx, call| Ok((status, work(tx, call)?.done()?))).await,
        (Looks::First, _) => asked.look_and_run(status, work).await,
    }
}

async fn prepare(handle: Arc<Handle>, body: Bytes) -> std::result::Result<Work, Problem> {
    if body.len() < LARGE {
        return handle(&body);
    }
    let prepared = tokio::task::spawn_blocking(move || handle(&body)).await;
    prepared.unwrap_or_else(|error| Err(Error::Internal(error.to_string()).into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Body {
        reason: String,
        scope: Option<crate::fleet::life::Scope>,
    }

    #[test]
    fn a_misfit_names_its_field_and_not_its_value() {
        for (body, field, part) in [
            (r#"{"reason": 5}"#, "reason", "reason: invalid type: integer `5`"),
            (r#"{"reason": "r", "scope": "half"}"#, "scope", "unknown variant `half`"),
            (r#"{"scope": "full"}"#, "reason", "missing field `reason`"),
            (r#"{"reason": "r", "pim": 1}"#, "pim", "unknown field `pim`"),
            (r#"{"reason": "r", "scope": null, "scope": 1}"#, "scope", "scope: "),
            ("5", "body", "invalid type: integer `5`"),
        ] {
            let value: Value = serde_json::from_str(body).unwrap();
            let misfit = serde_path_to_error::deserialize::<_, Body>(&value).err().unwrap();
            let (named, text) = misfit_in(&misfit);
            assert!(named == field && text.contains(part), "{body}: {named}: {text}");
        }
    }

    #[test]
    fn a_policy_is_taken_apart_before_the_store_is_asked() {
        let route = super::super::policies::routes().into_iter().find(|r| r.method == Method::PUT).unwrap();
        let prepare = route.handle.unwrap();
        let said = |body: &str| prepare(body.as_bytes()).err().map(|p| serde_json::to_value(p).unwrap());
        let deep = format!(r#"{{"text": "{}"}}"#, "[".repeat(100_000));
        for (row, body, status, field, part) in [
            ("no JSON", "{", 400, None, "EOF"),
            ("no object", "[]", 422, Some("body"), "an object is needed"),
            ("no text", "{}", 422, Some("text"), "missing field `text`"),
            ("no YAML", r#"{"text": "a: ["}"#, 422, Some("text"), "text: not a readable policy file: unclosed bracket"),
            ("a bomb", deep.as_str(), 422, Some("text"), "nested too deeply at line 1, column "),
            ("no policy", r#"{"text": "name: a"}"#, 422, Some("text"), "text: assign: missing"),
        ] {
            let problem = said(body).unwrap();
            assert_eq!(
                (problem["status"].as_u64(), problem["field"].as_str()),
                (Some(status), field),
                "{row}: {problem}"
            );
            assert!(problem["detail"].as_str().unwrap().contains(part), "{row}: {problem}");
        }
        assert!(said(r#"{"text": "name: a\nassign: all"}"#).is_none());
    }
}
