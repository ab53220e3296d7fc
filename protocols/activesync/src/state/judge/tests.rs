use super::*;

const HTTP: fn(Verdict) -> u16 = |verdict| match verdict {
    Verdict::Refuse { http, .. } => http,
    _ => 0,
};

fn key(key: u32) -> Presented {
    Presented::Key(PolicyKey::new(key).unwrap())
}

fn held(revision: u64) -> State {
    State::Held { key: PolicyKey::new(2).unwrap(), revision: Revision(revision), temp: PolicyKey::new(1).unwrap() }
}

fn offered() -> State {
    State::Offered { temp: PolicyKey::new(1).unwrap(), revision: Revision(5) }
}

fn allowed(state: State, command: Command, presented: Presented, version: Version) -> Verdict {
    judge(state, Access::Allowed, command, presented, version, Some(Revision(5)))
}

#[test]
fn the_key_decides_where_a_policy_is_due() {
    let status = |n| Verdict::refuse(Status(n));
    for (row, state, presented, want) in [
        ("new, no key", State::NotProvisioned, Presented::Absent, status(142)),
        ("new, zero", State::NotProvisioned, Presented::Zero, status(142)),
        ("new, unknown key", State::NotProvisioned, key(9), status(144)),
        ("offered, the temporary key", offered(), key(1), status(144)),
        ("held, its key", held(5), key(2), Verdict::Pass),
        ("held, no key", held(5), Presented::Absent, status(142)),
        ("held, superseded key", held(5), key(1), status(144)),
        ("held, old edition", held(4), key(2), status(143)),
    ] {
        assert_eq!(allowed(state, Command::Sync, presented, Version::V14_1), want, "{row}");
        assert_eq!(allowed(state, Command::Provision, presented, Version::V14_1), Verdict::Answer, "{row}");
    }
}

#[test]
fn a_ping_is_judged_by_the_device_alone() {
    for presented in [Presented::Absent, Presented::Zero, key(9)] {
        assert_eq!(allowed(held(5), Command::Ping, presented, Version::V14_1), Verdict::Pass);
        assert_eq!(allowed(held(4), Command::Ping, presented, Version::V14_1), Verdict::FolderSyncFirst);
        assert_eq!(allowed(offered(), Command::Ping, presented, Version::V16_1), Verdict::FolderSyncFirst);
        assert_eq!(HTTP(allowed(held(4), Command::Ping, presented, Version::V12_1)), 449);
        let wiping = held(5).wipe(WipeScope::Device);
        assert_eq!(allowed(wiping, Command::Ping, presented, Version::V14_1), Verdict::FolderSyncFirst);
        assert_eq!(HTTP(allowed(wiping, Command::Ping, presented, Version::V12_1)), 449);
    }
}

#[test]
fn without_a_policy_nobody_needs_a_key() {
    for state in [State::NotProvisioned, offered(), held(1)] {
        let verdict = judge(state, Access::Allowed, Command::Sync, Presented::Absent, Version::V14_1, None);
        assert_eq!(verdict, Verdict::Pass);
    }
}

#[test]
fn a_pending_wipe_is_announced() {
    let wiping = held(5).wipe(WipeScope::Device);
    let want = Verdict::Refuse { status: Status(140), http: 449 };
    assert_eq!(allowed(wiping, Command::FolderSync, key(2), Version::V12_1), want);
    assert_eq!(HTTP(allowed(wiping, Command::FolderSync, Presented::Absent, Version::V12_1)), 403);
    // To a blocked device as well, else it would never ask.
    assert_eq!(judge(wiping, Access::Blocked, Command::Sync, key(2), Version::V14_1, None), want);
    assert_eq!(allowed(wiping, Command::Settings, key(2), Version::V14_1), want);
}

#[test]
fn an_account_wipe_is_announced_to_those_who_know_it() {
    let wiping = held(5).wipe(WipeScope::Account);
    let refused = |version| allowed(wiping, Command::Sync, key(2), version);
    assert_eq!(refused(Version::V16_1), Verdict::refuse(Status(140)));
    assert_eq!(refused(Version::V16_0), Verdict::refuse(Status(129)));
}

#[test]
fn after_a_wipe_and_under_a_block_nothing_passes() {
    let wiped = State::Wiped(WipeScope::Device);
    let blocked = Verdict::Refuse { status: Status(129), http: 403 };
    assert_eq!(allowed(wiped, Command::Settings, key(2), Version::V14_1), blocked);
    assert_eq!(allowed(wiped, Command::Provision, key(2), Version::V14_1), Verdict::Answer);
    for command in Command::ALL {
        let want = match command {
            Command::Provision | Command::Settings => Verdict::Answer,
            _ => blocked,
        };
        assert_eq!(judge(held(5), Access::Blocked, *command, key(2), Version::V14_1, Some(Revision(5))), want);
    }
    let due = Some(Revision(5));
    let provision = |state, version| judge(state, Access::Blocked, Command::Provision, key(2), version, due);
    assert_eq!(provision(held(5), Version::V12_1), blocked, "else Android goes round and round");
    assert_eq!(provision(held(5).wipe(WipeScope::Device), Version::V12_1), Verdict::Answer);
}

#[test]
fn who_waits_has_an_account_and_nothing_in_it() {
    let later = Verdict::Refuse { status: Status::RETRY_LATER, http: 503 };
    for version in Version::ALL {
        for command in Command::ALL {
            let want = match command {
                Command::Provision | Command::Settings => Verdict::Answer,
                Command::FolderSync => Verdict::Pass,
                Command::Sync | Command::GetItemEstimate | Command::Ping | Command::ItemOperations => Verdict::Stead,
                _ => later,
            };
            let waits = |state| judge(state, Access::Quarantined, *command, key(2), version, Some(Revision(5)));
            assert_eq!(waits(held(5)), want, "{command} {version}");
            let refused = waits(held(5).wipe(WipeScope::Device));
            assert!(!matches!(refused, Verdict::Pass | Verdict::Stead), "a wipe goes first: {command} {version}");
        }
    }
    // A policy that is due comes first, as for who is let in.
    let waits = |command| judge(held(4), Access::Quarantined, command, key(2), Version::V14_1, Some(Revision(5)));
    for command in [Command::FolderSync, Command::Sync] {
        assert_eq!(waits(command), Verdict::refuse(Status::REFRESH));
    }
    assert_eq!(waits(Command::Ping), Verdict::FolderSyncFirst);
}

#[test]
fn a_verdict_knows_its_form() {
    let blocked = Verdict::refuse(Status::DEVICE_BLOCKED);
    assert_eq!(blocked.answer(Version::V12_1, Command::Sync), Some(Answer::http(403)));
    assert_eq!(blocked.answer(Version::V14_0, Command::Sync).unwrap().http, 200);
    let ping = Verdict::FolderSyncFirst.answer(Version::V14_0, Command::Ping).unwrap();
    assert_eq!(ping, End::FolderSyncFirst.answer());
    assert_eq!(Verdict::Pass.answer(Version::V14_0, Command::Sync), None);
}
