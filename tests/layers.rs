//! Who may use whom in `src/`: what files name against the tables in ARCHITECTURE.md, and no circle of files. And the tests that pages name.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// A file by its place: `fleet/queue/exchange` for `src/fleet/queue/exchange.rs`.
type Place = Vec<String>;

/// What a room may use, by the room.
type Table = BTreeMap<String, BTreeSet<String>>;

/// The tables of the page: the rooms of `src/`, and those of `src/fleet/`.
fn tables() -> [Table; 2] {
    let page = include_str!("../ARCHITECTURE.md");
    let (_, section) = page.split_once("## Layers of `src/`").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let (rooms, fleet) = section.split_once("Within `src/fleet/`").unwrap();
    [table(rooms), table(fleet)]
}

/// Rows in order, so that "all above" means something.
fn table(section: &str) -> Table {
    let words = |text: &str| text.split(", ").map(|w| w.trim().to_string()).collect::<Vec<_>>();
    let (mut table, mut above) = (Table::new(), BTreeSet::new());
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| ---") && !line.starts_with("| module");
    for line in section.lines().filter(is_row) {
        let (modules, may) = line.trim_matches(['|', ' ']).split_once(" | ").unwrap();
        let modules = words(modules);
        let mut uses = BTreeSet::new();
        for word in words(may) {
            match word.as_str() {
                "nothing of ours" => {}
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

fn visit(folder: &Path, each: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { visit(&path, each) } else { each(&path) }
    }
}

/// Every file, with its code: tests and comments left out.
fn files() -> BTreeMap<Place, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = BTreeMap::new();
    visit(&root, &mut |path| {
        let inside = path.strip_prefix(&root).unwrap().with_extension("");
        let place: Place = inside.iter().map(|part| part.to_str().unwrap().to_string()).collect();
        let of_tests =
            ["lib", "main", "small", "whole", "tests", "testbed", "for_ever"].contains(&place.last().unwrap().as_str());
        if !of_tests {
            let text = std::fs::read_to_string(path).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let lines = code.lines().map(|line| line.split("//").next().unwrap().to_string() + "\n");
            files.insert(place, lines.collect());
        }
    });
    files
}

/// The paths of a tree of `use`, braces taken apart.
fn paths(tree: &str, before: &[String]) -> Vec<Place> {
    let tree = tree.trim();
    if let Some(inside) = tree.strip_prefix('{') {
        let (mut depth, mut start, mut found) = (0, 0, Vec::new());
        // What only looks like `use`, in a text, has no such end.
        let Some(inside) = inside.trim_end().strip_suffix('}') else { return found };
        for (at, c) in inside.char_indices().chain([(inside.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    let item = inside[start..at].trim();
                    if !item.is_empty() {
                        found.extend(paths(item, before));
                    }
                    start = at + 1;
                }
                _ => {}
            }
        }
        return found;
    }
    let name = tree.split(" as ").next().unwrap();
    let (head, rest) = name.split_once("::{").map_or((name, None), |(head, rest)| (head, Some(format!("{{{rest}"))));
    let mut path = before.to_vec();
    path.extend(head.split("::").map(|part| part.trim().to_string()));
    rest.map_or_else(|| vec![path.clone()], |rest| paths(&rest, &path))
}

/// All paths that a file names: in `use`, and in its code after `crate::` or `super::`.
fn named(code: &str) -> Vec<Place> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let line = code[..at].rsplit('\n').next().unwrap().trim();
        if line.is_empty() || line.starts_with("pub") {
            found.extend(paths(code[at + 4..].split(';').next().unwrap(), &[]));
        }
    }
    for root in ["crate::", "super::"] {
        for (at, _) in code.match_indices(root) {
            let path = code[at..].chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect::<String>();
            found.push(path.trim_matches(':').split("::").map(str::to_string).collect());
        }
    }
    found
}

/// The file that a path leads to, as the file at `from` names it.
fn file_of(files: &BTreeMap<Place, String>, from: &Place, path: &[String]) -> Option<Place> {
    let mut place = match path.first()?.as_str() {
        "crate" => path[1..].to_vec(),
        "super" => {
            let ups = path.iter().take_while(|part| *part == "super").count();
            [&from[..from.len().saturating_sub(ups)], &path[ups..]].concat()
        }
        "self" => [from, &path[1..]].concat(),
        child => {
            let place = [from.as_slice(), &[child.to_string()]].concat();
            if !files.contains_key(&place) {
                return None;
            }
            [from, path].concat()
        }
    };
    while !place.is_empty() && !files.contains_key(&place) {
        place.pop();
    }
    (!place.is_empty()).then_some(place)
}

/// Which files each file uses.
fn uses(files: &BTreeMap<Place, String>) -> BTreeMap<Place, BTreeSet<Place>> {
    let of = |(place, code): (&Place, &String)| {
        let paths = named(code);
        let used = paths.iter().filter_map(|path| file_of(files, place, path)).filter(|used| used != place);
        (place.clone(), used.collect())
    };
    files.iter().map(of).collect()
}

#[test]
fn modules_use_only_what_the_tables_let_them() {
    let files = files();
    let uses = uses(&files);
    let mut wrong = Vec::new();
    for (depth, table) in tables().iter().enumerate() {
        let within = |place: &Place| depth == 0 || (place[0] == "fleet" && place.len() > 1);
        let mut seen = BTreeSet::new();
        for (place, used) in uses.iter().filter(|(place, _)| within(place)) {
            let room = &place[depth];
            let Some(may) = table.get(room) else {
                wrong.push(format!("{} is not in the table", place.join("/")));
                continue;
            };
            seen.insert(room);
            for other in used.iter().filter(|other| within(other)).map(|other| &other[depth]) {
                if other != room && !may.contains(other) {
                    wrong.push(format!("{} uses {other}", place.join("/")));
                }
            }
        }
        assert_eq!(seen, table.keys().collect(), "the table names modules that are gone");
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let uses = uses(&files());
    // A folder's own file names what lies in it.
    let up = |place: &Place| uses[place].iter().filter(|used| !used.starts_with(place)).collect::<Vec<_>>();
    let mut done = BTreeSet::new();
    fn walk<'a>(
        place: &'a Place,
        way: &mut Vec<&'a Place>,
        done: &mut BTreeSet<&'a Place>,
        up: &impl Fn(&'a Place) -> Vec<&'a Place>,
    ) {
        if let Some(at) = way.iter().position(|before| *before == place) {
            let circle: Vec<String> = way[at..].iter().map(|place| place.join("/")).collect();
            panic!("a circle: {}", circle.join(" → "));
        }
        if done.insert(place) {
            way.push(place);
            for next in up(place) {
                walk(next, way, done, up);
            }
            way.pop();
        }
    }
    for place in uses.keys() {
        walk(place, &mut Vec::new(), &mut done, &up);
    }
}

/// What is run in a call on the store may be run more than once, and may come to nothing: what it has for the log waits for the commit.
#[test]
fn the_fleet_writes_to_the_log_when_its_calls_are_committed() {
    // Not in a call, or the same each time and remembered.
    let beside = ["fleet/registry/presence", "fleet/policies"];
    let mut wrong = Vec::new();
    for (place, text) in files().iter().filter(|(place, _)| place[0] == "fleet") {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let told = ["error!", "warn!", "info!"].iter().any(|word| line.contains(&format!("tracing::{word}")));
            let waits = lines[at.saturating_sub(1)..=at].iter().any(|line| line.contains("tx.log("));
            if told && !waits && !beside.contains(&place.join("/").as_str()) {
                wrong.push(format!("{}: {}", place.join("/"), line.trim()));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

/// Every test that a page names, as `file::test`, is there, in one file whose path ends so.
#[test]
fn the_tests_that_pages_name_are_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for folder in ["src", "tests", "protocols"] {
        visit(&root.join(folder), &mut |path| {
            if path.extension().is_some_and(|end| end == "rs" || end == "py") {
                sources.push((path.to_path_buf(), std::fs::read_to_string(path).unwrap()));
            }
        });
    }
    let page = std::fs::read_to_string(root.join("docs/conformance-activesync.md")).unwrap();
    let named: BTreeSet<_> = page.split('`').skip(1).step_by(2).filter_map(|code| code.split_once("::")).collect();
    assert!(named.len() > 50, "{named:?}");
    for (file, test) in named {
        let heads = [format!("fn {test}("), format!("def {test}(")];
        let holds = |text: &String| heads.iter().any(|head| text.contains(head.as_str()));
        let found = sources.iter().filter(|(path, text)| path.ends_with(file) && holds(text)).count();
        assert_eq!(found, 1, "{file}::{test}");
    }
}
