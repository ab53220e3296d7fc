//! What comes over the wire and is not as it should be: one bad part spoils nothing else, a known device is no stranger for it, and its
//! problems and events say what came.

use super::*;
use lanyard::{
    fleet::{
        audit, keeper, owners,
        registry::journal::{self, Journal},
    },
    store::Tx,
};

impl Bench {
    async fn journal(&self, device: &Device) -> Option<Journal> {
        let id = device.id;
        self.server().store.run(move |tx| Ok(journal::of(tx, &[id])?.pop().flatten())).await.unwrap()
    }

    async fn problems(&self, name: &str) -> Vec<String> {
        let device = self.device(name).await;
        let now = self.server().store.run(|tx| Ok(tx.steady())).await.unwrap();
        let journal = self.journal(&device).await;
        journal.iter().flat_map(|kept| kept.unreadable(now)).map(|problem| problem.text.clone()).collect()
    }

    async fn events(&self, name: &str) -> Vec<(String, String)> {
        let journal = self.journal(&self.device(name).await).await;
        journal.iter().flat_map(Journal::events).map(|event| (event.kind.clone(), event.text.clone())).collect()
    }

    /// How many strangers the audit log tells of.
    async fn strangers(&self) -> usize {
        let server = self.server();
        server.strangers.write(&server.store).await.unwrap();
        let all = server.store.run(|tx| tx.all::<audit::Entry>("").map_err(Into::into)).await.unwrap();
        all.iter().filter(|entry| serde_json::to_string(entry).unwrap().contains("stranger.refused")).count()
    }

    async fn asked_for_facts(&self, name: &str) {
        let (local, id) = (self.local.clone(), self.device(name).await.id);
        let ask = move |tx: &mut Tx<'_>| {
            let mut device = keeper::by_id(tx, id)?;
            queue::ask(tx, &local, &mut device, life::Act::Refresh, &channel::support).map(drop)
        };
        self.server().store.run(ask).await.unwrap();
    }
}

/// The answers to all that was asked: the named nodes tell what is given, spelt as it is.
fn answers(answer: &str, told: &[(&str, &str)]) -> String {
    let (message, mut body) = (client::within(answer, "MsgID").unwrap(), client::statuses(answer, 200));
    for (verb, id, node) in client::commands(answer) {
        let Some((_, item)) = told.iter().find(|(end, _)| verb == "Get" && node.ends_with(end)) else { continue };
        body += &format!(
            "<Results><CmdID>8{id}</CmdID><MsgRef>{message}</MsgRef><CmdRef>{id}</CmdRef><Item><Source><LocURI>{node}\
             </LocURI></Source>{item}</Item></Results>"
        );
    }
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bad_answer_does_not_spoil_the_others() {
    let bench = Bench::open().await;
    let who = bench.enrolled("W1").await;
    let first = bench.dm(&who, &client::message("W1", 1, 1, FIRST)).text();
    let told = [
        ("DeviceName", "<Data>DESK &#0; 7</Data>"),
        ("SMBIOSSerialNumber", "<Data>5CG<b>1234</b></Data>"),
        ("SwV", "<Meta><Size>big</Size></Meta><Data>10.0.26200.1</Data>"),
        ("OSPlatform", "<Data>Windows 11</Data>"),
    ];
    let body = answers(&first, &told) + "<Alert><CmdID>70</CmdID></Alert><Vendor/>";
    let reply = bench.dm(&who, &client::message("W1", 1, 2, &body));
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(reply.text().contains("<CmdRef>70</CmdRef><Cmd>Alert</Cmd><Data>400</Data>"), "{}", reply.text());
    let device = bench.device("W1").await;
    assert_eq!(device.os_version.as_deref(), Some("10.0.26200.1"));
    assert_eq!((device.facts["os"].as_str(), device.name.as_deref()), ("Windows 11", Some("DESK \u{FFFD} 7")));
    assert_eq!(device.serial, None);
    assert!(device.open.is_empty(), "settled by its statuses: {:?}", device.open);
    let mut problems = bench.problems("W1").await;
    problems.sort();
    const NODES: &str = "the answer to sync: ./DevDetail/";
    assert_eq!(
        problems,
        [
            "Alert of a session: Alert: Data is missing".to_owned(),
            "Vendor of a session: command: CmdID is missing".to_owned(),
            format!("{NODES}Ext/Microsoft/DeviceName: Data: not UTF-8, or a character that XML does not allow"),
            format!("{NODES}Ext/Microsoft/SMBIOSSerialNumber: Data: unexpected b"),
            format!("{NODES}SwV: Size: not a number"),
        ]
    );
    assert_eq!(bench.strangers().await, 0);
    // Read well again, that is over; what else came is until it has not come for a month.
    bench.asked_for_facts("W1").await;
    let first = bench.dm(&who, &client::message("W1", 2, 1, FIRST)).text();
    let told = [("DeviceName", "<Data>DESK</Data>"), ("SMBIOSSerialNumber", "<Data>5CG1234</Data>")];
    bench.dm(&who, &client::message("W1", 2, 2, &answers(&first, &told)));
    assert_eq!(bench.device("W1").await.serial.as_deref(), Some("5CG1234"));
    assert_eq!(bench.problems("W1").await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_known_device_is_no_stranger_for_what_it_sends() {
    let bench = Bench::open().await;
    let who = bench.enrolled("W2").await;
    bench.session(&who, "W2", 1);
    let good = client::message("W2", 2, 1, FIRST);
    for (row, body) in [
        ("nothing", String::new()),
        ("no XML", "hello".to_owned()),
        ("cut", good[..good.len() - 12].to_owned()),
        ("no header", good.replace("SyncHdr", "Header")),
        ("MsgID in words", good.replace("<MsgID>1<", "<MsgID>one<")),
        ("a document type", format!("<!DOCTYPE a>{good}")),
    ] {
        let reply = bench.dm(&who, &body);
        assert_eq!(reply.status, 400, "{row}");
        assert!(reply.text().contains("no SyncML message"), "{row}: {}", reply.text());
    }
    // Nor where it would renew its certificate.
    assert_eq!(bench.soap(Some(&who), "<Envelope/>").status, 500);
    assert_eq!(bench.strangers().await, 0);
    let problems = bench.problems("W2").await;
    assert!(problems.iter().all(|text| text.starts_with("a whole message: ")) && problems.len() >= 4, "{problems:?}");
    // It is served as before.
    assert_eq!(bench.dm(&who, &good).status, 200);

    // Who is shut out writes nothing more into its record.
    let device = bench.device("W2").await.id;
    let block = move |tx: &mut Tx<'_>| enrol::revoke(tx, "local", device, None, "stolen").map(drop);
    bench.server().store.run(block).await.unwrap();
    bench.dm(&who, "something new");
    assert_eq!(bench.problems("W2").await, problems);
    assert_eq!(bench.strangers().await, 0);
    // Who shows nothing is one.
    bench.soap(None, "<Envelope/>");
    assert_eq!(bench.strangers().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alerts_are_kept_with_the_device() {
    let bench = Bench::open().await;
    let who = bench.enrolled("W3").await;
    bench.session(&who, "W3", 1);
    let alert = |code: u32, kind: &str, source: &str, data: &str| {
        format!(
            "<Alert><CmdID>40</CmdID><Data>{code}</Data><Item><Source><LocURI>{source}</LocURI></Source><Meta>\
             <Type xmlns=\"syncml:metinf\">{kind}</Type></Meta><Data>{data}</Data></Item></Alert>"
        )
    };
    let install = "Reversed-Domain-Name:com.microsoft.mdm.win32csp_install";
    let login = alert(1224, "com.microsoft/MDM/LoginStatus", "", "user");
    let said = [
        FIRST.to_owned(),
        login.clone(),
        alert(1224, install, "./Device/Vendor/MSFT/X", "0"),
        alert(1226, "com.example:disk", "", "nearly\u{9}full"),
        alert(1224, "com.microsoft/MDM/AADUserToken", "", "eyJhbGciOi"),
        "<Alert><CmdID>41</CmdID><Data>1226</Data></Alert>".to_owned(),
    ];
    // The same again within the hour is one.
    for session in 2..5 {
        assert_eq!(bench.dm(&who, &client::message("W3", session, 1, &said.concat())).status, 200);
    }
    let want = [
        (install, "./Device/Vendor/MSFT/X: 0"),
        ("com.example:disk", "nearly full"),
        ("com.microsoft/MDM/AADUserToken", ""),
        ("1226", ""),
    ];
    assert_eq!(bench.events("W3").await, want.map(|(kind, text)| (kind.to_owned(), text.to_owned())));
    let before = bench.journal(&bench.device("W3").await).await;
    bench.dm(&who, &client::message("W3", 6, 1, &(FIRST.to_owned() + &login)));
    assert_eq!(bench.journal(&bench.device("W3").await).await, before, "an idle session adds nothing");

    // An unenrolment is one, and means that the device has left.
    bench.dm(&who, &client::message("W3", 7, 1, LEAVING));
    let device = bench.device("W3").await;
    assert_eq!(device.life, Life::Retired);
    assert_eq!(bench.events("W3").await.last().unwrap().0, "com.microsoft:mdm.unenrollment.userrequest");

    // With its record goes what it said.
    let (local, id) = (bench.local.clone(), device.id.to_string());
    bench.server().store.run(move |tx| owners::remove(tx, &local, &id).map(drop)).await.unwrap();
    assert_eq!(bench.journal(&device).await, None);
}
