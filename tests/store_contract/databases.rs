//! What PostgreSQL alone can do to a store: clocks that are set under it, copies that are put back, newer programs, writes that
//! fail. Engine by engine, without the domain.

use crate::{
    ahead::{Number, more},
    fixture::{new_database, open_postgres, options},
};
use lanyard::{
    clock::{Steady, Timestamp},
    store::{Changes, Engine, Fault, Moment, Postgres, Reader, Rise, Store, Tx, Writes},
};
use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

const YEAR: i64 = 365 * 24 * 3_600_000;

/// A database, and a data folder that is gone afterwards.
struct Place {
    url: String,
    folder: PathBuf,
}

impl Place {
    fn new() -> Option<Self> {
        let Ok(url) = std::env::var("LANYARD_TEST_POSTGRES") else {
            eprintln!("skipped: no LANYARD_TEST_POSTGRES (cargo xtask test sets one up)");
            return None;
        };
        let folder = std::env::temp_dir().join(format!("lanyard-databases-{}", uuid::Uuid::new_v4()));
        Some(Self { url: new_database(&url), folder })
    }

    fn open(&self, node: &str) -> Result<Postgres, Fault> {
        open_postgres(&self.url, node, &self.folder.join(node))
    }

    fn accept(&self, node: &str, commit: u64) -> Result<Postgres, Fault> {
        let mark = self.mark(node);
        Postgres::accept(&self.url, node, &roots(), &mark, commit)
    }

    fn mark(&self, node: &str) -> PathBuf {
        self.folder.join(node).join("store.mark")
    }

    fn sql(&self, statement: &str) {
        let mut client = self.url.parse::<postgres::Config>().unwrap().connect(postgres::NoTls).unwrap();
        client.batch_execute(statement).unwrap();
    }

    /// The clock that the database shows from now on is so far off.
    fn shift(&self, millis: i64) {
        let (_, name) = self.url.rsplit_once('/').unwrap();
        self.sql(&format!(
            "CREATE OR REPLACE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS \
             $$ SELECT pg_catalog.clock_timestamp() + {millis} * interval '1 millisecond' $$; \
             ALTER DATABASE {name} SET search_path = public, pg_catalog"
        ));
    }

    /// Ends all other sessions on the database, as a failover does.
    fn cut(&self) {
        self.sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
                  WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn roots() -> Arc<rustls::RootCertStore> {
    Arc::new(rustls::RootCertStore::empty())
}

fn writes(pairs: &[(&str, &str)]) -> Writes {
    pairs.iter().map(|(key, value)| ((*key).to_string(), Some(value.as_bytes().to_vec()))).collect()
}

/// A batch that writes this.
fn write(store: &mut Postgres, pairs: &[(&str, &str)]) -> Result<Moment, Fault> {
    let moment = store.begin()?;
    store.changes()?;
    store.commit(&writes(pairs), &Changes::new())?;
    Ok(moment)
}

/// A batch that reads this.
fn read(store: &mut Postgres, key: &str) -> Result<Option<String>, Fault> {
    store.begin()?;
    store.changes()?;
    let found = store.get(key)?;
    store.commit(&Writes::new(), &Changes::new())?;
    Ok(found.map(|bytes| String::from_utf8(bytes).unwrap()))
}

fn refusal<T>(opened: Result<T, Fault>) -> String {
    match opened.err() {
        Some(Fault::Refused(words)) => words,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_database_clock_that_is_set_changes_the_wall_clock_alone() {
    let Some(place) = Place::new() else { return };
    place.shift(0);
    let mut store = place.open("a").unwrap();
    let mut last = write(&mut store, &[("k", "1")]).unwrap();
    for (number, shift) in [3 * YEAR, -2 * YEAR, 7_200_000, 0].into_iter().enumerate() {
        place.shift(shift);
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(30));
            let moment = write(&mut store, &[("k", "2")]).unwrap();
            let passed = moment.steady.since(last.steady);
            assert!(passed < Duration::from_secs(20), "{number}: steady grew by {passed:?}");
            assert!(moment.steady >= last.steady, "{number}: {moment:?} after {last:?}");
            last = moment;
        }
        let apart = (last.wall.0 - last.steady.0 - shift).abs();
        assert!(apart < 60_000, "{number}: the wall clock is as the database shows it, {apart} ms");
        assert!(
            last.steady > write(&mut store, &[]).unwrap().steady.minus(Duration::from_secs(20)),
            "{number}: it goes on"
        );
    }
    drop(store);
    let again = write(&mut place.open("a").unwrap(), &[("k", "3")]).unwrap();
    assert!(again.steady >= last.steady, "kept over a restart");
}

#[test]
fn time_goes_on_from_what_another_node_noted() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open("a").unwrap();
    let begun = write(&mut store, &[("k", "1")]).unwrap();
    let later = begun.steady.plus(Duration::from_secs(3600));
    place.sql(&format!("UPDATE lanyard_time SET steady = {}", later.0));
    assert!(write(&mut store, &[("k", "2")]).unwrap().steady >= later, "another node has seen a later time");
}

#[test]
fn a_newer_layout_is_refused_at_a_start_and_at_each_new_connection() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open("a").unwrap();
    write(&mut store, &[("k", "1")]).unwrap();
    place.sql("INSERT INTO lanyard_layout VALUES (99)");
    place.cut();
    assert!(matches!(store.begin(), Err(Fault::Newer { found: 99, .. })), "a program that was upgraded beside us");
    assert!(matches!(store.changes(), Err(Fault::Newer { found: 99, .. })));
    let refused = place.open("b").err().unwrap();
    assert!(matches!(refused, Fault::Newer { found: 99, .. }), "{refused}");
}

/// As the first version left it.
const LAYOUT_1: &str = r#"
    CREATE TABLE lanyard_layout (layout integer NOT NULL);
    INSERT INTO lanyard_layout VALUES (1);
    CREATE TABLE lanyard_docs (key text COLLATE "C" PRIMARY KEY, value bytea NOT NULL);
    CREATE TABLE lanyard_feed (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
        at timestamptz NOT NULL DEFAULT now(), node text NOT NULL, subjects text[] NOT NULL, keys bigint[] NOT NULL);
    CREATE INDEX lanyard_feed_xid ON lanyard_feed (xid);
    CREATE INDEX lanyard_feed_at ON lanyard_feed (at);
    CREATE TABLE lanyard_time (latest bigint NOT NULL);
    INSERT INTO lanyard_time VALUES (1900000000000);
    INSERT INTO lanyard_docs SELECT 'default/thing/' || n, convert_to('old ' || n, 'UTF8') FROM generate_series(1, 1200) AS n;
"#;

#[test]
fn a_database_of_layout_1_is_brought_up_while_no_other_node_is_connected() {
    let Some(place) = Place::new() else { return };
    place.sql(LAYOUT_1);
    let rise: Arc<Rise> = Arc::new(|key: &str, value: &[u8]| {
        let text = String::from_utf8(value.to_vec()).unwrap().replace("old", "new");
        Ok(vec![(key.replace("thing", "matter"), text.into_bytes()), (format!("{key}/index"), Vec::new())])
    });
    std::fs::create_dir_all(place.folder.join("a")).unwrap();
    let open = || Postgres::open(&place.url, "a", &roots(), &place.mark("a"), rise.clone());
    let mut config = place.url.parse::<postgres::Config>().unwrap();
    let other = config.application_name("lanyard").connect(postgres::NoTls).unwrap();
    let words = refusal(open());
    assert!(words.contains("other nodes are connected to it: stop all of them"), "{words}");
    drop(other);
    let mut store = open().unwrap();
    assert_eq!(read(&mut store, "default/matter/77").unwrap().as_deref(), Some("new 77"));
    let moment = store.begin().unwrap();
    assert_eq!(store.scan("default/", None, usize::MAX).unwrap().len(), 2400);
    assert_eq!(moment.steady.max(Steady(1_900_000_000_000)), moment.steady, "goes on from the highest time seen");
    assert!(moment.wall < Timestamp(moment.steady.0), "and the wall clock is as it is");
    store.commit(&Writes::new(), &Changes::new()).unwrap();
    place.sql("DO $$ BEGIN ASSERT (SELECT count(*) FROM lanyard_docs_layout1 WHERE value LIKE 'old %') = 1200; END $$");
}

#[test]
fn a_database_of_layout_1_with_a_record_that_cannot_be_read_stays_as_it_is() {
    let Some(place) = Place::new() else { return };
    place.sql(LAYOUT_1);
    let rise: Arc<Rise> = Arc::new(|key: &str, _: &[u8]| match key.ends_with("/900") {
        true => Err("no such field".into()),
        false => Ok(Vec::new()),
    });
    std::fs::create_dir_all(place.folder.join("a")).unwrap();
    let refused = Postgres::open(&place.url, "a", &roots(), &place.mark("a"), rise).err().unwrap();
    assert!(matches!(&refused, Fault::Corrupt { key, .. } if key == "default/thing/900"), "{refused}");
    place.sql(
        "DO $$ BEGIN ASSERT (SELECT count(*) FROM lanyard_docs) = 1200; \
               ASSERT (SELECT max(layout) FROM lanyard_layout) = 1; END $$",
    );
}

#[test]
fn an_empty_database_and_another_one_are_refused_to_a_node_that_knows_its_store() {
    let (Some(place), Some(other)) = (Place::new(), Place::new()) else { return };
    write(&mut place.open("a").unwrap(), &[("k", "1")]).unwrap();
    let empty = Place { url: other.url.clone(), folder: place.folder.clone() };
    let words = refusal(empty.open("a"));
    assert!(words.contains("empty") && words.contains("lanyard store accept-loss"), "{words}");
    let checked = Postgres::check(&empty.url, &roots(), &place.mark("a")).unwrap();
    assert!(!checked.ok && checked.commit == Some(0) && checked.expected == Some(1), "{checked:?}");
    drop(other.open("b").unwrap());
    let words = refusal(empty.open("a"));
    assert!(words.contains("another store") && words.contains("lanyard store accept-loss"), "{words}");
    write(&mut empty.accept("a", 0).unwrap(), &[("stop", "on")]).unwrap();
    drop(empty.open("a").unwrap());
}

#[test]
fn a_database_that_was_taken_back_is_refused_until_the_loss_is_accepted() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open("a").unwrap();
    for _ in 0..5 {
        write(&mut store, &[("k", "1")]).unwrap();
    }
    place.sql(
        "UPDATE lanyard_time SET commit = 3, token = (SELECT token FROM lanyard_feed WHERE commit = 3); \
               DELETE FROM lanyard_feed WHERE commit > 3",
    );
    place.cut();
    let words = refusal(store.begin());
    assert!(
        words.contains("this node saw commit 5, and the database's last one is 3"),
        "a standby that had not all: {words}"
    );
    drop(store);
    let words = refusal(place.open("a"));
    assert!(words.contains("behind") && words.contains("lanyard store accept-loss"), "{words}");
    let checked = Postgres::check(&place.url, &roots(), &place.mark("a")).unwrap();
    let shown = (checked.ok, checked.commit, checked.expected, checked.records);
    assert_eq!(shown, (false, Some(3), Some(5), 1), "{checked:?}");
    let words = refusal(place.accept("a", 4));
    assert!(words.contains("last commit is 3, not 4"), "{words}");
    drop(place.accept("a", 3).unwrap());
    let words = refusal(place.open("a"));
    assert!(words.contains("behind"), "cut off before anything was committed: {words}");
    let mut accepted = place.accept("a", 3).unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| read(&mut place.open("b").unwrap(), "stop"));
        for _ in 0..8 {
            std::thread::sleep(Duration::from_millis(250));
            accepted.changes().unwrap();
        }
        assert!(!other.is_finished(), "nobody comes before its first batch");
        write(&mut accepted, &[("stop", "on")]).unwrap();
        assert_eq!(other.join().unwrap().unwrap().as_deref(), Some("on"));
    });
    assert!(refusal(place.accept("c", 4)).contains("other nodes are connected"));
    drop(accepted);
    let checked = Postgres::check(&place.url, &roots(), &place.mark("a")).unwrap();
    assert!(checked.ok && checked.why.is_none(), "{checked:?}");
    write(&mut place.open("a").unwrap(), &[("k", "2")]).unwrap();
}

#[test]
fn a_commit_that_another_one_took_the_place_of_is_missed() {
    let Some(place) = Place::new() else { return };
    let (mut first, mut second) = (place.open("a").unwrap(), place.open("b").unwrap());
    write(&mut first, &[("k", "1")]).unwrap();
    second.changes().unwrap();
    let restored = "UPDATE lanyard_time SET commit = 0, token = 0; DELETE FROM lanyard_feed";
    place.sql(restored);
    place.cut();
    let mut third = place.open("c").unwrap();
    for _ in 0..2 {
        write(&mut third, &[("k", "2")]).unwrap();
        for store in [&mut first, &mut second] {
            let words = refusal(store.begin());
            assert!(words.contains("commit 1 that this node saw is not there"), "{words}");
        }
    }
}

#[test]
fn readers_see_one_moment_beside_the_writer() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open("a").unwrap();
    let many: Vec<(String, Option<Vec<u8>>)> =
        (0..5000).map(|n| (format!("t/thing/{n:05}"), Some(b"before".to_vec()))).collect();
    store.begin().unwrap();
    store.changes().unwrap();
    store.commit(&many.into_iter().collect(), &Changes::new()).unwrap();
    let readers = store.readers().unwrap();
    let mut reader = readers.open().unwrap();
    assert_eq!(reader.get("t/thing/00007").unwrap().as_deref(), Some(b"before".as_slice()));
    write(&mut store, &[("t/thing/00007", "after"), ("t/thing/99999", "new")]).unwrap();
    assert_eq!(reader.get("t/thing/00007").unwrap().as_deref(), Some(b"before".as_slice()));
    assert_eq!(reader.scan("t/thing/", None, usize::MAX).unwrap().len(), 5000);
    let page = reader.scan("t/thing/", Some("t/thing/00100"), 2500).unwrap();
    let ends = (page.first().unwrap().0.as_str(), page.last().unwrap().0.as_str(), page.len());
    assert_eq!(ends, ("t/thing/00101", "t/thing/02600", 2500));
    let keys = ["t/thing/00002", "t/none", "t/thing/00001", "t/thing/00002"].map(String::from);
    let found: Vec<bool> = reader.get_many(&keys).unwrap().iter().map(Option::is_some).collect();
    assert_eq!(found, [true, false, true, true]);
    drop(reader);
    let mut reader = readers.open().unwrap();
    assert_eq!(
        reader.get("t/thing/00007").unwrap().as_deref(),
        Some(b"after".as_slice()),
        "a new one sees what is new"
    );
    drop(reader);
    let out: Vec<_> = (0..4).map(|_| readers.open().unwrap()).collect();
    let last = readers.clone();
    let waiting = std::thread::spawn(move || last.open().map(|mut reader| reader.get("t/thing/99999").unwrap()));
    place.cut();
    drop(out);
    assert_eq!(
        waiting.join().unwrap().unwrap().as_deref(),
        Some(b"new".as_slice()),
        "after its turn, on a new connection"
    );
}

#[test]
fn a_batch_of_which_surely_nothing_stays_is_busy_and_the_next_one_goes_on() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open("a").unwrap();
    write(&mut store, &[("k", "1")]).unwrap();
    place.sql(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$; \
         CREATE TRIGGER full_disk BEFORE INSERT ON lanyard_docs EXECUTE FUNCTION full_disk()",
    );
    assert!(matches!(write(&mut store, &[("k", "2"), ("l", "2")]), Err(Fault::Busy)));
    place.sql("DROP TRIGGER full_disk ON lanyard_docs");
    assert_eq!(read(&mut store, "k").unwrap().as_deref(), Some("1"));
    assert_eq!(read(&mut store, "l").unwrap(), None);
    write(&mut store, &[("k", "3")]).unwrap();
    store.begin().unwrap();
    store.changes().unwrap();
    place.cut();
    let broken = store.get("not seen yet");
    assert!(matches!(broken, Err(Fault::Busy)), "{broken:?}: the connection broke before the commit was sent");
    assert!(matches!(store.commit(&writes(&[("k", "4")]), &Changes::new()), Err(Fault::Busy)));
    assert_eq!(read(&mut store, "k").unwrap().as_deref(), Some("3"));
}

#[test]
fn a_store_that_takes_no_writes_is_away_to_those_who_only_read_until_it_takes_them_again() {
    let Some(place) = Place::new() else { return };
    let mut store = place.open("a").unwrap();
    write(&mut store, &[("k", "1")]).unwrap();
    place.sql(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS \
         $$ BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$; \
         CREATE TRIGGER full_disk BEFORE INSERT ON lanyard_feed EXECUTE FUNCTION full_disk()",
    );
    assert_eq!(read(&mut store, "k").unwrap().as_deref(), Some("1"), "nobody knows yet");
    assert!(matches!(write(&mut store, &[("k", "2")]), Err(Fault::Busy)));
    for _ in 0..2 {
        let away = read(&mut store, "k").unwrap_err();
        assert!(matches!(&away, Fault::Away(why) if why.contains("No space left on device")), "{away}");
    }
    place.sql("DROP TRIGGER full_disk ON lanyard_feed");
    assert_eq!(read(&mut store, "k").unwrap().as_deref(), Some("1"));
    write(&mut store, &[("k", "2")]).unwrap();
}

#[test]
fn a_start_that_cannot_be_names_the_cause_first() {
    let Some(place) = Place::new() else { return };
    let (who, rest) = place.url.split_once('@').unwrap();
    let wrong = |url: String| Place { url, folder: place.folder.clone() };
    let words = refusal(wrong(format!("{who}wrong@{rest}")).open("a"));
    assert!(words.starts_with("password authentication failed for user"), "{words}");
    let words = refusal(wrong(format!("{}_none", place.url)).open("a"));
    assert!(words.starts_with("database \"") && words.contains("does not exist"), "{words}");
    assert!(!Path::new(&place.mark("a")).exists());
}

/// Nodes under load run calls ahead of their turns: no count of all of them loses one, and what one of them has been told is so, is so for
/// whoever asks another one afterwards.
#[test]
fn nodes_that_write_at_once_lose_nothing_and_see_what_was_acknowledged() {
    let Some(place) = Place::new() else { return };
    let nodes = ["a", "b", "c"].map(|node| Store::start(Box::new(place.open(node).unwrap()), options(node)));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(at_once(nodes.to_vec()));
}

async fn at_once(nodes: Vec<Store>) {
    let runs = Arc::<AtomicUsize>::default();
    let callers: Vec<_> = (0..96)
        .map(|caller| {
            let (store, runs) = (nodes[caller % nodes.len()].clone(), runs.clone());
            tokio::spawn(async move {
                for round in 0..30 {
                    let runs = runs.clone();
                    let call = move |tx: &mut Tx<'_>| {
                        runs.fetch_add(1, SeqCst);
                        // Most touch what is theirs, some what is everybody's.
                        if (caller + round) % 40 == 0 {
                            more(tx, "shared")?;
                        }
                        more(tx, &format!("of {caller}"))
                    };
                    let found = store.run(call).await.unwrap();
                    assert_eq!(found, u64::try_from(round).unwrap() + 1, "caller {caller}");
                }
            })
        })
        .collect();
    let flag = tokio::spawn({
        let nodes = nodes.clone();
        async move {
            for n in 1..=60_u64 {
                let told = nodes[0].run(|tx| more(tx, "flag")).await.unwrap();
                assert_eq!(told, n);
                for other in &nodes[1..] {
                    let seen = other.run(|tx| Ok(tx.get::<Number>("flag")?.map_or(0, |flag| flag.is)));
                    assert_eq!(seen.await.unwrap(), n, "acknowledged before it was asked");
                }
            }
        }
    });
    for caller in callers {
        caller.await.unwrap();
    }
    flag.await.unwrap();
    let wanted = (0..96).flat_map(|caller| (0..30).map(move |round| caller + round)).filter(|n| n % 40 == 0).count();
    let shared = nodes[2].run(|tx| Ok(tx.get::<Number>("shared")?.map_or(0, |number| number.is))).await.unwrap();
    assert_eq!(shared, u64::try_from(wanted).unwrap());
    // Some were run again: they were run ahead at all.
    assert!(runs.load(SeqCst) > 96 * 30, "{} runs", runs.load(SeqCst));
    for node in nodes {
        node.end().await;
    }
}
