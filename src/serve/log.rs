//! The server's log: to stderr, as lines for people or as an object a line, and how much of it `LANYARD_LOG` asks for.

use super::Log;
use crate::{
    clock::{self, Timestamp},
    policy::nearest::nearest,
};
use serde_json::{Map, Value};
use std::fmt;
use tracing::{Event, Level, Subscriber, field::Field};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields,
        format::{FmtSpan, JsonFields, Writer},
    },
    registry::LookupSpan,
};

const VARIABLE: &str = "LANYARD_LOG";
/// As shipped.
const USUAL: &str = "info";
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// What stands at the top of each object; a field of one of these names goes by another.
const OURS: [&str; 5] = ["time", "level", "text", "target", "spans"];

/// Begins it. A span that is over is a line of its own, with how long it took. Refused where `LANYARD_LOG` makes no sense.
pub(super) fn start(log: Log) -> Result<(), String> {
    let said = std::env::var_os(VARIABLE).unwrap_or_default();
    let said = said.to_str().ok_or_else(|| format!("{VARIABLE}: no UTF-8"))?;
    let layer = tracing_subscriber::fmt()
        .with_env_filter(filter(said)?)
        .with_span_events(FmtSpan::CLOSE)
        .with_writer(std::io::stderr);
    match log {
        Log::Text => layer.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).init(),
        Log::Json => layer.with_ansi(false).fmt_fields(JsonFields::new()).event_format(Objects).init(),
    }
    Ok(())
}

/// What is asked for: levels by themselves or by part. The library takes any other word for the name of a part, and tells nothing more.
fn filter(said: &str) -> Result<EnvFilter, String> {
    let parts: Vec<&str> = said.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    for part in parts.iter().filter(|part| !part.contains('[')) {
        let level = part.rsplit_once('=').map_or(*part, |(_, level)| level);
        if !LEVELS.contains(&level.to_ascii_lowercase().as_str()) {
            let nearest = nearest(level, LEVELS).unwrap_or(USUAL);
            return Err(format!(
                "{VARIABLE}: {level:?} is no level; the nearest is {nearest} (one of {}, or by part: info,lanyard=debug)",
                LEVELS.join(", ")
            ));
        }
    }
    let said = if parts.is_empty() { USUAL.into() } else { parts.join(",") };
    EnvFilter::try_new(said).map_err(|e| format!("{VARIABLE}: {e}"))
}

/// A line that is not the library's own: the beginning of an object, with what every line has.
pub(super) fn object(level: &str, text: &str, beside: Map<String, Value>) -> String {
    line(clock::system().wall(), level, text, beside)
}

fn line(now: Timestamp, level: &str, text: &str, beside: Map<String, Value>) -> String {
    let [time, level, text] = [now.to_string().as_str(), level, text].map(|value| Value::from(value).to_string());
    let mut line = format!("{{\"time\":{time},\"level\":{level},\"text\":{text}");
    for (key, value) in beside {
        line += &format!(",{}:{value}", Value::from(key));
    }
    line + "}"
}

/// An object a line: `time`, `level` and `text`, the line's own fields beside them, then `target`, and the `spans` in which it stands.
struct Objects;

impl<S, N> FormatEvent<S, N> for Objects
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, ctx: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let mut spans = Vec::new();
        for span in ctx.event_scope().into_iter().flat_map(|scope| scope.from_root()) {
            let extensions = span.extensions();
            let fields =
                extensions.get::<FormattedFields<N>>().and_then(|kept| serde_json::from_str(&kept.fields).ok());
            let mut fields: Map<String, Value> = fields.unwrap_or_default();
            fields.insert("name".into(), span.name().into());
            spans.push(Value::Object(fields));
        }
        let meta = event.metadata();
        said.beside.insert("target".into(), meta.target().into());
        if !spans.is_empty() {
            said.beside.insert("spans".into(), spans.into());
        }
        writeln!(writer, "{}", line(clock::system().wall(), word(*meta.level()), &said.text, said.beside))
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// What a line says.
#[derive(Default)]
struct Said {
    text: String,
    beside: Map<String, Value>,
}

impl Said {
    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name().trim_start_matches("r#");
        if name == "message" {
            self.text = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        } else if OURS.contains(&name) {
            self.beside.insert(format!("{name}_"), value);
        } else {
            self.beside.insert(name.into(), value);
        }
    }
}

impl tracing::field::Visit for Said {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn told(tell: impl FnOnce()) -> Vec<Value> {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .with_span_events(FmtSpan::CLOSE)
            .with_ansi(false)
            .fmt_fields(JsonFields::new())
            .event_format(Objects)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, tell);
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn each_line_is_an_object_with_time_level_and_text_at_its_top() {
        let lines = told(|| {
            let span = tracing::debug_span!("check-in", channel = "apple", outcome = tracing::field::Empty);
            span.record("outcome", 200);
            let _within = span.enter();
            tracing::warn!(user = "a\nb", calls = 3, error = %"away", text = "another", "store: {}", "a batch failed");
        });
        let [line, closed] = lines.as_slice() else { panic!("{lines:?}") };
        assert_eq!((&line["level"], &line["text"]), (&"warn".into(), &"store: a batch failed".into()));
        assert_eq!((&line["user"], &line["calls"], &line["error"]), (&"a\nb".into(), &3.into(), &"away".into()));
        assert_eq!(line["text_"], "another", "a field takes nobody's place");
        assert_eq!(line["spans"][0], serde_json::json!({"name": "check-in", "channel": "apple", "outcome": 200}));
        let time = line["time"].as_str().unwrap();
        assert!(time.len() >= 20 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{time}");
        assert_eq!(closed["text"], "close");
        assert!(closed["time.busy"].is_string(), "{closed}");
    }

    #[test]
    fn time_level_and_text_come_first() {
        let beside = Map::from_iter([("event".to_string(), Value::from("ready")), ("admin".into(), "a".into())]);
        let line = line(Timestamp(0), "info", "\"ready\"", beside);
        assert!(line.starts_with(r#"{"time":"1970-01-01T00:00:00Z","level":"info","text":"\"ready\"","#), "{line}");
        assert!(serde_json::from_str::<Value>(&line).is_ok_and(|line| line["event"] == "ready"));
    }

    #[test]
    fn a_word_that_is_no_level_is_refused() {
        for good in [
            "",
            " ",
            "info",
            "WARN",
            "info,lanyard=debug",
            "info, lanyard::channel=debug,h2=off",
            "lanyard[check-in]=debug",
        ] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for (bad, part) in [
            ("inof", "LANYARD_LOG: \"inof\" is no level; the nearest is info"),
            ("verbose", "\"verbose\" is no level"),
            ("info,lanyard=debgu", "\"debgu\" is no level; the nearest is debug"),
            ("lanyard", "\"lanyard\" is no level"),
            ("lanyard[=debug", "LANYARD_LOG: "),
        ] {
            let error = filter(bad).map(drop).unwrap_err();
            assert!(error.contains(part), "{bad}: {error}");
        }
    }
}
