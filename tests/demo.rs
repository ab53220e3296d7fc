//! The demonstration as a test: thirty devices of all kinds, wipes with evidence on each channel, the breaker; nothing may fall short.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
};

/// A process that does not outlive the test.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// Lines up to the first that holds this.
    fn lines_to(from: impl std::io::Read, words: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for line in BufReader::new(from).lines() {
            let line = line.unwrap();
            let last = line.contains(words);
            lines.push(line);
            if last {
                return lines;
            }
        }
        panic!("it ended before it said {words:?}: {lines:#?}");
    }

    /// Ctrl-C.
    fn interrupt(mut self) -> Option<i32> {
        let killed = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status().unwrap();
        assert!(killed.success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn shell(said: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", said]);
    shell
}

#[test]
fn what_it_says_to_try_works_as_it_stands() {
    let mut demo = Running::start(Command::new(env!("CARGO_BIN_EXE_lanyard")).arg("demo").stderr(Stdio::piped()));
    let said = Running::lines_to(demo.0.stderr.take().unwrap(), "Ctrl-C ends the demo");
    // The progress is set in by two blanks.
    let commands: Vec<&str> = said.iter().filter_map(|line| line.strip_prefix("    ")).collect();
    let [export, status, list, wipe, simulate] = commands[..] else { panic!("{said:#?}") };
    let done = |command: &str| -> Output { shell(&format!("{export}; {command}")).output().unwrap() };

    assert!(done(status).status.success());
    assert!(String::from_utf8(done(list).stdout).unwrap().lines().count() > 20);
    // At a terminal it asks.
    let wiped = done(&format!("{wipe} --yes"));
    assert!(wiped.status.success(), "{wiped:?}");
    assert!(String::from_utf8(wiped.stdout).unwrap().contains("state: confirmed"));

    let mut own = Running::start(shell(&format!("{export}; exec {simulate}")).stdout(Stdio::piped()));
    let shown = Running::lines_to(own.0.stdout.take().unwrap(), ": enrolled");
    let name = shown.last().unwrap().rsplit(' ').next().unwrap();
    assert!(done(&format!("{} lock {name}", env!("CARGO_BIN_EXE_lanyard"))).status.success());
    assert_eq!((own.interrupt(), demo.interrupt()), (Some(0), Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_falls_short() {
    lanyard_certs::providers::init().unwrap();
    let good = lanyard::demo::run(lanyard::demo::Options { once: true }, false).await;
    assert_eq!(good, Ok(true), "the table above says what fell short");
}
