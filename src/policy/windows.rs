//! What the table of Windows nodes says of a PC: whether its build and edition have a node.

mod nodes;

use super::version::Version;

pub(super) use nodes::NODES;

/// The smallest edition that has a node; each larger one has it too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Edition {
    /// Windows Home.
    Home,
    /// Pro, and what schools and workshops have of it.
    Pro,
    /// Enterprise and Education.
    Enterprise,
    /// No edition of a PC: what phones and headsets left behind.
    NoPc,
}

impl Edition {
    /// The name that people know.
    pub(super) fn name(self) -> &'static str {
        match self {
            Edition::Home => "Home",
            Edition::Pro => "Pro",
            Edition::Enterprise => "Enterprise",
            Edition::NoPc => "for other devices than PCs",
        }
    }

    /// By the product type that a PC tells (GetProductInfo). `None`: not one of the two that lack something.
    fn of(product_type: u32) -> Option<Edition> {
        match product_type {
            98..=101 => Some(Edition::Home),
            48 | 49 | 138 | 139 | 161 | 162 | 164 | 165 => Some(Edition::Pro),
            _ => None,
        }
    }
}

/// Why a PC lacks a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lack {
    /// It came with this later build of Windows 10.0.
    Build(&'static str),
    /// It takes a larger edition, this one.
    Edition(Edition),
}

/// What a PC lacks for a node of the table, by what it told of itself. It answers for each node by itself, so that what is not
/// known is no gap.
pub(super) fn lacks(path: &str, version: Option<Version>, product_type: Option<u32>) -> Option<Lack> {
    let at = NODES.binary_search_by(|(known, ..)| (*known).cmp(path)).ok()?;
    let (_, _, _, builds, smallest) = NODES.get(at)?;
    if let Some(build) = version.and_then(|version| too_old(builds, version)) {
        return Some(Lack::Build(build));
    }
    let has = product_type.and_then(Edition::of)?;
    (has < *smallest).then_some(Lack::Edition(*smallest))
}

/// The build that a version comes before. Of several the first is the first to have it from its start; the others brought it to older
/// builds with a revision (`19041.1202`).
fn too_old(builds: &'static str, version: Version) -> Option<&'static str> {
    let [10, 0, build, revision] = version.numbers() else { return None };
    let listed: Vec<(u32, u32, &str)> = builds.split('|').filter_map(numbers).collect();
    let oldest = listed.iter().map(|(build, ..)| *build).min()?;
    let named = listed.iter().find(|(listed, ..)| *listed == build);
    let has = named.map_or(build > oldest, |(_, since, _)| revision >= *since);
    if has { None } else { named.or(listed.first()).map(|(.., text)| *text) }
}

fn numbers(text: &'static str) -> Option<(u32, u32, &'static str)> {
    let (build, revision) = text.split_once('.').unwrap_or((text, "0"));
    Some((build.parse().ok()?, revision.parse().ok()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAMERA: &str = "./Device/Vendor/MSFT/Policy/Config/Camera/AllowCamera";
    const TYPES: &str = "./Device/Vendor/MSFT/BitLocker/FixedDrivesEncryptionType";

    #[test]
    fn a_node_is_there_by_build_and_edition() {
        for (row, path, version, edition, want) in [
            ("Pro", CAMERA, "10.0.26200.1", Some(48), None),
            ("Home", CAMERA, "10.0.26200.1", Some(101), Some(Lack::Edition(Edition::Pro))),
            ("not told", CAMERA, "", None, None),
            ("an edition apart", CAMERA, "10.0.26200.1", Some(125), None),
            ("back-ported", TYPES, "10.0.19041.1202", None, None),
            ("before the revision", TYPES, "10.0.19041.1000", None, Some(Lack::Build("19041.1202"))),
            ("before all", TYPES, "10.0.17763.5000", None, Some(Lack::Build("22000"))),
            ("from the start", TYPES, "10.0.22000.1", None, None),
            ("between", TYPES, "10.0.20348.1", None, None),
            ("later", TYPES, "10.0.26100.1", None, None),
            ("no such node", "./Device/Vendor/MSFT/X", "10.0.1.1", Some(101), None),
        ] {
            assert_eq!(lacks(path, Version::parse(version), edition), want, "{row}");
        }
    }
}
