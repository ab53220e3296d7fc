use super::*;

const V: Version = Version::V16_1;

fn key(key: u32) -> PolicyKey {
    PolicyKey::new(key).unwrap()
}

fn due(revision: u64) -> Option<Due> {
    Some(Due { revision: Revision(revision), demand: Demand::default() })
}

fn ack(sent: u32, outcome: PolicyOutcome) -> Message {
    Message::PolicyAck { key: PolicyKey::new(sent), outcome }
}

const OFFERED: fn() -> State = || State::Offered { temp: key(1), revision: Revision(5) };
const HELD: fn() -> State = || State::Held { key: key(2), revision: Revision(5), temp: key(1) };

#[test]
fn a_client_provisions_in_two_phases() {
    let (state, out) = State::NotProvisioned.step(Message::PolicyRequest, V, due(5), key(1));
    assert_eq!((state, out), (OFFERED(), vec![Output::Reply(Reply::Policy(key(1)))]));
    let (state, out) = state.step(ack(1, PolicyOutcome::Applied), V, due(5), key(2));
    assert_eq!(state, HELD());
    let confirmed = Output::Confirmed(Revision(5), PolicyOutcome::Applied);
    assert_eq!(out, vec![confirmed, Output::Reply(Reply::Key(key(2)))]);
}

#[test]
fn a_lost_answer_is_given_again() {
    let (state, out) = HELD().step(ack(1, PolicyOutcome::Applied), V, due(6), key(9));
    assert_eq!((state, out), (HELD(), vec![Output::Reply(Reply::Key(key(2)))]));
}

#[test]
fn a_key_that_was_not_sent_last_is_refused() {
    for state in [State::NotProvisioned, OFFERED(), HELD()] {
        let (after, out) = state.step(ack(77, PolicyOutcome::Applied), V, due(5), key(9));
        assert_eq!((after, out), (state, vec![Output::Reply(Reply::WrongKey)]));
        let (after, out) = state.step(ack(0, PolicyOutcome::Applied), V, due(5), key(9));
        assert_eq!((after, out), (state, vec![Output::Reply(Reply::WrongKey)]));
    }
}

#[test]
fn the_demand_says_which_outcome_is_enough() {
    use PolicyOutcome::{Applied, ManagedElsewhere, NotApplied, Partly};
    for (demand, outcome, refused) in [
        (Demand::Whole, Applied, None),
        (Demand::Whole, Partly, Some(139)),
        (Demand::AtLeastPin, Partly, None),
        (Demand::AtLeastPin, NotApplied, Some(139)),
        (Demand::AtLeastPin, ManagedElsewhere, Some(145)),
        (Demand::Anything, NotApplied, None),
        (Demand::Anything, ManagedElsewhere, None),
    ] {
        let due = Some(Due { revision: Revision(5), demand });
        let (state, out) = OFFERED().step(ack(1, outcome), V, due, key(2));
        match refused {
            None => assert_eq!(state, HELD(), "{demand:?} {outcome:?}"),
            Some(status) => {
                assert_eq!(state, OFFERED(), "{demand:?} {outcome:?}");
                let refusal = Output::Reply(Reply::Refuse(Status(status)));
                assert_eq!(out, vec![Output::Declined(Revision(5), outcome), refusal]);
            }
        }
    }
}

#[test]
fn a_new_round_gets_a_new_key() {
    let (state, _) = HELD().step(Message::PolicyRequest, V, due(6), key(3));
    assert_eq!(state, State::Offered { temp: key(3), revision: Revision(6) });
}

#[test]
fn whom_no_policy_concerns_gets_an_empty_one_and_a_key_for_it() {
    for asks in [Message::PolicyRequest, Message::NoDeviceInformation] {
        let (state, out) = OFFERED().step(asks, V, None, key(3));
        assert_eq!(state, State::Offered { temp: key(3), revision: Revision(u64::MAX) });
        assert_eq!(out, vec![Output::Reply(Reply::Policy(key(3)))]);
        for outcome in [PolicyOutcome::Applied, PolicyOutcome::NotApplied] {
            let (state, out) = state.step(ack(3, outcome), V, None, key(4));
            assert_eq!(state, State::Held { key: key(4), revision: Revision(u64::MAX), temp: key(3) });
            let confirmed = Output::Confirmed(Revision(u64::MAX), outcome);
            assert_eq!(out, vec![confirmed, Output::Reply(Reply::Key(key(4)))]);
        }
    }
}

#[test]
fn a_wipe_overtakes_everything() {
    let pending = HELD().wipe(WipeScope::Device);
    let told = State::Wiping { scope: WipeScope::Device, sent: true };
    for message in [
        Message::Empty,
        Message::Malformed,
        Message::UnknownType,
        ack(1, PolicyOutcome::Applied),
        Message::WipeAck { scope: WipeScope::Account, ok: true },
    ] {
        let (state, out) = pending.step(message, Version::V2_5, due(5), key(9));
        assert_eq!((state, out), (told, vec![Output::Reply(Reply::Wipe(WipeScope::Device))]), "{message:?}");
    }
    // Old Androids acknowledge the policy first, and read no bare directive.
    for message in [Message::PolicyRequest, Message::NoDeviceInformation] {
        let (state, out) = pending.step(message, Version::V2_5, due(5), key(9));
        let reply = Reply::WipeBesidePolicy(WipeScope::Device, key(9));
        assert_eq!((state, out), (told, vec![Output::Reply(reply)]), "{message:?}");
    }
}

#[test]
fn a_wipe_ends_with_its_acknowledgement_alone() {
    let scope = WipeScope::Account;
    let told = State::Wiping { scope, sent: true };
    let (state, out) = told.step(Message::WipeAck { scope, ok: false }, V, None, key(9));
    assert_eq!((state, out), (told, vec![Output::WipeFailed(scope), Output::Reply(Reply::WipeFailed(scope))]));
    let (state, out) = told.step(Message::WipeAck { scope, ok: true }, V, None, key(9));
    assert_eq!((state, out), (State::Wiped(scope), vec![Output::Erased(scope), Output::Reply(Reply::Ok)]));
    let (state, out) = state.step(Message::WipeAck { scope, ok: true }, V, None, key(9));
    assert_eq!((state, out), (State::Wiped(scope), vec![Output::Reply(Reply::Ok)]));
    let (state, out) = state.step(Message::PolicyRequest, V, due(5), key(9));
    assert_eq!((state, out), (State::Wiped(scope), vec![Output::Reply(Reply::Refuse(Status::DEVICE_BLOCKED))]));
}

#[test]
fn an_acknowledgement_before_the_directive_proves_nothing() {
    let pending = State::NotProvisioned.wipe(WipeScope::Device);
    let early = Message::WipeAck { scope: WipeScope::Device, ok: true };
    let (state, out) = pending.step(early, V, None, key(9));
    assert_eq!(out, vec![Output::Reply(Reply::Wipe(WipeScope::Device))]);
    let (state, _) = state.step(early, V, None, key(9));
    assert_eq!(state, State::Wiped(WipeScope::Device));
    let stray = vec![Output::StrayWipeAck(WipeScope::Device), Output::Reply(Reply::Ok)];
    assert_eq!(HELD().step(early, V, None, key(9)), (HELD(), stray));
}

#[test]
fn an_old_client_is_not_told_of_an_account_wipe() {
    let pending = HELD().wipe(WipeScope::Account);
    let (state, out) = pending.step(Message::PolicyRequest, Version::V14_1, due(5), key(9));
    assert_eq!((state, out), (pending, vec![Output::Reply(Reply::Refuse(Status::DEVICE_BLOCKED))]));
}

#[test]
fn a_wipe_asked_for_again_changes_nothing() {
    let told = State::Wiping { scope: WipeScope::Account, sent: true };
    assert_eq!(told.wipe(WipeScope::Account), told);
    assert_eq!(told.wipe(WipeScope::Device), State::Wiping { scope: WipeScope::Device, sent: false });
}

#[test]
fn the_body_alone_says_what_is_acknowledged() {
    for (key, want) in [(7, PolicyKey::new(7)), (0, None)] {
        let body = Body::Ack { kind: PolicyType::Wbxml, key, outcome: Some(PolicyOutcome::Applied) };
        let message = Message::new(&Request { device_information: None, body }, V);
        assert_eq!(message, Message::PolicyAck { key: want, outcome: PolicyOutcome::Applied });
    }
}

#[test]
fn device_information_is_due_from_14_1() {
    let request = Request { device_information: None, body: Body::Policy(PolicyType::Wbxml) };
    assert_eq!(Message::new(&request, Version::V14_0), Message::PolicyRequest);
    let message = Message::new(&request, Version::V14_1);
    assert_eq!(message, Message::NoDeviceInformation);
    let (_, out) = State::NotProvisioned.step(message, Version::V14_1, due(1), key(1));
    assert_eq!(out, vec![Output::Reply(Reply::Refuse(Status(165)))]);
    let (_, out) = State::NotProvisioned.step(message, Version::V14_1, None, key(1));
    assert_eq!(out, vec![Output::Reply(Reply::Policy(key(1)))]);
}

#[test]
fn a_state_is_stored_and_read_back() {
    for state in
        [State::NotProvisioned, OFFERED(), HELD(), HELD().wipe(WipeScope::Account), State::Wiped(WipeScope::Device)]
    {
        let stored = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<State>(&stored).unwrap(), state, "{stored}");
    }
    let json = r#"{"held":{"key":2,"revision":5,"temp":1}}"#;
    assert_eq!(serde_json::from_str::<State>(json).unwrap(), HELD());
}

#[test]
fn what_makes_no_sense_is_a_protocol_error() {
    let outcome = Some(PolicyOutcome::Applied);
    for (row, body, want) in [
        ("no type", Body::Policy(PolicyType::Absent), Message::Malformed),
        ("no type, phase 2", Body::Ack { kind: PolicyType::Absent, key: 7, outcome }, Message::Malformed),
        ("no outcome", Body::Ack { kind: PolicyType::Wbxml, key: 7, outcome: None }, Message::Malformed),
        ("unknown type", Body::Policy(PolicyType::Unknown("x".into())), Message::UnknownType),
    ] {
        let message = Message::new(&Request { device_information: None, body }, V);
        assert_eq!(message, want, "{row}");
    }
    let (state, out) = HELD().step(Message::Malformed, V, due(5), key(9));
    assert_eq!((state, out), (HELD(), vec![Output::Reply(Reply::ProtocolError)]));
}
