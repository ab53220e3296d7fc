//! Which nodes of Windows a policy may set, what they take, and which build and edition has them: from the CSP reference.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use super::{Outcome, Table, read};

pub(super) const TABLE: Table = Table { path: "src/policy/windows/nodes.rs", text };

/// Left out: it destroys keys; and what names a server of updates, or takes updates that are not Microsoft's. Whoever runs that
/// server runs programs as SYSTEM, and so can erase the PC.
const REFUSED: [&str; 4] = [
    "Security/ClearTPMIfNotReady",
    "Update/AllowNonMicrosoftSignedUpdate",
    "Update/UpdateServiceUrl",
    "Update/UpdateServiceUrlAlternate",
];

const HEAD: &str = "\
//! The Windows nodes that a policy may set: Policy CSP areas, BitLocker and PassportForWork. Names, formats, allowed
//! numbers, builds and editions alone. Made by `cargo xtask tables` from Microsoft's DDF v2 files as of mid-2024, the source of
//! the CSP reference (facts; the reference is CC BY 4.0, © Microsoft; reduced to a table). Nodes that only report and nodes that
//! act (Exec) are left out, and so are Security/ClearTPMIfNotReady, which destroys keys, and of Update what names a server of
//! updates or takes updates that are not Microsoft's: whoever runs that server runs programs as SYSTEM, and so can erase the PC.
//! Not to be edited by hand.

use super::super::raw::CspFormat::{self, Bool, Chr, Int};
use super::Edition::{self, Enterprise, Home, NoPc, Pro};

/// Path, format, and the numbers allowed (`1|2`, `4-16`; empty: any). `{TenantId}` stands for one segment. Then the builds of
/// Windows 10.0 that have it (`22000|19041.1202`; empty: previews only), and the smallest edition. Sorted.
#[rustfmt::skip]
pub(in crate::policy) static NODES: &[(&str, CspFormat, &str, &str, Edition)] = &[
";

fn text(data: &Path) -> Outcome<String> {
    let table = read(&data.join("windows-csp/settings.tsv"))?;
    let mut lines = table.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let head = lines.next().unwrap_or_default();
    let mut nodes = BTreeMap::new();
    for line in lines {
        let row: BTreeMap<&str, &str> = head.iter().copied().zip(line).collect();
        let of = |column: &str| row.get(column).copied().unwrap_or_default();
        let settable = of("ops").contains(['A', 'R']) && !REFUSED.iter().any(|name| of("uri").ends_with(name));
        if settable {
            nodes.insert(of("uri").to_owned(), node(of)?);
        }
    }
    let mut text = HEAD.to_owned();
    for (path, rest) in nodes {
        let _ = writeln!(text, "    (\"{path}\", {rest}),");
    }
    text.push_str("];\n");
    Ok(text)
}

fn node<'a>(of: impl Fn(&str) -> &'a str) -> Outcome<String> {
    let format = match of("format") {
        "int" => "Int",
        "chr" => "Chr",
        "bool" => "Bool",
        other => return Err(format!("{}: a format called {other}", of("uri"))),
    };
    let allowed: Vec<&str> = match (format, of("allowed_type")) {
        ("Int", "enum") => of("allowed").split('|').filter_map(|item| item.split('=').next()).collect(),
        ("Int", "range") => of("allowed").split(',').map(|range| range.trim_matches(['[', ']'])).collect(),
        _ => Vec::new(),
    };
    let builds: Vec<&str> = of("min_build").split(',').filter_map(|build| build.strip_prefix("10.0.")).collect();
    let has = |edition: &str| of("editions").split('+').any(|name| name == edition);
    let edition = match () {
        () if has("home") => "Home",
        () if has("pro") => "Pro",
        () if has("enterprise") => "Enterprise",
        () => "NoPc",
    };
    Ok(format!("{format}, \"{}\", \"{}\", {edition}", allowed.join("|"), builds.join("|")))
}
