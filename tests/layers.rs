//! Who may use whom in `src/`: the `use` lines against the table in ARCHITECTURE.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// Module to those it may use, from the table; rows in order, so that "all above" means something.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let page = include_str!("../ARCHITECTURE.md");
    let (_, section) = page.split_once("## Layers of `src/`").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let words = |text: &str| text.split(", ").map(|w| w.trim().to_string()).collect::<Vec<_>>();
    let mut table: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut above: BTreeSet<String> = BTreeSet::new();
    for line in section.lines().filter(|l| l.starts_with("| ") && !l.starts_with("| ---") && !l.starts_with("| module"))
    {
        let (modules, may) = line.trim_matches(['|', ' ']).split_once(" | ").unwrap();
        let modules = words(modules);
        let mut uses = BTreeSet::new();
        for word in words(may) {
            match word.as_str() {
                "nothing of ours" => {}
                "each other" => uses.extend(modules.iter().cloned()),
                "all above" => uses.extend(above.iter().cloned()),
                other => match other.strip_prefix("all above but ") {
                    Some(but) => uses.extend(above.iter().filter(|m| *m != but).cloned()),
                    None => drop(uses.insert(other.to_string())),
                },
            }
        }
        for module in &modules {
            table.insert(module.clone(), uses.clone());
        }
        above.extend(modules);
    }
    table
}

/// The top-level modules that a source text names after `crate::`, tests and comments left out.
fn used(text: &str) -> BTreeSet<String> {
    let code: String = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap()
        .lines()
        .map(|line| line.split("//").next().unwrap().to_string() + "\n")
        .collect();
    let word = |s: &str| s.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut found = BTreeSet::new();
    for part in code.split("crate::").skip(1) {
        let Some(group) = part.strip_prefix('{') else {
            found.insert(word(part));
            continue;
        };
        let (mut depth, mut item) = (1, String::new());
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            if depth == 0 || (depth == 1 && c == ',') {
                found.insert(word(item.trim()));
                item.clear();
            } else {
                item.push(c);
            }
            if depth == 0 {
                break;
            }
        }
    }
    found.remove("");
    found
}

fn visit(folder: &Path, each: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { visit(&path, each) } else { each(&path) }
    }
}

#[test]
fn modules_use_only_what_the_table_lets_them() {
    let (allowed, mut wrong) = (allowed(), Vec::new());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let modules: BTreeSet<&String> = allowed.keys().collect();
    let mut seen = BTreeSet::new();
    visit(&root, &mut |path| {
        let inside = path.strip_prefix(&root).unwrap();
        let module = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_string();
        let name = path.file_name().unwrap().to_str().unwrap();
        if ["lib", "main"].contains(&module.as_str()) || ["tests.rs", "testbed.rs", "for_ever.rs"].contains(&name) {
            return;
        }
        let Some(may) = allowed.get(&module) else {
            wrong.push(format!("{module} is not in the table"));
            return;
        };
        seen.insert(module.clone());
        for other in used(&std::fs::read_to_string(path).unwrap()) {
            if other != module && modules.contains(&other) && !may.contains(&other) {
                wrong.push(format!("{} uses {other}", inside.display()));
            }
        }
    });
    assert_eq!(wrong, [""; 0]);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>(), modules, "the table names modules that are gone");
}
