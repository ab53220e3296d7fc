//! Messages of every shape for property tests.

use proptest::prelude::*;

use super::*;

/// Text without white space at its ends, which fields other than Data lose.
fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9./&<>\"':;=é漢-]{1,12}"
}

fn data() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~é漢\t\n\r]{0,30}", Just(String::new()), Just("]]>&#13;\r\n".to_owned())]
}

fn meta() -> impl Strategy<Value = Meta> {
    let text = || proptest::option::of(name());
    let size = || proptest::option::of(any::<u64>());
    (text(), text(), text(), size(), text(), size(), size()).prop_map(
        |(format, kind, mark, size, next_nonce, max_msg_size, max_obj_size)| Meta {
            format,
            kind,
            mark,
            size,
            next_nonce,
            max_msg_size,
            max_obj_size,
        },
    )
}

fn location() -> impl Strategy<Value = Location> {
    (name(), proptest::option::of(name())).prop_map(|(uri, name)| Location { uri, name })
}

fn item() -> impl Strategy<Value = Item> {
    let location = || proptest::option::of(location());
    (location(), location(), meta(), proptest::option::of(data()), any::<bool>())
        .prop_map(|(target, source, meta, data, more_data)| Item { target, source, meta, data, more_data })
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    proptest::collection::vec(item(), 0..4)
}

fn request() -> impl Strategy<Value = Request> {
    let verb = proptest::sample::select(vec![Verb::Add, Verb::Replace, Verb::Delete, Verb::Get, Verb::Exec]);
    (verb, name(), any::<bool>(), meta(), proptest::option::of(name()), items()).prop_map(
        |(verb, cmd_id, no_resp, meta, correlator, items)| Request {
            verb,
            cmd_id,
            no_resp,
            meta,
            correlator: correlator.filter(|_| verb == Verb::Exec),
            items,
        },
    )
}

fn status() -> impl Strategy<Value = Status> {
    let refs = || proptest::collection::vec(name(), 0..3);
    let chal = proptest::option::of(meta().prop_map(|meta| Chal { meta }));
    (name(), any::<u32>(), name(), name(), refs(), refs(), chal, any::<u16>(), items()).prop_map(
        |(cmd_id, msg_ref, cmd_ref, cmd, target_refs, source_refs, chal, code, items)| Status {
            cmd_id,
            msg_ref,
            cmd_ref,
            cmd,
            target_refs,
            source_refs,
            chal,
            code,
            items,
        },
    )
}

fn results() -> impl Strategy<Value = Results> {
    let text = || proptest::option::of(name());
    (name(), proptest::option::of(any::<u32>()), name(), meta(), text(), text(), items()).prop_map(
        |(cmd_id, msg_ref, cmd_ref, meta, target_ref, source_ref, items)| Results {
            cmd_id,
            msg_ref,
            cmd_ref,
            meta,
            target_ref,
            source_ref,
            items,
        },
    )
}

fn alert() -> impl Strategy<Value = Alert> {
    (name(), any::<bool>(), any::<u32>(), proptest::option::of(name()), items())
        .prop_map(|(cmd_id, no_resp, code, correlator, items)| Alert { cmd_id, no_resp, code, correlator, items })
}

fn command() -> impl Strategy<Value = Command> {
    let simple = prop_oneof![
        request().prop_map(Command::Request),
        status().prop_map(Command::Status),
        results().prop_map(Command::Results),
        alert().prop_map(Command::Alert),
        name().prop_map(|cmd_id| Command::Other { name: "Put".to_owned(), cmd_id }),
    ];
    simple.prop_recursive(3, 12, 4, |inner| {
        let kind = proptest::sample::select(vec![GroupKind::Atomic, GroupKind::Sequence]);
        (kind, name(), any::<bool>(), meta(), proptest::collection::vec(inner, 0..4)).prop_map(
            |(kind, cmd_id, no_resp, meta, commands)| Command::Group(Group { kind, cmd_id, no_resp, meta, commands }),
        )
    })
}

prop_compose! {
    fn header()(
        session_id in name(),
        msg_id in 1u32..,
        target in location(),
        source in location(),
        resp_uri in proptest::option::of(name()),
        no_resp in any::<bool>(),
        cred in proptest::option::of((meta(), name())),
        meta in meta(),
    ) -> SyncHdr {
        let cred = cred.map(|(meta, data)| Cred { meta, data });
        let (ver_dtd, ver_proto) = ("1.2".to_owned(), "DM/1.2".to_owned());
        SyncHdr { ver_dtd, ver_proto, session_id, msg_id, target, source, resp_uri, no_resp, cred, meta }
    }
}

prop_compose! {
    /// Any message that can be written.
    pub(crate) fn message()(
        header in header(),
        body in proptest::collection::vec(command(), 0..6),
        is_final in any::<bool>(),
    ) -> Message {
        Message { header, body, is_final, spoilt: Vec::new() }
    }
}
