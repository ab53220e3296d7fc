//! Two nodes on one PostgreSQL database, each with its own memory of what it has read: neither may ever act on what is no longer so.

use crate::fixture::{Dice, fresh_database, open_postgres, options};
use lanyard::store::{Record, Store, Tx};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Count {
    name: String,
    value: u64,
}
impl Record for Count {
    const KIND: &'static str = "test-count";
    fn key(&self) -> String {
        self.name.clone()
    }
}

async fn pair() -> Option<[Store; 2]> {
    let Ok(url) = std::env::var("LANYARD_TEST_POSTGRES") else {
        eprintln!("skipped: no LANYARD_TEST_POSTGRES (cargo xtask test sets one up)");
        return None;
    };
    let url = fresh_database(&url).await;
    let open = |node: &'static str| {
        let url = url.clone();
        tokio::task::spawn_blocking(move || {
            let folder = std::env::temp_dir().join(format!("lanyard-{node}-{}", uuid::Uuid::new_v4()));
            let engine = open_postgres(&url, node, &folder).unwrap();
            std::fs::remove_dir_all(folder).unwrap();
            Store::start(Box::new(engine), options(node))
        })
    };
    Some([open("node-a").await.unwrap(), open("node-b").await.unwrap()])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_writes_the_other_reads() {
    let Some(nodes) = pair().await else { return };
    let seed = uuid::Uuid::new_v4().as_u64_pair().0;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let mut model: BTreeMap<String, u64> = BTreeMap::new();
    for round in 0..600_u64 {
        let node = &nodes[dice.below(2)];
        let (name, act) = (format!("count {}", dice.below(5)), dice.below(4));
        let asked = name.clone();
        let before = node.run(move |tx| {
            let found = tx.get::<Count>(&asked)?;
            let count = Count { name: asked, value: round };
            match act {
                0 => tx.put(&count)?,
                1 => tx.delete(&count)?,
                _ => {}
            }
            Ok(found.map(|count| count.value))
        });
        assert_eq!(before.await.unwrap(), model.get(&name).copied(), "round {round}, {name}");
        match act {
            0 => drop(model.insert(name, round)),
            1 => drop(model.remove(&name)),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_of_two_nodes_add_up() {
    let Some(nodes) = pair().await else { return };
    let add = |tx: &mut Tx<'_>| {
        let mut count = tx.get::<Count>("all")?.unwrap_or(Count { name: "all".into(), value: 0 });
        count.value += 1;
        tx.put(&count)?;
        Ok(count.value)
    };
    let callers = (0..40_usize).map(|number| {
        let node = nodes[number % 2].clone();
        tokio::spawn(async move {
            let mut seen = Vec::new();
            for _ in 0..50 {
                seen.push(node.run(add).await.unwrap());
            }
            seen
        })
    });
    let mut seen = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        seen.extend(caller.await.unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=2000).collect::<Vec<u64>>(), "no count was given twice, none is missing");
}
