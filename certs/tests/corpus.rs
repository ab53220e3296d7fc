//! The fuzz targets' corpora, through the same parsers, so that a plain test run needs no nightly toolchain.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::path::Path;

use lanyard_certs::{ca::When, cms, csr, pushcert, scep, wstep};

/// Which fixtures a target starts from; the push certificates are its own.
const SEEDS: [(&str, &str); 5] = [
    ("csr", "csr-"),
    ("scep", "scep-"),
    ("cms", "profile-signed"),
    ("signature", "mdm-signature-sha"),
    ("pushcert", "no fixture"),
];

#[test]
fn corpus_replays() {
    let (ca, folder) = (support::authority(), Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus"));
    for (target, seeds) in SEEDS {
        if std::env::var_os("LANYARD_BLESS").is_some() {
            copy_seeds(seeds, &folder.join(target));
        }
        let mut replayed = 0;
        for entry in std::fs::read_dir(folder.join(target)).unwrap() {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            match target {
                "csr" => drop(csr::parse(&bytes)),
                "scep" => drop(scep::receive(&bytes).and_then(|envelope| envelope.open(&ca, support::NOW))),
                "signature" => {
                    let header = String::from_utf8_lossy(&bytes);
                    let _ = cms::verify_mdm_signature(&header, b"", &ca, When::Any);
                    let _ = wstep::decode_token(&header).map(|token| wstep::read_renewal(&token, None, &ca, When::Any));
                }
                "pushcert" => drop(pushcert::read(&bytes, Some("right"))),
                _ => drop((cms::verify_attached(&bytes, &[]), cms::unwrap_unchecked(&bytes))),
            }
            replayed += 1;
        }
        assert!(replayed > 0, "{target} has no corpus");
    }
}

fn copy_seeds(prefix: &str, to: &Path) {
    for entry in std::fs::read_dir(support::fixtures()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with(prefix) {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}
