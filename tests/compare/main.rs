//! Two programs live through the same day, and all that they then show is compared, byte for byte but for ids, times and secrets:
//! `GET` of every route, every verb. `LANYARD_COMPARE_WITH` names the other program (`cargo xtask compare PROGRAM`); without it the
//! program of this build is compared with itself, which shows that the day is the same each time.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    unreachable_pub
)]

mod alike;
mod asks;
mod day;
mod house;
mod record;

use house::House;
use record::Record;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// What is said on a connector's machine, and asks nothing that the day has.
const ELSEWHERE: [&str; 3] = ["connector check", "connector enrol", "connector run"];

/// Every verb that asks a server, as its words without arguments.
fn verbs() -> BTreeSet<String> {
    fn walk(command: &clap::Command, before: &str, found: &mut BTreeSet<String>) {
        for inner in command.get_subcommands() {
            let words = format!("{before} {}", inner.get_name()).trim().to_owned();
            match inner.has_subcommands() {
                true => walk(inner, &words, found),
                false => found.extend([words]),
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(&<lanyard::cli::Verb as clap::Subcommand>::augment_subcommands(clap::Command::new("")), "", &mut found);
    found.retain(|verb| !ELSEWHERE.contains(&verb.as_str()));
    found
}

async fn lived(program: &Path) -> House {
    let mut house = House::open(program).await;
    day::live(&mut house).await;
    asks::everything(&mut house).await;
    house
}

/// What differs, as it is printed.
fn told(one: &Record, other: &Record) -> String {
    let found = one.differences(other);
    found.iter().map(|(route, texts)| format!("{route}\n\n{}\n", texts.join("\n"))).collect()
}

/// What a careless change would leave: one field of one answer has another name.
fn one_answer_with_another_field(record: &Record) -> Record {
    let mut renamed = record.clone();
    let device =
        renamed.0.iter_mut().find(|e| e.route == "GET /api/v1/devices/{id}" && e.answer.contains("\"last_seen\""));
    let device = device.unwrap();
    device.answer = device.answer.replacen("\"last_seen\"", "\"seen\"", 1);
    renamed
}

#[tokio::test(flavor = "multi_thread")]
async fn two_programs_show_the_same_after_the_same_day() {
    let ours = PathBuf::from(env!("CARGO_BIN_EXE_lanyard"));
    let other = std::env::var_os("LANYARD_COMPARE_WITH").map_or_else(|| ours.clone(), PathBuf::from);
    // At once: most of a day is waiting.
    let other = tokio::spawn(async move { lived(&other).await.record.clone() });
    let house = lived(&ours).await;
    let other = other.await.unwrap();
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compare");
    std::fs::create_dir_all(&kept).unwrap();
    std::fs::write(kept.join("before"), other.to_string()).unwrap();
    std::fs::write(kept.join("now"), house.record.to_string()).unwrap();

    let left: Vec<String> = verbs().difference(&house.verbs).cloned().collect();
    assert_eq!(left, [""; 0], "verbs that are not in the day");
    let all: String = house.record.0.iter().map(|entry| entry.answer.as_str()).collect();
    for state in ["held", "queued", "sent", "acknowledged", "confirmed", "presumed", "failed", "cancelled"] {
        assert!(all.contains(&format!("\"state\": \"{state}\"")), "the day has no command that is {state}");
    }
    let renamed = one_answer_with_another_field(&house.record);
    assert_eq!(house.record.differences(&renamed).into_keys().collect::<Vec<_>>(), ["GET /api/v1/devices/{id}"]);

    let differs = told(&other, &house.record);
    assert!(differs.is_empty(), "- the program before, + this one; whole in {}\n\n{differs}", kept.display());
}
