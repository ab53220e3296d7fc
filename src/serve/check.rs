//! `lanyard serve --check`: all that a start reads, read, and nothing made, changed, taken or opened. The embedded store is looked at in
//! a copy, since sled writes to whatever it opens.

use super::{
    ADMIN_ADDR, DEVICE_ADDR, Folder, Options, given, keys,
    options::StoreUrl,
    roots,
    stores::{self, Looked},
};
use crate::{
    clock,
    http::{
        connector::trusted_roots,
        fitness::{ends_soon, unfit},
        server_certificate::CertificateFiles,
    },
    server::host,
};
use serde::Serialize;

/// How one thing stands that a start needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// There would be no start.
    Error,
    /// It would start, and say this.
    Warning,
    /// This is what it would do.
    Ok,
}

/// One thing that a start needs.
#[derive(Debug, Serialize)]
pub struct Point {
    /// Which.
    pub what: &'static str,
    /// How it stands.
    pub verdict: Verdict,
    /// In words.
    pub text: String,
}

/// What a start would do.
#[derive(Debug, Serialize)]
pub struct Report {
    /// It would start.
    pub ok: bool,
    /// The worst first, else in the order of a start.
    pub points: Vec<Point>,
}

impl Report {
    fn of(mut points: Vec<Point>) -> Self {
        points.sort_by_key(|point| point.verdict);
        Self { ok: points.iter().all(|point| point.verdict != Verdict::Error), points }
    }

    /// A line each, for people.
    pub fn lines(&self) -> String {
        let line = |point: &Point| {
            let verdict = match point.verdict {
                Verdict::Error => "error",
                Verdict::Warning => "warning",
                Verdict::Ok => "ok",
            };
            format!("{verdict:<8} {}: {}\n", point.what, point.text)
        };
        self.points.iter().map(line).collect()
    }
}

/// Looks at everything. A database that is away is waited for as long as a start waits.
pub async fn check(options: &Options) -> Report {
    let mut points = Points(Vec::new());
    let folder = Folder::existing(options.data.as_deref());
    points.note("data folder", folder.look());
    let trusted = roots(options.trust.as_deref());
    if let Some(path) = &options.trust {
        points.note("--trust", trusted.as_ref().map(|_| path.display().to_string()).map_err(Clone::clone));
    }
    let url = stores::address(options.store.as_deref(), &folder);
    let kept = match trusted {
        Ok(roots) => stores::look(&url, &folder, roots).await,
        // No database can be asked whose certificate cannot be judged; that was said.
        Err(_) => Ok(Looked { text: "not looked at".into(), ca: keys::Kept::Unread }),
    };
    let (text, ca) = match kept {
        Ok(Looked { text, ca }) => (Ok(text), ca),
        Err(text) => {
            let plain = text.strip_prefix("store: ").or_else(|| text.strip_prefix("store "));
            (Err(plain.unwrap_or(&text).to_string()), keys::Kept::Unread)
        }
    };
    points.note("store", text.map(|text| format!("{}: {text}", without_secrets(&url))));
    points.note("master key", keys::look(&ca, &folder, options.master_key.as_deref()));
    for text in folder.readers(options.master_key.as_deref()) {
        points.warn("secrets", text);
    }
    points.tls(options);
    points.addresses(options);
    Report::of(points.0)
}

struct Points(Vec<Point>);

impl Points {
    fn note(&mut self, what: &'static str, said: Result<String, String>) {
        let (verdict, text) = match said {
            Ok(text) => (Verdict::Ok, text),
            Err(text) => (Verdict::Error, text),
        };
        self.0.push(Point { what, verdict, text });
    }

    fn warn(&mut self, what: &'static str, text: String) {
        self.0.push(Point { what, verdict: Verdict::Warning, text });
    }

    fn tls(&mut self, options: &Options) {
        let (Some(chain), Some(key)) = (options.tls_cert.clone(), options.tls_key.clone()) else {
            self.note("certificate", Ok("a leaf of our own CA: devices must be told to trust ca.pem".into()));
            return;
        };
        let names = [&options.public_url, &options.enrol_url].into_iter().flatten();
        let mut names: Vec<String> = names.map(|url| host(url).to_string()).collect();
        if options.public_url.is_none() {
            names.insert(0, "localhost".into());
        }
        let files = CertificateFiles { chain, key, names };
        let certificate = match files.load() {
            Ok(certificate) => certificate,
            Err(error) => return self.note("certificate", Err(format!("--tls-cert: {error}"))),
        };
        let (shown, now) = (certificate.chain(), clock::system().wall());
        match trusted_roots(&[]) {
            Ok(public) => {
                for wrong in unfit(&shown, &public, now) {
                    self.warn("certificate", format!("--tls-cert: clients will not take it: {wrong}"));
                }
            }
            Err(error) => self.note("certificate", Err(error.to_string())),
        }
        if let Some(until) = shown.first().and_then(|leaf| ends_soon(leaf, now)) {
            self.warn("certificate", format!("--tls-cert: it ends within 30 days, at {until}"));
        }
        self.note("certificate", Ok(format!("{}, for {}", files.chain.display(), files.names.join(", "))));
    }

    fn addresses(&mut self, options: &Options) {
        let device = options.device_addr.unwrap_or(DEVICE_ADDR);
        let admin = options.admin_addr.unwrap_or(ADMIN_ADDR);
        let same = device.port() == admin.port() && device.port() != 0;
        if same && (device.ip() == admin.ip() || device.ip().is_unspecified() || admin.ip().is_unspecified()) {
            let text = format!("devices at {device} and administrators at {admin}: they cannot share a port");
            self.note("addresses", Err(text));
        } else {
            self.note("addresses", Ok(format!("devices at {device}, administrators at {admin}; neither was opened")));
        }
        match given(options.public_url.as_deref()) {
            Ok(Some(public)) => {
                let enrol = given(options.enrol_url.as_deref()).ok().flatten().unwrap_or_else(|| public.clone());
                self.note("names", Ok(format!("public {public}, enrolment {enrol}")));
            }
            Ok(None) => self.warn("names", "no --public-url: real devices need a name that they can reach".into()),
            Err(text) => self.note("names", Err(text)),
        }
        if let Some(smtp) = &options.smtp {
            self.note(
                "notices by mail",
                Ok(format!(
                    "by {}; it was not asked",
                    crate::server::host(smtp.rsplit('@').next().unwrap_or_default())
                )),
            );
        }
        if let Some(upstream) = &options.eas_upstream {
            self.note("mail server", Ok(format!("{upstream}; it was not asked")));
        }
    }
}

/// A database's address may hold a password.
fn without_secrets(url: &str) -> &str {
    match StoreUrl::parse(url) {
        Ok(StoreUrl::Sled(_)) => url,
        _ => "postgres",
    }
}
