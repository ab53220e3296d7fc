//! A PC that toggles, refuses or leaves unanswered what it likes makes the store grow no further for it.

use super::*;
use lanyard::{
    fleet::{
        policies::{self, Source},
        settings,
    },
    store::Tx,
};

fn first(sync: &str) -> String {
    let alert = |id: u32, kind: &str, data: &str| {
        format!(
            "<Alert><CmdID>{id}</CmdID><Data>1224</Data><Item><Meta><Type xmlns=\"syncml:metinf\">{kind}</Type></Meta>\
             <Data>{data}</Data></Item></Alert>"
        )
    };
    FIRST.to_owned()
        + &alert(4, "com.microsoft/MDM/LoginStatus", "user")
        + &alert(6, "com.microsoft.mdm.SyncType", sync)
}

async fn commands(bench: &Bench, action: life::Action) -> Vec<life::Command> {
    let all = bench.server().store.run(|tx| tx.all::<life::Command>("").map_err(Into::into)).await.unwrap();
    all.into_iter().filter(|command| command.action() == action).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pc_whose_sessions_are_now_the_users_and_now_the_devices_has_a_command_for_each() {
    let bench = Bench::open().await;
    let policy = "name: base\nassign: all\ncamera: blocked\nwindows: {csp: [{path: ./User/Vendor/MSFT/Policy/Config/Experience/AllowWindowsSpotlight, data: 0}]}\n";
    let (source, local) = (Source::try_from(policy.to_owned()).unwrap(), bench.local.clone());
    let apply = move |tx: &mut Tx<'_>| {
        let seen = policies::look(tx, &source)?;
        policies::apply(tx, &local, &source, seen)
    };
    bench.server().store.run(apply).await.unwrap();
    let who = bench.enrolled("W1").await;
    // It answers what it is and nothing else.
    let begin = bench.dm(&who, &client::message("W1", 1, 1, FIRST)).text();
    bench.dm(&who, &client::message("W1", 1, 2, &client::statuses(&begin, 200)));
    let mut came = Vec::new();
    for session in 2..42 {
        let sync = ["user", "device"][session as usize % 2];
        let reply = bench.dm(&who, &client::message("W1", session, 1, &first(sync))).text();
        came.extend(client::commands(&reply).into_iter().map(|(.., node)| (sync, node.contains("/User/"))));
    }
    assert!(came.contains(&("user", true)) && came.contains(&("device", false)), "{came:?}");
    assert!(came.iter().all(|(sync, users)| (*sync == "user") == *users), "each in its own: {came:?}");
    let policies = commands(&bench, life::Action::Policy).await;
    assert_eq!(policies.len(), 2, "{policies:?}");
    let device = bench.device("W1").await;
    assert_eq!(device.open.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_that_a_pc_never_answers_is_told_once_a_day() {
    let bench = Bench::open().await;
    let who = bench.enrolled("W1").await;
    bench.session(&who, "W1", 1);
    let local = bench.local.clone();
    let set = move |tx: &mut Tx<'_>| settings::set(tx, &local, "windows.poll", "30m").map(drop);
    bench.server().store.run(set).await.unwrap();
    let before = commands(&bench, life::Action::Refresh).await.len();
    let mut told = 0;
    for session in 2..22 {
        let reply = bench.dm(&who, &client::message("W1", session, 1, FIRST)).text();
        let asked = client::commands(&reply);
        told += asked.iter().filter(|(verb, ..)| verb == "Replace").count();
        let skipped: Vec<&str> =
            asked.iter().filter(|(verb, ..)| verb == "Replace").map(|(_, id, _)| id.as_str()).collect();
        let mut body = client::statuses(&reply, 200);
        for id in skipped {
            let from = body.find(&format!("<Status><CmdID>9{id}<")).unwrap();
            let end = from + body[from..].find("</Status>").unwrap() + "</Status>".len();
            body.replace_range(from..end, "");
        }
        bench.dm(&who, &client::message("W1", session, 2, &body));
    }
    assert_eq!((told, commands(&bench, life::Action::Refresh).await.len() - before), (1, 1));
}
