//! What a held Ping takes of memory, both connections included; and whom a change of rules ends.

use crate::process::{Phones, Process};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

/// For what is under way to come to rest.
const REST: Duration = Duration::from_secs(3);
const RULES: &str = "default: allow\nrules:\n- {when: {user: 'cut*@example.org'}, then: block}\n";

pub(crate) async fn measure(pings: usize) {
    let mail = Process::role("mail-server", &[]);
    let upstream = format!("http://{}/Microsoft-Server-ActiveSync", mail.address);
    println!("{pings} Pings held over TLS, the mail server without");
    let bare = {
        let bare = Process::bare(&upstream);
        let mut phones = Phones::of(&bare, pings);
        hold(&bare, &mut phones, &mail, pings)
    };
    wait(&mail, |held| held == 0);
    let lanyard = Process::lanyard(&upstream);
    let mut phones = Phones::of(&lanyard, pings);
    let begun = Instant::now();
    phones.order("enrol");
    println!("{:<34} {:>8.0}/s", "new mail clients", pings as f64 / begun.elapsed().as_secs_f64());
    let ours = hold(&lanyard, &mut phones, &mail, pings);
    println!("{:<34} {:>8.1} kB", "the gateway, each", ours / 1000.0);
    println!("{:<34} {:>8.1} kB", "bare hyper, each", bare / 1000.0);
    println!("{:<34} {:>8.2}", "ratio", ours / bare);
    let rules = lanyard.folder.join("rules.yaml");
    std::fs::write(&rules, RULES).unwrap();
    let cut = pings.div_ceil(10);
    let cpu = lanyard.cpu();
    let begun = Instant::now();
    lanyard.verb(&["mail", "rules", "apply", rules.to_str().unwrap(), "--yes"]);
    while phones.order("ended")[0] < cut {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?} of {cut} ended", phones.order("ended"));
        std::thread::sleep(Duration::from_millis(20));
    }
    let took = begun.elapsed();
    std::thread::sleep(REST);
    let [all_cut, others] = phones.order("ended")[..] else { panic!() };
    println!("{:<34} {:>8.1} s, {all_cut} of {cut}", "rules end a tenth within", took.as_secs_f64());
    println!("{:<34} {others:>8}", "others that ended");
    println!("{:<34} {:>8.2} s", "processor for it", (lanyard.cpu() - cpu).as_secs_f64());
    assert_eq!((all_cut, others), (cut, 0));
}

/// Bytes for each Ping that is held.
fn hold(server: &Process, phones: &mut Phones, mail: &Process, pings: usize) -> f64 {
    std::thread::sleep(REST);
    let before = server.memory();
    phones.order("hold");
    wait(mail, |held| held == pings);
    std::thread::sleep(REST);
    (server.memory() - before) / pings as f64
}

/// Waits until the mail server holds so many.
fn wait(mail: &Process, enough: impl Fn(usize) -> bool) {
    let limit = Instant::now() + Duration::from_secs(120);
    loop {
        let now = held(mail.address);
        if enough(now) {
            return;
        }
        assert!(Instant::now() < limit, "{now} held");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn held(mail: SocketAddr) -> usize {
    let mut stream = TcpStream::connect(mail).unwrap();
    stream.write_all(b"GET /held HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text.rsplit_once("\r\n\r\n").unwrap().1.parse().unwrap()
}
