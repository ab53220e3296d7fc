//! What is wrong, as this server sees it: for `/api/v1/status`, and its worst for the header of every answer.

use crate::{
    channel::apple::push_cert,
    clock,
    documents::in_header,
    error::Result,
    fleet::{
        status::{self, Code, Known, Line, Severity, reminders},
        terms::Lasting,
    },
    http::fitness::{end_of, lasts},
    server::Server,
    store::Tx,
};
use axum::http::HeaderValue;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// So long an answer waits for what is to go along with it …
const PATIENCE: Duration = Duration::from_millis(500);
/// … and so long after an act, of which it would else say what was before.
const PATIENCE_AFTER_AN_ACT: Duration = Duration::from_secs(2);

/// All of it, worst first. Reads alone, beside the writer.
pub(super) fn look(tx: &mut Tx<'_>, server: &Server) -> Result<Vec<Line>> {
    let begun = clock::monotonic();
    let known = known(tx, server)?;
    let survey = server.outlook.survey(tx)?;
    let lines = status::read(tx, &known, &survey)?;
    server.outlook.note(in_short(&lines), begun);
    Ok(lines)
}

/// Tells the webhook of what ends soon. To be called every hour: what is looked at is read beside the writer.
pub(crate) async fn remind(server: Arc<Server>) -> Result<()> {
    let inner = server.clone();
    let (known, survey) = server.store.read(move |tx| Ok((known(tx, &inner)?, inner.outlook.survey(tx)?))).await?;
    server.store.run(move |tx| reminders::tell(tx, &known, &survey)).await
}

/// What ends one day, by what the channels and this process know.
fn known(tx: &mut Tx<'_>, server: &Server) -> Result<Known> {
    let leaf = server.certificate.get().map(|certificate| certificate.leaf());
    let ours = [
        (Lasting::CaRoot, end_of(server.authority.root_der())),
        (Lasting::CaIssuing, end_of(server.authority.issuing_der())),
        (Lasting::ServerCert, leaf.as_deref().and_then(end_of)),
        (Lasting::PushCert, push_cert::show(tx)?.map(|kept| kept.not_after)),
    ];
    let standing = server.certificate.get().map(|certificate| certificate.standing()).unwrap_or_default();
    Ok(Known {
        ends: ours.into_iter().filter_map(|(what, until)| Some((what, until?))).collect(),
        server_cert_for: leaf.as_deref().and_then(lasts),
        mail_server: server.mail_server.wrong(),
        smtp: server.smtp.as_ref().and_then(|smtp| smtp.trouble.wrong()),
        unfit: standing.unfit,
        refused: standing.refused,
    })
}

/// The worst, where somebody must act on it. That there is no push certificate is told where it matters, by `status` and with invitations: it may
/// be so for weeks, and would hide what comes after it.
fn in_short(lines: &[Line]) -> Option<String> {
    let elsewhere = |line: &&Line| matches!(line.code, Code::PushCertMissing | Code::InvitationUnpushed);
    let worst = lines.iter().find(|line| !elsewhere(line)).filter(|line| line.severity < Severity::Note)?;
    Some(format!("{} {}: {}", worst.severity.as_str(), worst.code.as_str(), worst.text))
}

/// The same as a header. It is looked for now and then, and after an act, done at that moment; an answer waits a little for it, and is none
/// the worse without.
pub(super) async fn worst(server: &Arc<Server>, acted: Option<Instant>) -> Option<HeaderValue> {
    if server.outlook.is_due(acted) {
        let server = server.clone();
        let looking = tokio::spawn(async move {
            let inner = server.clone();
            if let Err(error) = server.store.read(move |tx| look(tx, &inner)).await {
                tracing::debug!(%error, "what is wrong could not be looked for");
            }
        });
        let patience = if acted.is_some() { PATIENCE_AFTER_AN_ACT } else { PATIENCE };
        drop(tokio::time::timeout(patience, looking).await);
    }
    HeaderValue::from_str(&in_header(&server.outlook.worst()?)).ok()
}
