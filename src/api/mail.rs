//! The access rules of mail: whom a file of them lets in and shuts out is shown before it is set.

use super::{
    call::Call,
    route::{Route, get, previewed},
};
use crate::{
    clock::print_duration,
    documents::{
        At, Empty,
        mail::{MailChangeView, MailRuleView, MailRulesChangeView, MailRulesView},
        policies::ApplyBody,
    },
    error::Result,
    fleet::mail_rules::{self, Change, Changed, Gate, Source},
    policy::MailRule,
    store::Tx,
};
use axum::http::Method;

const RULES: &str = "/api/v1/mail/rules";

pub(super) fn routes() -> Vec<Route> {
    vec![
        get(RULES, "The access rules of mail", show),
        previewed(Method::PUT, RULES, "Show, and with apply=true make, a change of the access rules", look, apply),
    ]
}

impl MailRuleView {
    fn of(rule: &MailRule) -> Self {
        let grace = rule.grace.map(print_duration);
        Self { when: rule.conditions(), then: rule.then.as_str().into(), grace }
    }
}

impl From<Changed> for MailChangeView {
    fn from(change: Changed) -> Self {
        Self {
            device: change.device.to_string(),
            user: change.user,
            enrolment: change.enrolment.to_string(),
            from: change.from.as_str().into(),
            to: change.to.as_str().into(),
            rule: change.rule,
            until: change.until.map(At),
        }
    }
}

impl From<Change> for MailRulesChangeView {
    fn from(change: Change) -> Self {
        Self {
            default: change.default.as_str().into(),
            rules: change.rules.iter().map(MailRuleView::of).collect(),
            changes: change.changes.into_iter().map(MailChangeView::from).collect(),
            applied: false,
            counts_from: change.counts_from.map(At),
        }
    }
}

fn show(tx: &mut Tx<'_>, _: &Call, _: Empty) -> Result<MailRulesView> {
    let gate = Gate::load(tx)?;
    Ok(MailRulesView {
        default: gate.default().as_str().into(),
        rules: gate.rules().iter().map(MailRuleView::of).collect(),
        counts_from: gate.counts_from().map(At),
        text: gate.text().map(String::from),
    })
}

fn look(tx: &mut Tx<'_>, _: &Call, body: &ApplyBody<Source>) -> Result<MailRulesChangeView> {
    Ok(mail_rules::look(tx, &body.text)?.into())
}

fn apply(
    tx: &mut Tx<'_>,
    call: &Call,
    body: ApplyBody<Source>,
    seen: MailRulesChangeView,
) -> Result<MailRulesChangeView> {
    mail_rules::apply(tx, &call.actor, &body.text)?;
    Ok(MailRulesChangeView { applied: true, ..seen })
}
