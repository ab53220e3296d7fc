use super::{
    lines::{days, is_told, list, of_end},
    *,
};
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_764_000_000_000);

fn in_days(days: i64) -> Timestamp {
    Timestamp(NOW.0 + days * 86_400_000)
}

fn first(days: i64) -> Option<First> {
    Some(First { until: in_days(days), device: DeviceId(Uuid::nil()), user: "ann".into() })
}

fn told(lines: &[Line]) -> Vec<(&'static str, &'static str)> {
    lines.iter().map(|line| (line.severity.as_str(), line.code.as_str())).collect()
}

#[test]
fn what_ends_is_the_worse_the_nearer_its_end_is() {
    for (row, until, want) in [
        ("ended", in_days(-1), Some(("error", "push_cert_expired"))),
        ("ends now", NOW, Some(("error", "push_cert_expired"))),
        ("in a second", Timestamp(NOW.0 + 1000), Some(("error", "push_cert_ends"))),
        ("in a week", in_days(7), Some(("error", "push_cert_ends"))),
        ("in eight days", in_days(8), Some(("warning", "push_cert_ends"))),
        ("in thirty", in_days(30), Some(("warning", "push_cert_ends"))),
        ("in thirty-one", in_days(31), Some(("note", "push_cert_ends"))),
        ("in ninety", in_days(90), Some(("note", "push_cert_ends"))),
        ("in ninety-one", in_days(91), None),
    ] {
        let line = of_end(Lasting::PushCert, until, NOW);
        assert_eq!(line.as_ref().map(|line| told(std::slice::from_ref(line))[0]), want, "{row}");
        assert!(line.is_none_or(|line| line.until == Some(until) && line.subject == "push_cert"), "{row}");
    }
    for (what, ends) in
        [(Lasting::ServerCert, "server_cert_ends"), (Lasting::CaRoot, "ca_ends"), (Lasting::CaIssuing, "ca_ends")]
    {
        assert_eq!(of_end(what, in_days(1), NOW).unwrap().code.as_str(), ends);
    }
}

#[test]
fn days_are_rounded_up() {
    for (seconds, want) in [(1, "a day"), (86_400, "a day"), (86_401, "2 days"), (7 * 86_400, "7 days")] {
        assert_eq!(days(Duration::from_secs(seconds)), want);
    }
}

#[test]
fn a_push_certificate_is_missed_where_apple_devices_are_or_will_be() {
    let invited = |count| (count, (count > 0).then(|| ("an id".to_string(), in_days(5))));
    let ends = |days| vec![(Lasting::PushCert, in_days(days))];
    let (missing, unpushed) = (("error", "push_cert_missing"), ("warning", "invitation_unpushed"));
    for (row, apple, invitations, ends, want) in [
        ("nothing of Apple's", false, invited(0), vec![], vec![]),
        ("a device", true, invited(0), vec![], vec![missing]),
        ("an invitation", false, invited(1), vec![], vec![missing, unpushed]),
        ("one that has ended", true, invited(2), ends(-1), vec![("error", "push_cert_expired"), unpushed]),
        ("one that is good", true, invited(0), ends(300), vec![]),
    ] {
        let facts = Facts { now: NOW, invitations, ..Facts::default() };
        let lines = list(&facts, &Known { ends, ..Known::default() }, &Survey { apple, ..Survey::default() });
        assert_eq!(told(&lines), want, "{row}");
    }
}

#[test]
fn the_worst_comes_first_and_of_equals_the_oldest() {
    let setting = |key: &str, days| Setting {
        key: key.into(),
        value: "10".into(),
        default: "10".into(),
        pending: Some("20".into()),
        counts_from: Some(in_days(days)),
    };
    let facts = Facts {
        now: NOW,
        doubted: true,
        stop: Stop { on: true, since: Some(in_days(-1)), by: Some("ann".into()), by_newcomer: false },
        settings: vec![setting("b", 1), setting("a", 0)],
        untold: Some((3, in_days(-1))),
        taken_back: Some(TakenBack { at: in_days(-29), commit: 7, held: 2 }),
        ..Facts::default()
    };
    let ends = vec![(Lasting::CaRoot, in_days(60)), (Lasting::PushCert, in_days(20))];
    let known = Known { ends, ..Known::default() };
    let survey = Survey { apple: true, ended: (1, first(-3)), ending: (2, first(3)), ..Survey::default() };
    let lines = list(&facts, &known, &survey);
    let want = [
        ("error", "stop_on"),
        ("error", "clock_doubted"),
        ("warning", "store_taken_back"),
        ("warning", "push_cert_ends"),
        ("warning", "device_cert_expired"),
        ("warning", "device_cert_ends"),
        ("warning", "webhook_unreached"),
        ("note", "ca_ends"),
        ("note", "setting_pending"),
        ("note", "setting_pending"),
    ];
    assert_eq!(told(&lines), want);
    assert_eq!([&lines[8].subject, &lines[9].subject], ["a", "b"]);
    let later = Facts { now: in_days(2), ..facts };
    let gone = list(&later, &Known::default(), &Survey::default());
    assert!(gone.iter().all(|line| line.code != Code::StoreTakenBack), "it is told for thirty days");
    assert!(list(&Facts::default(), &Known::default(), &Survey::default()).is_empty());
}

#[test]
fn who_cannot_be_renewed_is_named_and_the_worse_the_nearer_the_end_is() {
    let stuck = |days, tries, why: &str| Stuck {
        until: in_days(days),
        device: DeviceId(Uuid::nil()),
        called: "iPad of ann".into(),
        tries,
        why: why.into(),
    };
    let facts = Facts { now: NOW, ..Facts::default() };
    let named = vec![stuck(-1, 9, "over"), stuck(7, 2, "no room"), stuck(8, 1, "")];
    let lines = list(&facts, &Known::default(), &Survey { stuck: named, ..Survey::default() });
    assert_eq!(told(&lines), [("error", "renewal_refused"), ("warning", "renewal_refused")]);
    assert!(
        lines[0].text.starts_with("the certificate of iPad of ann ends within 7 days: it was asked 2 times in vain")
    );
    assert!(lines[0].text.contains("(no room)") && lines[1].text.contains("once in vain"), "{lines:?}");
}

#[test]
fn the_documentation_lists_every_code_and_no_other() {
    use Code::*;
    let all = [
        StopOn,
        WipeContradicted,
        StoreTakenBack,
        ClockDoubted,
        PushCertExpired,
        PushCertMissing,
        ServerCertExpired,
        ServerCertUnfit,
        CaExpired,
        MailServer,
        ConnectorSilent,
        ApprovalStuck,
        ApprovalWaits,
        WipeFailed,
        WipeUnanswered,
        WipeWaits,
        WipeUntold,
        PartnershipsMissing,
        ExchangeDrift,
        ServerCertRefused,
        PushCertEnds,
        ServerCertEnds,
        CaEnds,
        InvitationUnpushed,
        InstallsStuck,
        RenewalRefused,
        DeviceCertExpired,
        DeviceCertEnds,
        WebhookUnreached,
        NoticesUnsent,
        SettingPending,
        FirstHour,
    ];
    assert!(all.is_sorted(), "in the order in which they are told");
    let page = include_str!("../../../docs/operations.md");
    let (_, section) = page.split_once("\n## What is wrong: `lanyard status`\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let listed = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(listed.collect::<Vec<_>>(), all.map(Code::as_str));
}

#[test]
fn files_that_clients_would_not_take_are_told_of_unless_they_have_ended() {
    let unfit = || vec!["its extended key usage does not name serverAuth".to_string()];
    let (wrong, former) = (("error", "server_cert_unfit"), ("warning", "server_cert_refused"));
    for (row, days, unfit, refused, want) in [
        ("good", 300, vec![], None, vec![]),
        ("unfit", 300, unfit(), None, vec![wrong]),
        ("ended, which makes it unfit", -1, unfit(), None, vec![("error", "server_cert_expired")]),
        ("not taken", 300, vec![], Some("half a file"), vec![former]),
        ("both", 300, unfit(), Some("half a file"), vec![wrong, former]),
    ] {
        let ends = vec![(Lasting::ServerCert, in_days(days))];
        let known = Known { ends, unfit, refused: refused.map(Into::into), ..Known::default() };
        let facts = Facts { now: NOW, ..Facts::default() };
        let lines = list(&facts, &known, &Survey::default());
        assert_eq!(told(&lines), want, "{row}");
        for (word, code) in [("serverAuth", Code::ServerCertUnfit), ("half a file", Code::ServerCertRefused)] {
            assert!(lines.iter().filter(|line| line.code == code).all(|line| line.text.contains(word)), "{row}");
        }
    }
}

#[test]
fn a_fresh_certificate_for_ninety_days_is_no_news() {
    let (day, now) = (Duration::from_secs(86_400), Timestamp(1_764_000_000_000));
    for (lasts, left, told) in
        [(90, 89, false), (90, 31, false), (90, 30, true), (30, 30, true), (398, 90, true), (398, 91, false)]
    {
        let until = now.plus(day * left);
        let known =
            Known { ends: vec![(Lasting::ServerCert, until)], server_cert_for: Some(day * lasts), ..Known::default() };
        let said = known
            .ends
            .iter()
            .filter(|end| is_told(end, &known, now))
            .any(|(what, until)| of_end(*what, *until, now).is_some());
        assert_eq!(said, told, "{lasts} {left}");
    }
}

#[test]
fn notices_that_are_not_taken_are_told_of() {
    let known = Known { smtp: Some(("451 full".into(), NOW)), ..Known::default() };
    let lines = list(&Facts { now: NOW, ..Facts::default() }, &known, &Survey::default());
    let line = lines.iter().find(|line| line.code == Code::NoticesUnsent).unwrap();
    assert_eq!((line.severity, line.code.as_str(), line.since), (Severity::Warning, "notices_unsent", Some(NOW)));
    assert!(line.text.contains("451 full"), "{}", line.text);
}

#[test]
fn a_mail_server_that_does_not_answer_is_told_of() {
    let known = Known { mail_server: Some(("it does not answer".into(), NOW)), ..Known::default() };
    let lines = list(&Facts { now: NOW, ..Facts::default() }, &known, &Survey::default());
    let line = lines.iter().find(|line| line.code == Code::MailServer).unwrap();
    assert_eq!(
        (line.severity, line.since, line.text.as_str()),
        (Severity::Error, Some(NOW), "the mail server: it does not answer")
    );
}
