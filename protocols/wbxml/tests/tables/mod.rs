//! A few code pages for tests, and the reader of fixtures.

use std::path::Path;

use lanyard_wbxml::{CodePages, Page};

pub(crate) static TABLES: CodePages = CodePages {
    pages: &[
        Page {
            number: 0,
            namespace: "AirSync:",
            tags: &[(0x05, "Sync"), (0x0E, "Status"), (0x2C, "SyncHdr"), (0x2D, "SyncML"), (0x31, "VerDTD")],
        },
        Page {
            number: 14,
            namespace: "Provision:",
            tags: &[(0x05, "Provision"), (0x06, "Policies"), (0x0B, "Status"), (0x0C, "RemoteWipe")],
        },
        Page { number: 18, namespace: "Settings:", tags: &[(0x06, "Status"), (0x16, "DeviceInformation")] },
    ],
};

/// The bytes of a `.hex` file.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/wbxml").join(format!("{name}.hex"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let digits: String = text.lines().filter_map(|line| line.split('#').next()).collect();
    let digits: Vec<char> = digits.chars().filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap()).collect()
}
