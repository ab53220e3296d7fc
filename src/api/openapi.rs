//! `/api/openapi.json`, made from the table of routes and the types that they take and answer.

use super::{problem::Problem, route::Route};
use axum::http::Method;
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

/// OpenAPI 3.1.
pub(super) fn document(routes: &[Route]) -> Value {
    let settings = SchemaSettings::draft2020_12().with(|s| s.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let problem = Problem::json_schema(&mut generator);
    let mut paths = Map::new();
    for route in routes {
        let path = paths.entry(route.path).or_insert_with(|| Value::Object(Map::new()));
        if let Some(path) = path.as_object_mut() {
            path.insert(route.method.as_str().to_lowercase(), operation(route, &mut generator));
        }
    }
    let mut schemas: Map<String, Value> = generator.take_definitions(true);
    schemas.insert("Problem".into(), problem.to_value());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Lanyard admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Every answer carries Lanyard-Waiting: how many approvals wait that the asker has not looked at; and Lanyard-Worst, where something is wrong that somebody must act on (percent-encoded; /api/v1/status says all).",
        },
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    })
}

fn operation(route: &Route, generator: &mut SchemaGenerator) -> Value {
    let problem = json!({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}});
    let answer = json!({"application/json": {"schema": (route.answer)(generator)}});
    let mut operation = json!({
        "operationId": id(route),
        "summary": route.summary,
        "parameters": parameters(route),
        "responses": {
            route.status.as_str(): {"description": "Done", "content": answer},
            "default": {"description": "Refused", "content": problem},
        },
    });
    if let (Some(schema), Some(fields)) = ((route.body)(generator), operation.as_object_mut()) {
        let body = json!({"required": true, "content": {"application/json": {"schema": schema}}});
        fields.insert("requestBody".into(), body);
    }
    operation
}

/// `post devices/{id}/clear-passcode` is `post_devices_id_clear_passcode`.
fn id(route: &Route) -> String {
    let path = route.path.trim_start_matches("/api/v1/").replace(['/', '-'], "_").replace(['{', '}'], "");
    format!("{}_{path}", route.method.as_str().to_lowercase())
}

fn parameters(route: &Route) -> Vec<Value> {
    let named = |place: &str, name: &str, what: &str, schema: Value| json!({"name": name, "in": place, "required": place == "path", "description": what, "schema": schema});
    let text = || json!({"type": "string"});
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut found: Vec<Value> = in_path.map(|part| named("path", part, "", text())).collect();
    found.extend(route.query.iter().map(|(name, what)| named("query", name, what, text())));
    if route.pages {
        found.push(named("query", "after", "where the page before ended: its `next`", text()));
        let range = json!({"type": "integer", "minimum": 1, "maximum": 1000, "default": 100});
        found.push(named("query", "limit", "items in the page", range));
    }
    if route.method == Method::POST {
        found.push(named(
            "header",
            "Idempotency-Key",
            "repeated under it, the call answers what it answered first",
            text(),
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    /// A change of the API shows as a change of this file; `cargo xtask test --bless` rewrites it.
    #[test]
    fn the_document_is_as_committed() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/api/openapi.json");
        let document = serde_json::to_string_pretty(&super::document(&crate::api::routes())).unwrap() + "\n";
        if std::env::var_os("LANYARD_BLESS").is_some() {
            std::fs::write(path, &document).unwrap();
        }
        assert!(std::fs::read_to_string(path).unwrap_or_default() == document, "{path} is not what the code says");
    }
}
