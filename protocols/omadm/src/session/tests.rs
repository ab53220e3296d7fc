use proptest::prelude::*;

use super::*;
use crate::csp;
use crate::syncml::{Alert, Command, ContentType, GroupKind, Message, Verb, arbitrary};

const URL: &str = "https://mdm.example/omadm";

fn fixture(name: &str) -> Message {
    let path = format!("{}/../../fixtures/omadm/{name}", env!("CARGO_MANIFEST_DIR"));
    Message::parse(&std::fs::read(path).unwrap(), ContentType::DmXml).unwrap()
}

/// A message of the client in session 5.
fn says(msg_id: u32, body: &str, is_final: bool) -> Message {
    let end = if is_final { "<Final/>" } else { "" };
    let text = format!(
        "<SyncML><SyncHdr><VerDTD>1.2</VerDTD><VerProto>DM/1.2</VerProto><SessionID>5</SessionID><MsgID>{msg_id}</MsgID>\
         <Target><LocURI>{URL}</LocURI></Target><Source><LocURI>DEVICE</LocURI></Source></SyncHdr><SyncBody>{body}{end}\
         </SyncBody></SyncML>"
    );
    Message::parse(text.as_bytes(), ContentType::DmXml).unwrap()
}

fn status(msg_ref: u32, cmd_ref: u32, code: u16) -> String {
    format!(
        "<Status><CmdID>9</CmdID><MsgRef>{msg_ref}</MsgRef><CmdRef>{cmd_ref}</CmdRef><Cmd>X</Cmd><Data>{code}</Data></Status>"
    )
}

fn result(msg_ref: u32, cmd_ref: u32, uri: &str, data: &str) -> String {
    format!(
        "<Results><CmdID>9</CmdID><MsgRef>{msg_ref}</MsgRef><CmdRef>{cmd_ref}</CmdRef><Item><Source><LocURI>{uri}\
         </LocURI></Source><Data>{data}</Data></Item></Results>"
    )
}

fn step(session: Session, message: &Message, due: &[Due]) -> (Session, Message, Vec<Output>) {
    let (session, answer, outputs) = session.step(message, ContentType::DmXml, due, URL);
    // As it goes through the store between two messages.
    let stored = serde_json::to_string(&session).unwrap();
    assert_eq!(serde_json::from_str::<Session>(&stored).unwrap(), session);
    (session, Message::parse(&answer.body, ContentType::DmXml).unwrap(), outputs)
}

/// Name and code of each Status, name alone of other commands.
fn told(message: &Message) -> Vec<String> {
    let line = |command: &Command| match command {
        Command::Status(status) => format!("{} {} {}", status.cmd_ref, status.cmd, status.code),
        Command::Alert(alert) => format!("Alert {}", alert.code),
        Command::Request(request) => format!("{} {}", request.verb.name(), request.items[0].uri().unwrap()),
        other => other.name().to_owned(),
    };
    message.body.iter().map(line).collect()
}

fn op_status(op: &str, code: u16) -> Output {
    Output::OpStatus { op: op.into(), uri: None, code }
}

fn lost(op: &str, why: Lost) -> Output {
    Output::OpLost { op: op.into(), why }
}

fn not_sent(op: &str, why: NotSent) -> Output {
    Output::OpNotSent { op: op.into(), why }
}

/// A session in which one message with these operations went out.
fn handed_out(due: &[Due]) -> Session {
    step(Session::new(), &fixture("package1-user.xml"), due).0
}

#[test]
fn an_idle_session_ends_with_the_first_answer_and_needs_no_store() {
    let (session, answer, outputs) = step(Session::new(), &fixture("package1-user.xml"), &[]);
    assert_eq!(told(&answer), ["0 SyncHdr 200", "2 Alert 200", "3 Alert 200", "4 Replace 200"]);
    assert!(answer.is_final);
    assert_eq!((answer.header.msg_id, answer.header.session_id.as_str()), (1, "5"));
    assert_eq!(answer.header.target.uri, "A0B1C2D3E4F5A6B7C8D9E0F1A2B3C4D5");
    assert_eq!(answer.header.source.uri, URL);
    assert!(session.is_idle());
    let [Output::Login(LoginStatus::User), Output::DeviceInfo(info), Output::SessionEnded] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!((info["Man"].as_str(), info["Lang"].as_str(), info.len()), ("Lamp & Cord", "nl-BE", 5));
}

#[test]
fn statuses_and_results_find_their_operation() {
    let due = [
        Op::get_all("info", ["./DevDetail/SwV", "./DevDetail/LrgObj", "./DevDetail/Absent"]).into(),
        Op::replace("camera", "./Device/Vendor/MSFT/Policy/Config/Camera/AllowCamera", Format::Int, "0").into(),
    ];
    let (session, answer, _) = step(Session::new(), &fixture("package1-user.xml"), &due);
    let sent = told(&answer);
    assert_eq!(sent[4..], ["Get ./DevDetail/SwV", "Replace ./Device/Vendor/MSFT/Policy/Config/Camera/AllowCamera"]);
    assert!(!session.is_idle());
    assert_eq!(session.unanswered().collect::<Vec<_>>(), ["info", "camera"]);
    let (session, answer, outputs) = step(session, &fixture("results.xml"), &[]);
    let about = |uri: &str, code| Output::OpStatus { op: "info".into(), uri: Some(uri.into()), code };
    let value = |uri: &str, format: &str, data: &str| Output::OpResult {
        op: "info".into(),
        uri: uri.into(),
        format: format.into(),
        data: data.into(),
    };
    assert_eq!(
        outputs,
        [
            about("./DevDetail/SwV", 200),
            about("./DevDetail/LrgObj", 200),
            about("./DevDetail/Absent", 404),
            value("./DevDetail/SwV", "chr", "10.0.22631.3007"),
            value("./DevDetail/LrgObj", "bool", "false"),
            op_status("camera", 200),
            Output::SessionEnded
        ]
    );
    assert_eq!((told(&answer), answer.header.msg_id), (vec!["0 SyncHdr 200".to_owned()], 2));
    assert_eq!(session.unanswered().count(), 0);
}

#[test]
fn the_first_message_may_unenrol() {
    let due = [Op::get("a", "./DevDetail/SwV").into()];
    let (turn, outputs) = Session::new().receive(&fixture("unenrolment.xml"), ContentType::DmXml);
    assert!(outputs.contains(&Output::Unenrolled));
    assert_eq!(turn.accepts(), Accepts::Nothing);
    let (_, answer, outputs) = turn.answer(&due, URL);
    let answer = Message::parse(&answer.body, ContentType::DmXml).unwrap();
    assert_eq!(told(&answer), ["0 SyncHdr 200", "2 Alert 200", "3 Alert 200", "4 Alert 200", "5 Replace 200"]);
    assert_eq!(outputs, [not_sent("a", NotSent::NotNow), Output::SessionEnded]);
}

#[test]
fn a_repeat_gets_the_same_bytes_and_does_nothing() {
    let first = fixture("package1-user.xml");
    let due = [Op::exec("wipe", "./Device/Vendor/MSFT/RemoteWipe/doWipe", "").into()];
    let (session, answer, _) = Session::new().step(&first, ContentType::DmXml, &due, URL);
    let (turn, outputs) = session.clone().receive(&first, ContentType::DmXml);
    assert_eq!((turn.accepts(), outputs), (Accepts::Nothing, vec![Output::RepeatOfLast]));
    let (again, same, outputs) = turn.answer(&[Op::get("other", "./DevDetail/SwV").into()], URL);
    assert_eq!((&same, &again), (&answer, &session));
    assert_eq!(outputs, [not_sent("other", NotSent::NotNow)]);

    // Later answers are repeated as well, and older messages change nothing.
    let second = says(2, &status(1, 5, 200), true);
    let (session, _, outputs) = step(again, &second, &[]);
    assert_eq!(outputs, [op_status("wipe", 200), Output::SessionEnded]);
    let (session, _, outputs) = step(session, &second, &[]);
    assert_eq!(outputs, [Output::RepeatOfLast]);
    let (session, _, _) = step(session, &says(3, "", true), &[]);
    let (after, answer, outputs) = step(session.clone(), &second, &[]);
    assert_eq!((outputs, told(&answer), after), (vec![Output::OutOfOrder], vec!["0 SyncHdr 400".to_owned()], session));
}

#[test]
fn a_session_begun_anew_under_its_old_number_loses_what_was_open() {
    let session = handed_out(&[Op::get("a", "./DevDetail/SwV").into()]);
    let (session, answer, outputs) = step(session, &fixture("unenrolment.xml"), &[]);
    assert_eq!(outputs[..2], [lost("a", Lost::Restarted), Output::Restarted], "another SessionID");
    assert_eq!((answer.header.msg_id, session.unanswered().count()), (1, 0));
    let session = handed_out(&[Op::get("a", "./DevDetail/SwV").into()]);
    let (_, answer, outputs) = step(session, &says(1, "<Alert><CmdID>2</CmdID><Data>1201</Data></Alert>", true), &[]);
    assert_eq!(outputs[..2], [lost("a", Lost::Restarted), Output::Restarted], "another first message");
    assert_eq!(answer.header.msg_id, 1);
}

#[test]
fn nothing_new_goes_out_while_something_is_unanswered() {
    let session = handed_out(&[Op::get("a", "./DevDetail/SwV").into()]);
    let (turn, outputs) = session.receive(&says(2, "", true), ContentType::DmXml);
    assert_eq!((turn.accepts(), outputs), (Accepts::Nothing, vec![]));
    let (_, _, outputs) = turn.answer(&[], URL);
    assert_eq!(outputs, [lost("a", Lost::NoStatus), Output::SessionEnded]);
}

#[test]
fn an_unfinished_package_is_asked_for_more_and_answered_at_its_end() {
    let alert = "<Alert><CmdID>2</CmdID><Data>1201</Data></Alert>";
    let due = [Op::get("a", "./DevDetail/SwV").into()];
    let (session, answer, outputs) = step(Session::new(), &says(1, alert, false), &due);
    assert_eq!(told(&answer), ["0 SyncHdr 200", "Alert 1222"]);
    assert!(!answer.is_final && !session.is_idle());
    assert_eq!(outputs, [not_sent("a", NotSent::NotNow)]);
    let body = format!("{}<Put><CmdID>7</CmdID></Put>", status(1, 2, 200));
    let (_, answer, _) = step(session, &says(2, &body, true), &due);
    assert_eq!(told(&answer), ["0 SyncHdr 200", "2 Alert 200", "7 Put 406", "Get ./DevDetail/SwV"]);
    assert!(answer.is_final);
    let Command::Status(late) = &answer.body[1] else { panic!() };
    assert_eq!(late.msg_ref, 1);
}

#[test]
fn a_value_in_chunks_is_put_together() {
    let get = || handed_out(&[Op::get("big", "./Device/Vendor/Big").into()]);
    let (session, answer, outputs) = step(get(), &fixture("chunk-first.xml"), &[]);
    assert_eq!(told(&answer), ["0 SyncHdr 200", "3 Results 213", "Alert 1222"]);
    assert!(!answer.is_final);
    assert_eq!(outputs, [op_status("big", 200)]);
    let (_, answer, outputs) = step(session.clone(), &fixture("chunk-last.xml"), &[]);
    let whole = Output::OpResult {
        op: "big".into(),
        uri: "./Device/Vendor/Big".into(),
        format: "chr".into(),
        data: "0123456789".into(),
    };
    assert_eq!((outputs, told(&answer)), (vec![whole, Output::SessionEnded], vec!["0 SyncHdr 200".to_owned()]));

    // The rest is too short, or something else comes in its place.
    let (_, answer, outputs) = step(session.clone(), &says(3, &result(1, 5, "./Device/Vendor/Big", "567"), true), &[]);
    assert_eq!(told(&answer), ["0 SyncHdr 200", "9 Results 424"]);
    assert_eq!(outputs, [lost("big", Lost::NoResult), Output::SessionEnded]);
    let (_, answer, _) = step(session, &says(3, "<Alert><CmdID>2</CmdID><Data>1222</Data></Alert>", true), &[]);
    assert_eq!(told(&answer), ["0 SyncHdr 200", "2 Alert 200", "Alert 1225"]);

    // Too large, or of unknown size.
    let chunk = |size: &str| {
        let meta = format!("<Meta>{size}</Meta><Data>0</Data><MoreData/></Item>");
        says(2, &result(1, 5, "./Device/Vendor/Big", "").replace("<Data></Data></Item>", &meta), false)
    };
    let (_, answer, _) = step(get(), &chunk("<Size>99999999999</Size>"), &[]);
    assert_eq!(told(&answer), ["0 SyncHdr 200", "9 Results 413", "Alert 1222"]);
    let (_, answer, _) = step(get(), &chunk(""), &[]);
    assert_eq!(told(&answer), ["0 SyncHdr 200", "9 Results 411", "Alert 1222"]);
}

#[test]
fn an_abort_fails_what_is_open() {
    let session = handed_out(&[Op::get("a", "./DevDetail/SwV").into()]);
    let due = [Op::get("b", "./DevDetail/HwV").into()];
    // Windows under a small limit: a good Status, no value, then the abort.
    let (session, _, outputs) = step(session, &says(2, &status(1, 5, 200), true), &due);
    assert_eq!(outputs, [op_status("a", 200)]);
    let (_, answer, outputs) = step(session, &fixture("abort.xml"), &[]);
    assert_eq!(outputs, [lost("a", Lost::Aborted), lost("b", Lost::Aborted), Output::Aborted, Output::SessionEnded]);
    assert_eq!(told(&answer), ["0 SyncHdr 200", "2 Alert 200"]);
    assert!(answer.is_final);
}

#[test]
fn results_are_filed_once_and_without_message_reference_belong_to_the_first() {
    let session = handed_out(&[Op::get("a", "./DevDetail/SwV").into(), Op::get("b", "./DevDetail/HwV").into()]);
    let value = result(1, 5, "./DevDetail/SwV", "10").replace("<MsgRef>1</MsgRef>", "");
    let (session, _, outputs) = step(session, &says(2, &format!("{value}{value}{}", status(1, 5, 200)), false), &[]);
    let filed = outputs.iter().filter(|output| matches!(output, Output::OpResult { .. })).count();
    assert_eq!((filed, outputs.len()), (1, 2));
    let body = format!("{value}{}{}", status(1, 5, 200), status(1, 6, 404));
    let (_, _, outputs) = step(session, &says(3, &body, true), &[]);
    assert_eq!(outputs, [op_status("b", 404), Output::SessionEnded]);
}

#[test]
fn user_nodes_wait_for_the_user() {
    let user = Due::from(Op::get("u", "./User/Vendor/MSFT/Policy/Result/Experience"));
    let (turn, _) = Session::new().receive(&fixture("package1-nobody.xml"), ContentType::DmXml);
    assert_eq!(turn.accepts(), Accepts::Device);
    let (_, _, outputs) = turn.answer(std::slice::from_ref(&user), URL);
    assert_eq!(outputs[0], not_sent("u", NotSent::NoUser));
    let (turn, _) = Session::new().receive(&fixture("package1-user.xml"), ContentType::DmXml);
    assert_eq!(turn.accepts(), Accepts::DeviceAndUser);
    let (session, _, outputs) = turn.answer(&[user], URL);
    assert_eq!((outputs, session.unanswered().count()), (vec![], 1));
}

#[test]
fn a_session_gets_what_it_is_for_and_the_rest_waits() {
    let [device, user] =
        ["./Device/Vendor/MSFT/Policy/Config/Camera/AllowCamera", "./User/Vendor/MSFT/Policy/Config/X/Y"]
            .map(|uri| Due::from(Op::get("x", uri)));
    let login = "<Alert><CmdID>2</CmdID><Data>1224</Data><Item><Meta><Type>com.microsoft/MDM/LoginStatus</Type></Meta>\
                 <Data>user</Data></Item></Alert>";
    let alert = |item: &str| format!("{login}<Alert><CmdID>3</CmdID><Data>1224</Data><Item>{item}</Item></Alert>");
    let (in_meta, in_item) =
        ("<Meta><Type>com.microsoft.mdm.SyncType</Type></Meta>", "<Type>com.microsoft.mdm.synctype</Type>");
    let (both, none) = (Accepts::DeviceAndUser, Ok(()));
    let (no_device, no_user) = (Err(NotSent::NoDevice), Err(NotSent::NoUser));
    for (row, item, accepts, of_device, of_user) in [
        ("user", format!("{in_meta}<Data>user</Data>"), Accepts::User, no_device, none),
        ("user, in the item", format!("{in_item}<Data>User</Data>"), Accepts::User, no_device, none),
        (
            "with its prefix",
            in_meta.replace("com.", "Reversed-Domain-Name:com.") + "<Data>user</Data>",
            Accepts::User,
            no_device,
            none,
        ),
        ("device", format!("{in_meta}<Data>device</Data>"), Accepts::Device, none, no_user),
        ("mixed", format!("{in_meta}<Data>mixed</Data>"), both, none, none),
        ("unheard of", format!("{in_meta}<Data>x</Data>"), both, none, none),
    ] {
        for (due, want) in [(&device, of_device), (&user, of_user)] {
            let message = says(1, &alert(&item), true);
            let (turn, told) = Session::new().receive(&message, ContentType::DmXml);
            assert_eq!(turn.accepts(), accepts, "{row}");
            assert_eq!(told, [Output::Login(LoginStatus::User)], "{row}: no event for anybody");
            let (_, _, outputs) = turn.answer(std::slice::from_ref(due), URL);
            let got = outputs.iter().find_map(|output| match output {
                Output::OpNotSent { why, .. } => Some(Err(*why)),
                _ => None,
            });
            assert_eq!(got.unwrap_or(Ok(())), want, "{row}");
            assert!(want.is_ok() || want.is_err_and(NotSent::is_temporary), "{row}: it waits");
        }
    }
    let (turn, _) = Session::new().receive(
        &says(
            1,
            &alert(&format!("{in_meta}<Data>user</Data>"))
                .replace(">user</Data></Item></Alert><A", ">none</Data></Item></Alert><A"),
            true,
        ),
        ContentType::DmXml,
    );
    assert_eq!(turn.accepts(), Accepts::Nothing, "a user's session without the user");
}

#[test]
fn what_a_device_would_refuse_never_goes_out() {
    let group = |ops: Vec<Op>| Due::Group { id: "g".into(), kind: GroupKind::Atomic, ops };
    let mixed = Op::get_all("m", ["./User/A", "./Device/B"]).into();
    let add = Op::add("1", "./Device/A", Format::Chr, "x");
    let replace = Op::replace("2", "./device/a", Format::Chr, "y");
    for (row, due, why) in [
        ("absolute", Op::get("m", "/DevInfo").into(), NotSent::BadUri),
        ("no node", Op::get_all::<String>("m", []).into(), NotSent::BadUri),
        ("two scopes", mixed, NotSent::MixedScope),
        ("Get in Atomic", group(vec![Op::get("1", "./A")]), NotSent::Atomic),
        ("Add then Replace", group(vec![add, replace]), NotSent::Atomic),
        ("empty group", group(vec![]), NotSent::BadUri),
        ("control character", Op::replace("m", "./A", Format::Chr, "\u{7}").into(), NotSent::Unencodable),
        ("huge", Op::replace("m", "./A", Format::Chr, "x".repeat(MAX_ANSWER_BYTES)).into(), NotSent::TooLarge),
    ] {
        let id = due.id().to_owned();
        let (_, answer, outputs) = step(Session::new(), &fixture("package1-user.xml"), &[due]);
        assert_eq!(outputs[2], not_sent(&id, why), "{row}");
        assert!(!why.is_temporary() && outputs.contains(&Output::SessionEnded) && answer.body.len() == 4, "{row}");
    }
}

#[test]
fn a_group_and_each_of_its_operations_are_answered() {
    let ops = vec![Op::add("1", "./Device/A", Format::Chr, "x"), Op::delete("2", "./Device/B")];
    let due = Due::Group { id: "g".into(), kind: GroupKind::Atomic, ops };
    let (session, answer, _) = step(Session::new(), &fixture("package1-user.xml"), &[due]);
    let Some(Command::Group(group)) = answer.body.last() else { panic!() };
    assert_eq!((group.cmd_id.as_str(), group.commands[1].cmd_id()), ("5", "7"));
    let body = format!("{}{}{}", status(1, 5, 507), status(1, 6, 216), status(1, 7, 500));
    let (_, _, outputs) = step(session, &says(2, &body, true), &[]);
    assert_eq!(outputs[..3], [op_status("g", 507), op_status("1", 216), op_status("2", 500)]);
}

#[test]
fn the_clients_limit_is_kept_and_the_rest_waits() {
    let plain = fixture("plain-client.xml");
    let due: Vec<Due> =
        (0..40).map(|n| Op::replace(n.to_string(), "./A", Format::Chr, "x".repeat(900)).into()).collect();
    let (session, answer, outputs) = Session::new().step(&plain, ContentType::Xml, &due, URL);
    assert!(answer.body.len() <= 16_384, "{}", answer.body.len());
    assert_eq!(answer.content_type, ContentType::Xml);
    let waits =
        outputs.iter().filter(|output| matches!(output, Output::OpNotSent { why: NotSent::NoRoom, .. })).count();
    assert!(waits > 20 && waits + session.unanswered().count() == 40, "{waits}");
    let Output::DeviceInfo(info) = &outputs[0] else { panic!() };
    assert_eq!(info.keys().collect::<Vec<_>>(), ["DevId", "Ext/Colour"]);
}

#[test]
fn no_client_limits_a_wipe_away() {
    let with = |limit: &str, body: &str| {
        let mut message = says(1, body, true);
        message.header.meta.max_msg_size = limit.parse().ok();
        Session::new().step(&message, ContentType::DmXml, &[csp::wipe("w").into()], URL)
    };
    let alerts: String = (2..90).map(|id| format!("<Alert><CmdID>{id}</CmdID><Data>1224</Data></Alert>")).collect();
    for limit in ["", "0", "1", "500", "1200", "4096", "16384"] {
        for body in ["", &alerts] {
            let (session, _, outputs) = with(limit, body);
            assert_eq!(session.unanswered().collect::<Vec<_>>(), ["w"], "{limit:?} {outputs:?}");
        }
    }
    let mut message = says(1, "", true);
    message.header.meta.max_msg_size = Some(0);
    let replace = |bytes| Op::replace("m", "./A", Format::Chr, "x".repeat(bytes)).into();
    let (_, answer, _) = Session::new().step(&message, ContentType::DmXml, &[replace(2_000), replace(2_000)], URL);
    assert!((2_000..4_096).contains(&answer.body.len()), "the floor is a limit all the same");
}

#[test]
fn a_client_does_not_command() {
    let body = "<Get><CmdID>2</CmdID><Item><Target><LocURI>./X</LocURI></Target></Item></Get>\
        <Replace><CmdID>3</CmdID><Item><Source><LocURI>./DevDetail/X</LocURI></Source><Data>1</Data></Item></Replace>\
        <Atomic><CmdID>4</CmdID><Exec><CmdID>5</CmdID></Exec></Atomic><Copy><CmdID>6</CmdID></Copy>\
        <Add><CmdID>7</CmdID><NoResp/></Add>";
    let (_, answer, outputs) = step(Session::new(), &says(1, body, true), &[]);
    assert_eq!(
        told(&answer),
        ["0 SyncHdr 200", "2 Get 405", "3 Replace 405", "4 Atomic 405", "5 Exec 405", "6 Copy 406"]
    );
    assert_eq!(outputs, [Output::SessionEnded]);
}

#[test]
fn another_version_is_refused_whole() {
    let mut message = fixture("unenrolment.xml");
    message.header.ver_proto = "DM/1.1".into();
    let (_, answer, outputs) = step(Session::new(), &message, &[]);
    assert_eq!((told(&answer), outputs), (vec!["0 SyncHdr 513".to_owned()], vec![Output::SessionEnded]));
    message.header.ver_dtd = "1.1".into();
    assert_eq!(told(&step(Session::new(), &message, &[]).1), ["0 SyncHdr 505"]);
}

#[test]
fn a_refused_header_fails_all_operations_of_that_message() {
    let session = handed_out(&[Op::get("a", "./DevDetail/SwV").into()]);
    let (_, _, outputs) = step(session, &says(2, &status(1, 0, 401), true), &[]);
    assert_eq!(outputs, [lost("a", Lost::HeaderRefused(401)), Output::SessionEnded]);
}

#[test]
fn other_alerts_are_passed_on() {
    let body = "<Alert><CmdID>2</CmdID><Data>1226</Data><Correlator>c7</Correlator><Item><Source><LocURI>./Op</LocURI>\
        </Source><Meta><Type>urn:oma:at:lawmo:1.0:OperationComplete</Type></Meta><Data>1201</Data></Item></Alert>";
    let (_, _, outputs) = step(Session::new(), &says(1, body, true), &[]);
    let event = ClientEvent {
        code: Alert::GENERIC,
        kind: Some("urn:oma:at:lawmo:1.0:OperationComplete".into()),
        mark: None,
        source: Some("./Op".into()),
        correlator: Some("c7".into()),
        data: Some("1201".into()),
    };
    assert_eq!(outputs[0], Output::Event(event));
}

#[test]
fn an_endless_session_is_broken_off() {
    let mut session = Session::new();
    for msg_id in 1..=MAX_MESSAGES {
        session = step(session, &says(msg_id, "", false), &[]).0;
    }
    let (_, answer, outputs) = step(session, &says(MAX_MESSAGES + 1, "", false), &[]);
    assert_eq!((told(&answer)[1].as_str(), outputs), ("Alert 1223", vec![Output::SessionEnded]));
}

#[test]
fn an_idle_session_that_goes_on_keeps_count() {
    let (_, answer, _) = step(Session::new(), &says(4, "", true), &[]);
    assert_eq!(answer.header.msg_id, 4);
}

#[test]
fn the_answer_has_the_form_of_the_question() {
    let message = fixture("package1-user.xml");
    let (_, answer, _) = Session::new().step(&message, ContentType::DmWbxml, &[], URL);
    assert_eq!(Message::parse(&answer.body, answer.content_type).unwrap().body.len(), 4);
}

proptest! {
    /// Whatever a client says, and whatever is due: an answer that can be read, within bounds, and each operation handed
    /// in is open, refused or lost.
    #[test]
    fn any_client_gets_an_answer(
        messages in proptest::collection::vec((arbitrary::message(), 1u32..6, 0usize..4), 1..6),
    ) {
        let mut session = Session::new();
        for (mut message, msg_id, ops) in messages {
            message.header.msg_id = msg_id;
            message.header.session_id = "5".into();
            let due: Vec<Due> = (0..ops).map(|n| Op::get(format!("{msg_id}.{n}"), "./DevDetail/SwV").into()).collect();
            let (next, answer, outputs) = session.step(&message, ContentType::DmXml, &due, URL);
            session = next;
            prop_assert!(Message::parse(&answer.body, ContentType::DmXml).is_ok());
            prop_assert!(serde_json::to_vec(&session).unwrap().len() < MAX_STATE_BYTES);
            let open: Vec<&str> = session.unanswered().collect();
            for due in &due {
                let refused = outputs.iter().any(|output| {
                    matches!(output, Output::OpNotSent { op, .. } if op == due.id())
                });
                prop_assert!(refused || open.contains(&due.id()));
            }
        }
    }
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_counts() {
    let get = |n: u32| Op::get(format!("op{n}"), format!("./DevDetail/{n}")).into();
    let (session, answer, _) = step(Session::new(), &says(1, "", true), &[get(0), get(1), get(2)]);
    let ids: Vec<u32> =
        answer.body.iter().filter(|c| matches!(c, Command::Request(_))).map(|c| c.cmd_id().parse().unwrap()).collect();
    let bad = |id: u32, what: &str| {
        let node = "<Source><LocURI>./DevDetail/1</LocURI></Source>";
        format!(
            "<Results><CmdID>9</CmdID><MsgRef>1</MsgRef><CmdRef>{id}</CmdRef><Item>{node}<Data>{what}</Data></Item></Results>"
        )
    };
    let body = [
        // By its number and its code, whatever else is missing.
        format!("<Status><CmdRef>{}</CmdRef><Data>200</Data></Status>", ids[0]),
        result(1, ids[0], "./DevDetail/0", "first"),
        status(1, ids[1], 200),
        bad(ids[1], "<p/>"),
        status(1, ids[2], 200),
        result(1, ids[2], "./DevDetail/2", "last"),
        "<Alert><CmdID>50</CmdID></Alert>".to_owned(),
    ];
    let (session, answer, outputs) = step(session, &says(2, &body.concat(), true), &[]);
    let values: Vec<&str> = outputs
        .iter()
        .filter_map(|o| if let Output::OpResult { data, .. } = o { Some(data.as_str()) } else { None })
        .collect();
    assert_eq!(values, ["first", "last"]);
    let codes = outputs.iter().filter(|o| matches!(o, Output::OpStatus { code: 200, .. })).count();
    // The value that cannot be read is not waited for, nor said to be lost.
    assert!(codes == 3 && !outputs.iter().any(|o| matches!(o, Output::OpLost { .. })), "{outputs:?}");
    let told_of: Vec<(Option<&str>, &str, &str)> = outputs
        .iter()
        .filter_map(|o| match o {
            Output::Unreadable { op, spoilt } => Some((op.as_deref(), spoilt.command.as_str(), spoilt.why.as_str())),
            _ => None,
        })
        .collect();
    assert!(told_of.contains(&(Some("op0"), "Status", "Status: MsgRef is missing")), "{told_of:?}");
    assert!(told_of.contains(&(Some("op1"), "Results", "Data: unexpected p")), "{told_of:?}");
    assert!(told_of.contains(&(None, "Alert", "Alert: Data is missing")), "{told_of:?}");
    assert_eq!(told(&answer), ["0 SyncHdr 200", "50 Alert 400"]);
    assert_eq!(session.unanswered().count(), 0);
}

#[test]
fn a_group_and_what_is_in_it_answer_for_each_other() {
    let ops = ["a", "b"].map(|id| Op::replace(id, format!("./Device/{id}"), Format::Int, "1")).to_vec();
    let group = Due::Group { id: "all".into(), kind: GroupKind::Atomic, ops };
    let codes = |outputs: &[Output], op: &str| -> Vec<u16> {
        let of = |o: &Output| match o {
            Output::OpStatus { op: name, code, .. } if name == op => Some(*code),
            _ => None,
        };
        outputs.iter().filter_map(of).collect()
    };
    for (row, answered, want) in [
        ("all of them", vec![(0, 507), (1, 216), (2, 405)], [vec![507], vec![216], vec![405]]),
        ("what is in it alone, as libdmclient", vec![(1, 200), (2, 200)], [vec![], vec![200], vec![200]]),
        ("the group alone", vec![(0, 200)], [vec![200], vec![200], vec![200]]),
        ("the group alone, refused", vec![(0, 406)], [vec![406], vec![406], vec![406]]),
        ("the group and one of it", vec![(0, 507), (2, 500)], [vec![507], vec![507], vec![500]]),
    ] {
        let (session, answer, _) = step(Session::new(), &says(1, "", true), std::slice::from_ref(&group));
        let Some(Command::Group(sent)) = answer.body.last() else { panic!("{answer:?}") };
        let first: u32 = sent.cmd_id.parse().unwrap();
        assert_eq!(sent.commands.len(), 2);
        let body: String = answered.iter().map(|(number, code)| status(1, first + number, *code)).collect();
        // While the package goes on, the rest may come yet.
        let (session, _, more) = step(session, &says(2, &body, false), &[]);
        let (session, _, outputs) = step(session, &says(3, "", true), &[]);
        let outputs = [more, outputs].concat();
        assert_eq!(["all", "a", "b"].map(|op| codes(&outputs, op)), want, "{row}");
        assert!(!outputs.iter().any(|o| matches!(o, Output::OpLost { .. })), "{row}: {outputs:?}");
        assert_eq!(session.unanswered().count(), 0, "{row}");
    }
    let (session, _, _) = step(Session::new(), &says(1, "", true), &[group]);
    let (_, _, outputs) = step(session, &says(2, "", true), &[]);
    assert_eq!(outputs.iter().filter(|o| matches!(o, Output::OpLost { why: Lost::NoStatus, .. })).count(), 3);
}

#[test]
fn whatever_a_command_is_called_it_is_answered() {
    for (name, code) in [("Put", 406), ("P\u{1}t", 406), ("Al&rt", 406)] {
        let message = says(1, &format!("<{name}><CmdID>2</CmdID></{name}>"), true);
        let (_, answer, _) = step(Session::new(), &message, &[]);
        assert_eq!(told(&answer).len(), 2, "{name:?}: {answer:?}");
        assert!(told(&answer)[1].ends_with(&code.to_string()));
    }
    let message = says(1, "<P\u{1}t><CmdID/></P\u{1}t>", true);
    assert!(!step(Session::new(), &message, &[]).1.body.is_empty());
}

#[test]
fn an_unenrolment_is_heard_whatever_its_item_says() {
    let alert = |item: &str| {
        let kind = "<Meta><Type>com.microsoft:mdm.unenrollment.userrequest</Type></Meta>";
        format!("<Alert><CmdID>2</CmdID><Data>1226</Data><Item>{item}{kind}<Data><b/></Data></Item></Alert>")
    };
    for item in ["", "<Source/>", "<Target><LocURI/></Target>"] {
        let (_, _, outputs) = step(Session::new(), &says(1, &alert(item), true), &[]);
        assert!(outputs.contains(&Output::Unenrolled), "{outputs:?}");
    }
}

proptest! {
    /// What is left of a message that was damaged on its way is answered as any other.
    #[test]
    fn any_damage_gets_an_answer(
        message in arbitrary::message(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        for kind in [ContentType::DmXml, ContentType::DmWbxml] {
            let mut bytes = message.encode(kind).unwrap();
            for (at, byte) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            let Ok(message) = Message::parse(&bytes, kind) else { continue };
            let (session, answer, _) = Session::new().step(&message, kind, &[Op::get("a", "./DevDetail/SwV").into()], URL);
            prop_assert!(Message::parse(&answer.body, kind).is_ok_and(|answer| answer.spoilt.is_empty()));
            prop_assert!(serde_json::to_vec(&session).unwrap().len() < MAX_STATE_BYTES);
        }
    }
}

#[test]
fn a_state_has_a_bound() {
    let mut session = handed_out(&[Op::get("big", "./Device/Vendor/Big").into()]);
    let mut message = fixture("chunk-first.xml");
    let Some(Command::Results(results)) = message.body.last_mut() else { panic!() };
    results.items[0].meta.size = Some(MAX_OBJECT_BYTES as u64);
    results.items[0].data = Some("x".repeat(MAX_OBJECT_BYTES));
    for msg_id in 2..6 {
        message.header.msg_id = msg_id;
        session = step(session, &message, &[]).0;
        assert!(serde_json::to_vec(&session).unwrap().len() < MAX_STATE_BYTES);
    }
    let many = "<Alert><CmdID>2</CmdID><Data>1201</Data></Alert>".repeat(900);
    session = step(session, &says(6, &many, false), &[]).0;
    let (_, answer, _) = step(session, &says(7, &many, false), &[]);
    assert_eq!(told(&answer), ["0 SyncHdr 200", "Alert 1223"]);
    assert_eq!(Verb::named("Exec"), Some(Verb::Exec));
}
