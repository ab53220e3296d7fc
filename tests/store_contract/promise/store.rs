//! The store itself: calls, commits, time, the audit log, notices.

use super::*;

pub async fn a_refused_call_leaves_nothing_behind(fixture: Fixture) {
    let refused: Result<()> = fixture
        .store
        .run(|tx| {
            tx.put(&note("a"))?;
            Err(Error::refused("no", "no"))
        })
        .await;
    assert_eq!(code(refused), "no");
    assert_eq!(fixture.store.run(|tx| Ok(tx.get::<Note>("a")?)).await.unwrap(), None);
}

pub async fn calls_in_one_batch_see_each_other(fixture: Fixture) {
    let held = fixture.gate.lock().unwrap();
    let calls: Vec<_> = (0..20)
        .map(|i| {
            let store = fixture.store.clone();
            tokio::spawn(async move {
                let add = move |tx: &mut Tx<'_>| {
                    tx.put(&note(&format!("n{i:02}")))?;
                    Ok(tx.all::<Note>("n")?.len())
                };
                store.run(add).await.unwrap()
            })
        })
        .collect();
    std::thread::sleep(Duration::from_millis(50));
    drop(held);
    let mut seen = Vec::new();
    for call in calls {
        seen.push(call.await.unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=20).collect::<Vec<_>>(), "each sees all before it");
}

pub async fn a_scan_sees_what_is_not_committed_yet(fixture: Fixture) {
    let seed = |tx: &mut Tx<'_>| {
        for name in ["a", "b", "c", "d"] {
            tx.put(&note(name))?;
        }
        Ok(())
    };
    fixture.store.run(seed).await.unwrap();
    let names = |notes: Vec<Note>| notes.into_iter().map(|n| n.name).collect::<String>();
    let scan = move |tx: &mut Tx<'_>| {
        tx.delete(&note("b"))?;
        tx.put(&note("bb"))?;
        let all = names(tx.all::<Note>("")?);
        let two = names(tx.scan::<Note>("", Some("a"), 2)?);
        Ok((all, two))
    };
    assert_eq!(fixture.store.run(scan).await.unwrap(), ("abbcd".to_string(), "bbc".to_string()));
    let rest = fixture.store.run(|tx| Ok(tx.scan::<Note>("b", Some("bb"), 9)?)).await.unwrap();
    assert_eq!(rest, []);
}

pub async fn nothing_leaves_before_its_commit(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    let gate = fixture.gate.clone();
    let (locked, is_locked) = tokio::sync::oneshot::channel();
    let (release, is_released) = std::sync::mpsc::channel::<()>();
    let held = tokio::task::spawn_blocking(move || {
        let held = gate.lock().unwrap();
        locked.send(()).unwrap();
        is_released.recv().unwrap();
        drop(held);
    });
    is_locked.await.unwrap();
    let (store, id) = (fixture.store.clone(), device.id);
    let handing = tokio::spawn(async move {
        let take = move |tx: &mut Tx<'_>| {
            let mut device = keeper::by_id(tx, id)?;
            let enrolment = device.enrolments[0].id;
            queue::take_next(tx, &mut device, enrolment, Contact::Fresh)
        };
        store.run(take).await.unwrap()
    });
    // A read must not see what is not on disk yet either.
    let store = fixture.store.clone();
    let reading = tokio::spawn(async move { store.run(move |tx| lookup::by_id(tx, id)).await.unwrap() });
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!handing.is_finished(), "a command left before its commit");
    assert!(!reading.is_finished(), "an answer left before the commit it may rest on");
    release.send(()).unwrap();
    held.await.unwrap();
    assert_eq!(handing.await.unwrap().unwrap().state, State::Sent);
    reading.await.unwrap();
}

pub async fn a_panic_in_one_call_harms_no_other(fixture: Fixture) {
    let lost = fixture.store.run(|tx| -> Result<()> {
        tx.put(&note("lost"))?;
        panic!("on purpose");
    });
    assert!(matches!(lost.await, Err(Error::Internal(_))));
    assert_eq!(fixture.store.run(|tx| Ok(tx.get::<Note>("lost")?)).await.unwrap(), None);
}

pub async fn a_jump_of_the_clock_is_not_counted(fixture: Fixture) {
    fixture.device("u1", &[Channel::Apple]).await;
    let eve = fixture.second("eve").await;
    assert!(eve.newcomer_until.is_some());
    for hours in [20, 30, 24 * 1095] {
        if !fixture.jump(hours * HOUR_MS).await {
            return;
        }
        let now = fixture.store.run(|tx| Ok(tx.now())).await.unwrap();
        let until = fixture.waits_until("eve").await.unwrap();
        assert!(until > now.plus(23 * HOUR), "{hours} hours ahead: {until}");
        fixture.jump(-hours * HOUR_MS).await;
    }
    fixture.live_through(25 * HOUR).await;
    assert_eq!(fixture.waits_until("eve").await, None);
}

pub async fn a_clock_set_back_shortens_nothing(fixture: Fixture) {
    let times = |tx: &mut Tx<'_>| Ok((tx.now(), tx.steady()));
    let (now, steady) = fixture.store.run(times).await.unwrap();
    fixture.hands.jump(-2 * HOUR_MS);
    let (later, steadily) = fixture.store.run(times).await.unwrap();
    assert!(steadily >= steady);
    assert!(!fixture.owns_clock || later < now, "people see what the clock shows");
}

pub async fn a_clock_set_back_holds_no_timer_up(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    fixture.jump(2 * HOUR_MS).await;
    fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    assert_eq!(fixture.store.run(wipe::sweep).await.unwrap().0.len(), 1, "the first wake");
    fixture.jump(-2 * HOUR_MS).await;
    if fixture.pass(Duration::from_secs(11)) {
        assert_eq!(fixture.store.run(wipe::sweep).await.unwrap().0.len(), 1, "the second, ten seconds later");
    }
}

pub async fn a_clock_set_back_revives_no_certificate(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let sha256 = fixture.credential(&device).await;
    let revoke = move |tx: &mut Tx<'_>| credential::revoke(tx, &sha256);
    fixture.store.run(revoke).await.unwrap();
    fixture.jump(-20 * HOUR_MS).await;
    let judge = move |tx: &mut Tx<'_>| {
        let credential = tx.get::<Credential>(sha256)?.unwrap();
        Ok((credential::judge(tx.time(), &credential, None), credential::revoked(tx)?.len()))
    };
    assert_eq!(fixture.store.run(judge).await.unwrap(), (Standing::Revoked, 1));
}

pub async fn a_clock_years_ahead_expires_nothing_until_it_is_believed(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    let wanted = Request { expires: Some(48 * HOUR), ..request(Scope::Full) };
    let wipe = fixture.wipe_with(&local, device.id, wanted).await.unwrap();
    if !fixture.jump(24 * 1095 * HOUR_MS).await {
        return;
    }
    let swept = async || {
        fixture.store.run(wipe::sweep).await.unwrap();
        (fixture.command(wipe.id).await.state, fixture.store.time().doubted)
    };
    assert_eq!(swept().await, (State::Queued, true));
    fixture.live_through(Duration::from_secs(3000)).await;
    assert_eq!(swept().await, (State::Queued, true));
    fixture.live_through(Duration::from_secs(700)).await;
    assert_eq!(swept().await, (State::Expired, false), "it lasted for an hour");
}

pub async fn local_alone_says_that_the_clock_is_right(fixture: Fixture) {
    let eve = fixture.second("eve").await;
    let local = fixture.local().await;
    fixture.jump(24 * 1095 * HOUR_MS).await;
    let accept = |who: Actor| fixture.store.run(move |tx| admins::accept_clock(tx, &who));
    let refused = accept(eve).await.unwrap_err();
    assert!(matches!(refused, Error::Forbidden { code: "local_only", .. }), "{refused}");
    accept(local).await.unwrap();
    fixture.store.run(|_| Ok(())).await.unwrap();
    assert!(!fixture.store.time().doubted);
}

pub async fn the_audit_chain_shows_what_was_altered(fixture: Fixture) {
    let device = fixture.device("u1", &[Channel::Apple]).await;
    let local = fixture.local().await;
    fixture.wipe(&local, device.id, Scope::Full).await.unwrap();
    fixture.store.run(audit::checkpoint).await.unwrap();
    let good = fixture.store.run(|tx| audit::verify(tx, None)).await.unwrap();
    assert!(good.ok, "{good:?}");
    let head = good.heads[0].hash.clone();
    assert!(fixture.store.run(move |tx| audit::verify(tx, Some(&head))).await.unwrap().ok);
    assert!(!fixture.store.run(|tx| audit::verify(tx, Some("00"))).await.unwrap().ok);
    let asked = |tx: &mut Tx<'_>| {
        let entries = audit::list(tx, None, 100)?;
        Ok(entries.into_iter().find(|e| e.entry.action == "wipe.asked").unwrap().entry)
    };
    let whole = fixture.store.run(asked).await.unwrap();
    let other = fixture.store.run(|tx| audit::list(tx, None, 100)).await.unwrap();
    let other = other.into_iter().find_map(|e| e.entry.text.filter(|text| Some(text) != whole.text.as_ref())).unwrap();
    for (row, altered, ok) in [
        ("another actor", audit::Entry { actor: "somebody else".into(), ..whole.clone() }, false),
        ("another text", audit::Entry { text: Some(other), ..whole.clone() }, false),
        ("an erased text", audit::Entry { text: None, ..whole.clone() }, true),
    ] {
        fixture.store.run(move |tx| Ok(tx.put(&altered)?)).await.unwrap();
        let found = fixture.store.run(|tx| audit::verify(tx, None)).await.unwrap();
        assert_eq!((found.ok, found.broken.len()), (ok, usize::from(!ok)), "{row}: {found:?}");
    }
}

pub async fn a_rejected_notice_silences_no_other(fixture: Fixture) {
    let local = fixture.local().await;
    let tell = move |tx: &mut Tx<'_>| {
        settings::set(tx, &local, "notify.webhook", "https://hook.example.org/")?;
        (0..5).try_for_each(|number| {
            let approval = ApprovalId(Uuid::from_u128(number));
            notices::tell(tx, News::ApprovalWaiting(approval, "why".into()))
        })
    };
    fixture.store.run(tell).await.unwrap();
    let take = |count| fixture.store.run(move |tx| Ok(notices::take(tx, count)?.map(|(_, taken)| taken)));
    let number = |notice: &Notice| notice.subject.parse::<Uuid>().unwrap().as_u128();
    let subjects = |taken: &[Notice]| taken.iter().map(number).collect::<Vec<_>>();
    let first = take(3).await.unwrap().unwrap();
    assert_eq!(subjects(&first), [0, 1, 2]);
    let younger = take(3).await.unwrap().unwrap();
    assert_eq!(subjects(&younger), [3, 4], "the first three wait for their next try");
    assert!(take(3).await.unwrap().is_none());
    let done = move |tx: &mut Tx<'_>| {
        younger.iter().chain(&first[..1]).try_for_each(|notice| notices::done(tx, notice))?;
        Ok(())
    };
    fixture.store.run(done).await.unwrap();
    if fixture.pass(Duration::from_secs(31)) {
        assert_eq!(subjects(&take(20).await.unwrap().unwrap()), [1, 2]);
    }
}

pub async fn devices_are_counted_as_they_are_written(fixture: Fixture) {
    let local = fixture.local().await;
    let (mac, phone) =
        (fixture.device("a", &[Channel::Apple]).await.id, fixture.device("b", &[Channel::Apple]).await.id);
    let pc = fixture.device("c", &[Channel::Omadm, Channel::Activesync]).await.id;
    let kept = async || fixture.store.run(counts).await.unwrap()[0].clone();
    let want =
        |counts: &[(&str, u64)]| counts.iter().map(|(name, n)| (name.to_string(), *n)).collect::<BTreeMap<_, _>>();
    let all: u64 = kept().await.values().sum();
    assert_eq!(all, 3);
    let grouped = move |tx: &mut Tx<'_>| {
        groups::create(tx, &local, "x")?;
        groups::create(tx, &local, "y z")?;
        // Several times in one call, through values that were read at different times.
        groups::set(tx, &local, "x", &mac.to_string(), true)?;
        groups::set(tx, &local, "y z", &mac.to_string(), true)?;
        let former = lookup::by_id(tx, mac)?;
        groups::set(tx, &local, "x", &mac.to_string(), false)?;
        let mut changed = keeper::by_id(tx, mac)?;
        crate::fixture::happen(tx, &mut changed, life::Event::Grouped { group: "y z".into(), inside: false })?;
        tx.put(&former)?;
        groups::set(tx, &local, "x", &phone.to_string(), true)?;
        counts(tx)
    };
    let [seen, found] = fixture.store.run(grouped).await.unwrap();
    assert_eq!(seen, found, "within the call");
    let of = async |id| fixture.store.run(move |tx| lookup::by_id(tx, id)).await.unwrap().counted().unwrap();
    let names = [of(mac).await, of(phone).await, of(pc).await];
    assert!(names[0].ends_with("/x/y z") && names[1].ends_with("/x") && !names[2].contains('/'), "{names:?}");
    assert_eq!(kept().await, want(&names.each_ref().map(|name| (name.as_str(), 1))));
    // One whose enrolments have all ended is managed no more, and one that goes is none.
    let ends = move |tx: &mut Tx<'_>| {
        let mut device = keeper::by_id(tx, mac)?;
        let (by, reason) = ("local".to_string(), String::new());
        crate::fixture::happen(tx, &mut device, life::Event::Revoked { only: None, by, reason })?;
        let gone = lookup::by_id(tx, phone)?;
        Ok(tx.delete(&gone)?)
    };
    fixture.store.run(ends).await.unwrap();
    assert_eq!(kept().await, want(&[(&names[2], 1)]));
    // A refused call has counted nothing.
    let refused = move |tx: &mut Tx<'_>| {
        let device = lookup::by_id(tx, pc)?;
        tx.delete(&device)?;
        Err::<(), _>(Error::refused("no", "no"))
    };
    fixture.store.run(refused).await.unwrap_err();
    assert_eq!(kept().await, want(&[(&names[2], 1)]));
}

pub async fn devices_that_were_never_counted_are_counted_once(fixture: Fixture) {
    for user in ["a", "b", "c"] {
        fixture.device(user, &[Channel::Apple]).await;
    }
    let forgotten = |tx: &mut Tx<'_>| {
        for count in tx.all::<Count>("")? {
            tx.delete(&count)?;
        }
        Ok(tx.counts::<Device>()?)
    };
    assert_eq!(fixture.store.run(forgotten).await.unwrap(), []);
    // What is written before all are counted does not count twice.
    fixture.device("d", &[Channel::Apple]).await;
    for _ in 0..2 {
        fixture.store.run(|tx| Ok(tx.count_all::<Device>()?)).await.unwrap();
        let [kept, found] = fixture.store.run(counts).await.unwrap();
        assert_eq!((&kept, kept.values().sum::<u64>()), (&found, 4));
    }
}

pub async fn who_reads_much_gives_way_to_everybody_else(fixture: Fixture) {
    let nice = || rustix::process::getpriority_process(None).unwrap();
    let reader = fixture.store.read(move |_| Ok(nice())).await.unwrap();
    let writer = fixture.store.run(move |_| Ok(nice())).await.unwrap();
    assert_eq!((reader, nice()), ((writer + 10).min(19), writer));
    // A reader that fails harms nobody, and the next one is served.
    let failed = fixture.store.read(|_| -> Result<()> { panic!("a fault of ours") }).await.unwrap_err();
    assert!(failed.to_string().contains("ended without an answer"), "{failed}");
    fixture.store.read(|_| Ok(())).await.unwrap();
}

pub async fn what_has_been_counted_is_not_counted_again(fixture: Fixture) {
    fixture.device("a", &[Channel::Apple]).await;
    fixture.store.run(|tx| Ok(tx.count_all::<Device>()?)).await.unwrap();
    let again = |tx: &mut Tx<'_>| -> Result<()> {
        for count in tx.all::<Count>("")? {
            tx.delete(&count)?;
        }
        tx.count_all::<Device>()?;
        let counted = tx.counts::<Device>()?.len();
        Err(Error::refused(if counted == 0 { "left alone" } else { "counted again" }, "nothing stays of it"))
    };
    assert_eq!(code(fixture.store.run(again).await), "left alone");
}

pub async fn a_page_begins_after_its_key_whatever_the_call_wrote(fixture: Fixture) {
    let pages = |tx: &mut Tx<'_>| {
        for name in ["a", "b", "c", "d"] {
            tx.put(&note(name))?;
        }
        let mut page = |after| tx.scan_keys::<Note>("", Some(after), 2).map(|keys| keys.concat());
        Ok([page("a")?, page("bb")?, page("d")?])
    };
    assert_eq!(fixture.store.run(pages).await.unwrap(), ["bc", "cd", ""], "not committed yet");
    let pages = |tx: &mut Tx<'_>| Ok(tx.scan_keys::<Note>("", Some("b"), 9)?.concat());
    assert_eq!(fixture.store.read(pages).await.unwrap(), "cd", "committed");
}

pub async fn ids_grow_in_the_order_in_which_they_are_made(fixture: Fixture) {
    let make = |tx: &mut Tx<'_>| Ok((0..1000).map(|_| tx.new_id::<uuid::Uuid>()).collect::<Vec<_>>());
    let ids = fixture.store.run(make).await.unwrap();
    assert!(ids.is_sorted_by(|a, b| a < b), "within one millisecond too");
}

pub async fn a_key_is_of_a_thousand_bytes_at_most(fixture: Fixture) {
    let kept = async |length: usize| {
        let name = "k".repeat(length);
        let write = move |tx: &mut Tx<'_>| {
            tx.put(&note(&name))?;
            Ok(tx.get::<Note>(&name)?.is_some())
        };
        fixture.store.run(write).await
    };
    assert!(kept(999).await.unwrap() && kept(1000).await.unwrap());
    for length in [1001, 2000] {
        assert_eq!(code(kept(length).await), "name", "{length}");
    }
    let found = fixture.store.run(|tx| Ok(tx.get::<Note>("k".repeat(1001))?)).await;
    assert_eq!(found.unwrap(), None, "what can be no key has no record");
}

pub async fn a_call_knows_its_node_and_shows_waits_by_the_wall_clock(fixture: Fixture) {
    fixture.jump(2 * HOUR_MS).await;
    let look = |tx: &mut Tx<'_>| {
        assert_eq!((tx.wall_of(tx.steady()), tx.wall_of(tx.steady().plus(HOUR))), (tx.now(), tx.now().plus(HOUR)));
        Ok(tx.node().to_string())
    };
    assert_eq!(fixture.store.run(look).await.unwrap(), "node-a");
}

pub async fn whom_a_change_concerns_is_told_once_it_is_committed(fixture: Fixture) {
    let told = |fixture: &Fixture| {
        let subjects = fixture.told.subjects.lock().unwrap().clone();
        let named = ["kept", "refused"].map(|name| subjects.contains(name));
        (named, fixture.told.remembered.lock().unwrap().clone())
    };
    let refused = |tx: &mut Tx<'_>| -> Result<()> {
        tx.touch("refused");
        tx.remember(Box::new(1_u32));
        Err(Error::refused("no", "no"))
    };
    fixture.store.run(refused).await.unwrap_err();
    assert_eq!(told(&fixture), ([false, false], vec![]));
    let kept = |tx: &mut Tx<'_>| {
        tx.put(&note("a"))?;
        tx.touch("kept");
        tx.remember(Box::new(2_u32));
        Ok(())
    };
    fixture.store.run(kept).await.unwrap();
    assert_eq!(told(&fixture), ([true, false], vec![2]));
    fixture.told.subjects.lock().unwrap().clear();
    fixture.store.run(|tx| Ok(tx.put(&note("b"))?)).await.unwrap();
    let subjects = fixture.told.subjects.lock().unwrap();
    assert!(subjects.is_empty(), "a record that names nobody concerns nobody: {subjects:?}");
}
