//! What a PC and a command cost in the store, keys included, and where it goes. `cargo test --test omadm cost -- --nocapture`
//! prints it.

use super::*;
use lanyard::{
    clock,
    fleet::policies::{self, Source},
    serve::kinds,
    store::{Reader as _, Sled, Tx},
};
use std::{collections::BTreeMap, path::Path};

/// Bytes of one enrolled PC with four settings and nothing to do, at most. The aim is 4000: 1138 of it are its certificate.
const PC: usize = 4400;
/// Bytes of one finished wipe with its entries of the audit log.
const COMMAND: usize = 1500;

/// All records of a store that nobody serves from: key and value.
type Records = BTreeMap<String, Vec<u8>>;

/// Of a copy of the data folder: what is acknowledged is on disk.
fn records(bench: &Bench) -> Records {
    let copy = bench.folder.join("copy");
    copied(&bench.folder.join("store"), &copy.join("store"));
    let (store, mark) = (copy.join("store"), copy.join("store.mark"));
    std::fs::copy(bench.folder.join("store.mark"), &mark).unwrap();
    let mut store = Sled::open(&store, &mark, clock::system(), Arc::new(|_, _| Ok(Vec::new()))).unwrap();
    let mut found: Records = store.scan("default/", None, usize::MAX).unwrap().into_iter().collect();
    // What the server writes by itself, now and then, and once for all PCs that are alike.
    found.retain(|key, value| !key.starts_with("default/count/") && !is_checkpoint(key, value));
    drop(store);
    std::fs::remove_dir_all(copy).unwrap();
    found
}

fn is_checkpoint(key: &str, value: &[u8]) -> bool {
    key.starts_with("default/audit/") && kinds::show(key, value).unwrap()["action"] == "checkpoint"
}

fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if path.is_dir() {
            copied(&path, &to);
        } else {
            std::fs::copy(&path, &to).unwrap();
        }
    }
}

fn cost(key: &str, value: &[u8]) -> usize {
    key.len() + value.len()
}

/// What is new or has grown, by kind: how many records, and their bytes.
fn grown(before: &Records, after: &Records) -> BTreeMap<String, (i64, i64)> {
    let mut kinds: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for (records, sign) in [(before, -1), (after, 1)] {
        for (key, value) in records {
            let kind = kinds.entry(key.split('/').nth(1).unwrap().to_owned()).or_default();
            kind.0 += sign;
            kind.1 += sign * cost(key, value) as i64;
        }
    }
    kinds.retain(|_, (count, bytes)| (*count, *bytes) != (0, 0));
    kinds
}

fn print(what: &str, before: &Records, after: &Records) -> usize {
    let kinds = grown(before, after);
    println!("{what}:");
    for (kind, (count, bytes)) in &kinds {
        println!("  {bytes:6} bytes  {count:3} {kind}");
    }
    for (key, value) in after.iter().filter(|(key, value)| before.get(*key) != Some(*value)) {
        let json = kinds::show(key, value).unwrap();
        println!("    {:5} + {:5}  {key}  {json}", key.len(), value.len());
    }
    let sum: i64 = kinds.values().map(|(_, bytes)| bytes).sum();
    println!("  {sum:6} bytes in all");
    usize::try_from(sum).unwrap()
}

/// As long as those of real PCs.
const DEVICE: &str = "2C4F8E0B7A9D4C3E8F1A6B5D4C3B2A19";
const HARDWARE: &str = "1D2F3A4B5C6D7E8F90A1B2C3D4E5F60718293A4B5C6D7E8F90A1B2C3D4E5F607";

async fn enrolled(bench: &Bench) -> Identity {
    let (code, key) = (bench.code().await, client::key());
    let request = client::token_request(USER, &code, ISSUE, &client::csr(&key), DEVICE);
    let reply = bench.soap(None, &request.replace(&format!("HW{DEVICE}"), HARDWARE));
    Identity { certificate: client::own_certificate(&client::document(&reply)), key }
}

/// What a real PC says of itself.
const FACTS: [(&str, &str); 9] = [
    ("DevDetail/DevTyp", "MDM"),
    ("DevDetail/SwV", "10.0.26200.9278"),
    ("Microsoft/DeviceName", "DESK"),
    ("Microsoft/OSPlatform", "Windows 11 Enterprise"),
    ("SMBIOSSerialNumber", "5CG1234XYZ"),
    ("OS/Edition", "4"),
    ("EncryptionCompliance", "1"),
    ("ExchangeID", "F0AE6C5F2D3B4A1E9C7D8B6A5E4F3C2D"),
    ("HWDevID", HARDWARE),
];

/// A session of a PC that takes every setting and tells every fact.
fn whole_session(bench: &Bench, who: &Identity, device: &str, session: u32) {
    let (mut body, mut set) = (FIRST.to_owned(), BTreeMap::new());
    for number in 1..20 {
        let reply = bench.dm(who, &client::message(device, session, number, &body));
        let answer = reply.text();
        assert_eq!(reply.status, 200, "{answer}");
        if client::commands(&answer).is_empty() {
            return;
        }
        body = client::statuses(&answer, 200);
        for part in answer.split("<Item>").skip(1) {
            let node = client::within(part, "LocURI").unwrap_or_default();
            if let Some(data) = client::within(part.split("</Item>").next().unwrap(), "Data") {
                set.insert(node.replace("/Config/", "/Result/"), data.to_owned());
            }
        }
        body += &results(&answer, &set);
    }
    panic!("no end");
}

fn results(answer: &str, set: &BTreeMap<String, String>) -> String {
    let (message, mut rows) = (client::within(answer, "MsgID").unwrap(), String::new());
    for get in answer.split("<Get>").skip(1) {
        let get = get.split("</Get>").next().unwrap();
        let reference = client::within(get, "CmdID").unwrap();
        for (at, item) in get.split("<LocURI>").skip(1).enumerate() {
            let node = item.split("</LocURI>").next().unwrap();
            let fact = FACTS.iter().find(|(end, _)| node.ends_with(end)).map(|(_, value)| *value);
            let Some(value) = set.get(node).map(String::as_str).or(fact) else { continue };
            rows += &format!(
                "<Results><CmdID>8{reference}{at}</CmdID><MsgRef>{message}</MsgRef><CmdRef>{reference}</CmdRef><Item>\
                 <Source><LocURI>{node}</LocURI></Source><Data>{value}</Data></Item></Results>"
            );
        }
    }
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_pc_and_a_command_cost_in_the_store() {
    let bench = Bench::open().await;
    let policy = "name: base\nassign: all\npasscode: {min_length: 8, max_idle_minutes: 15}\nencryption: required\n";
    let (source, local) = (Source::try_from(policy.to_owned()).unwrap(), bench.local.clone());
    let apply = move |tx: &mut Tx<'_>| {
        let seen = policies::look(tx, &source)?;
        policies::apply(tx, &local, &source, seen)
    };
    bench.server().store.run(apply).await.unwrap();
    let empty = records(&bench);
    let who = enrolled(&bench).await;
    let enrolled = records(&bench);
    whole_session(&bench, &who, DEVICE, 1);
    whole_session(&bench, &who, DEVICE, 2);
    let device = bench.device(DEVICE).await;
    assert!(device.open.is_empty() && device.enrolments[0].applied.len() >= 3, "{:?}", device.enrolments[0].applied);
    let idle = records(&bench);
    print("enrolled", &empty, &enrolled);
    let pc = print("a PC with nothing to do", &empty, &idle);
    let wipe = bench.wipe(&device, Scope::Full).await;
    bench.session(&who, DEVICE, 3);
    assert_eq!(bench.command(wipe.id).await.state, State::Presumed);
    let wiped = records(&bench);
    let command = print("a finished wipe", &idle, &wiped);
    assert!(pc <= PC, "{pc} bytes");
    assert!(command <= COMMAND, "{command} bytes");
}
