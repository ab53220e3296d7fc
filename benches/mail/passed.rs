//! How many requests pass the gateway, beside the bare proxy and nginx (`proxy_pass`, TLS in front, kept connections behind), by turns.

use crate::{
    mail_server::{LONG, SHORT},
    phones::{self, Door},
    process::{self, Process},
};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

/// Phones, each on a connection of its own that is kept.
const PHONES: usize = 32;
/// What a Sync brings.
const SMALL: usize = 1024;
/// Turns of each.
const TURNS: u32 = 3;

#[derive(Default, Clone, Copy)]
struct Run {
    requests: u64,
    wall: Duration,
    cpu: Duration,
}

impl Run {
    fn rate(self) -> f64 {
        self.requests as f64 / self.wall.as_secs_f64()
    }
    fn cost(self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests as f64
    }
}

pub(crate) async fn measure(time: Duration) {
    let mail = Process::role("mail-server", &[]);
    let upstream = format!("http://{}/Microsoft-Server-ActiveSync", mail.address);
    let servers = [
        ("the gateway", Process::lanyard(&upstream)),
        ("bare hyper", Process::bare(&upstream)),
        ("nginx", Process::nginx(&mail.address.to_string())),
    ];
    for (what, command, body, answer) in
        [("1 kB there, 4 kB back", "Sync", SMALL, SHORT), ("1 kB there, 4 MB back", "Search", SMALL, LONG)]
    {
        println!("{what}, {PHONES} phones on kept connections");
        let mut runs = [Run::default(); 3];
        for _ in 0..TURNS {
            for (run, (_, server)) in runs.iter_mut().zip(&servers) {
                let done = turn(server, command, body, answer, time / TURNS).await;
                *run =
                    Run { requests: run.requests + done.requests, wall: run.wall + done.wall, cpu: run.cpu + done.cpu };
            }
        }
        let nginx = runs[2];
        for ((name, _), run) in servers.iter().zip(runs) {
            println!(
                "{name:<14} {:>8.0}/s  {:>8.1} us of processor  {:>5.2} of nginx",
                run.rate(),
                run.cost(),
                run.rate() / nginx.rate()
            );
        }
    }
}

async fn turn(server: &Process, command: &'static str, body: usize, want: usize, time: Duration) -> Run {
    let door = Door::of(server.address, &server.folder.join("root.pem"));
    let body: Arc<[u8]> = vec![b'x'; body].into();
    // The first request of each proves its login.
    let mut streams = Vec::new();
    for number in 0..PHONES {
        let mut stream = door.open(number).await;
        once(&mut stream, number, command, &body, want).await;
        streams.push(stream);
    }
    let (cpu, begun) = (server.cpu(), Instant::now());
    let tasks: Vec<_> = streams
        .into_iter()
        .enumerate()
        .map(|(number, mut stream)| {
            let body = body.clone();
            tokio::spawn(async move {
                let mut done = 0;
                while begun.elapsed() < time {
                    once(&mut stream, number, command, &body, want).await;
                    done += 1;
                }
                done
            })
        })
        .collect();
    let mut requests = 0;
    for task in tasks {
        requests += task.await.unwrap();
    }
    Run { requests, wall: begun.elapsed(), cpu: server.cpu() - cpu }
}

async fn once<S>(stream: &mut S, number: usize, command: &str, body: &[u8], want: usize)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    phones::send(stream, &phones::request(number, command, body)).await;
    let (status, length) = phones::taken(stream).await;
    assert_eq!((status, length), (200, want));
}

impl Process {
    /// nginx as it passes everything on: TLS as its Debian package has it, connections kept behind.
    fn nginx(upstream: &str) -> Self {
        let folder = process::folder("nginx");
        process::certificate(&folder);
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let at = |name: &str| folder.join(name).display().to_string();
        let text = format!(
            "daemon off;\nworker_processes auto;\npid {};\nerror_log stderr error;\nevents {{ worker_connections 4096; }}\n\
             http {{\n  access_log off;\n  client_body_temp_path {};\n  proxy_temp_path {};\n  fastcgi_temp_path {};\n  uwsgi_temp_path {};\n\
             \x20 scgi_temp_path {};\n  client_max_body_size 0;\n  keepalive_requests 10000000;\n\
             \x20 upstream mail {{ server {upstream}; keepalive 256; keepalive_requests 10000000; }}\n\
             \x20 server {{\n    listen {address} ssl;\n    ssl_certificate {};\n    ssl_certificate_key {};\n\
             \x20   location / {{ proxy_pass http://mail; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}\n  }}\n}}\n",
            at("pid"),
            at("body"),
            at("proxy"),
            at("fastcgi"),
            at("uwsgi"),
            at("scgi"),
            at("chain.pem"),
            at("key.pem"),
        );
        std::fs::write(folder.join("nginx.conf"), text).unwrap();
        let path = Path::new("/usr/sbin/nginx");
        let program = if path.is_file() { path } else { Path::new("nginx") };
        let mut command = std::process::Command::new(program);
        let child = command.arg("-c").arg(folder.join("nginx.conf")).arg("-p").arg(&folder).spawn().unwrap();
        let limit = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(address).is_err() {
            assert!(Instant::now() < limit, "nginx did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        Self::with_workers(child, folder, address)
    }
}
