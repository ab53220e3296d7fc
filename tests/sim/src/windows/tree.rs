//! The settings of a simulated PC: a tree of nodes under paths, with what can be read, written and run. Windows CSP reference, cut short.

use std::collections::{BTreeMap, BTreeSet};

use super::{Account, Facts};

/// A leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// `chr`, `int`, `bool`, `b64`, `xml` …
    pub format: String,
    /// Its value as text.
    pub data: String,
}

/// What a Get finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    Leaf(&'a Node),
    /// Names of children.
    Interior(Vec<&'a str>),
}

/// All nodes by canonical path (`./Vendor` is `./Device/Vendor`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
    /// Prefixes of settings that this edition does not have: 404 for all below.
    pub unsupported: BTreeSet<String>,
}

/// Where a server may add and replace.
const WRITABLE: &[&str] = &[
    "Policy/Config/",
    "DMClient/Provider/",
    "RootCATrustedCertificates/",
    "ClientCertificateInstall/",
    "PassportForWork/",
    "BitLocker/",
    "EnterpriseDesktopAppManagement/",
    "EnterpriseModernAppManagement/",
    "WiFi/",
    "Firewall/",
    "Defender/Configuration/",
    "Personalization/",
    "SecureAssessment/",
    "VPNv2/",
];

/// The path under which a node is kept.
fn canonical(path: &str) -> String {
    let path = path.trim_end_matches('/');
    match path.strip_prefix("./Vendor/") {
        Some(rest) => format!("./Device/Vendor/{rest}"),
        None => path.to_owned(),
    }
}

/// The part below `./Device/Vendor/MSFT/` or `./User/Vendor/MSFT/`.
fn provider(path: &str) -> Option<&str> {
    path.strip_prefix("./Device/Vendor/MSFT/").or_else(|| path.strip_prefix("./User/Vendor/MSFT/"))
}

impl Tree {
    pub(super) fn of_device(f: &Facts) -> Tree {
        let mut tree = Tree::default();
        let device = "./Device/Vendor/MSFT";
        for (path, format, data) in [
            ("./DevInfo/DevId".to_owned(), "chr", f.device_id.as_str()),
            ("./DevInfo/Man".into(), "chr", &f.manufacturer),
            ("./DevInfo/Mod".into(), "chr", &f.model),
            ("./DevInfo/DmV".into(), "chr", "1.3"),
            ("./DevInfo/Lang".into(), "chr", "en-US"),
            ("./DevDetail/DevTyp".into(), "chr", &f.model),
            ("./DevDetail/OEM".into(), "chr", &f.manufacturer),
            ("./DevDetail/FwV".into(), "chr", "1.0.0"),
            ("./DevDetail/SwV".into(), "chr", &f.os_version),
            ("./DevDetail/HwV".into(), "chr", "1.0"),
            ("./DevDetail/LrgObj".into(), "bool", "false"),
            ("./DevDetail/Ext/Microsoft/DeviceName".into(), "chr", &f.name),
            ("./DevDetail/Ext/Microsoft/OSPlatform".into(), "chr", "Windows 11 Enterprise"),
            ("./DevDetail/Ext/Microsoft/SMBIOSSerialNumber".into(), "chr", &f.serial),
            ("./DevDetail/Ext/Microsoft/TotalRAM".into(), "int", "16384"),
            ("./DevDetail/Ext/Microsoft/TotalStorage".into(), "int", "524288"),
            (format!("{device}/DeviceStatus/SecureBootState"), "int", "1"),
            (format!("{device}/DeviceStatus/Compliance/EncryptionCompliance"), "int", "0"),
            (format!("{device}/DeviceStatus/OS/Edition"), "int", "4"),
            (format!("{device}/DeviceStatus/Antivirus/Status"), "int", "0"),
            (format!("{device}/DeviceStatus/Firewall/Status"), "int", "0"),
        ] {
            tree.set(&path, format, data);
        }
        tree
    }

    /// What a provisioning document puts there.
    pub(super) fn provide(&mut self, account: &Account, exchange_id: Option<&str>, hw_dev_id: &str) {
        let base = format!("./Device/Vendor/MSFT/DMClient/Provider/{}", account.provider_id);
        for (name, value) in &account.values {
            self.set(&format!("{base}/{name}"), "chr", value);
        }
        for (name, value) in &account.poll {
            let format = if value.parse::<i64>().is_ok() { "int" } else { "bool" };
            self.set(&format!("{base}/Poll/{name}"), format, value);
        }
        self.set(&format!("{base}/ManagementServiceAddress"), "chr", &account.addr);
        self.set(&format!("{base}/HWDevID"), "chr", hw_dev_id);
        if let Some(id) = exchange_id {
            self.set(&format!("{base}/ExchangeID"), "chr", id);
        }
    }

    /// Sets a node whatever the rules, as a test or the system itself may.
    pub fn set(&mut self, path: &str, format: &str, data: &str) {
        self.nodes.insert(canonical(path), Node { format: format.to_owned(), data: data.to_owned() });
    }

    /// A leaf's value.
    pub fn value(&self, path: &str) -> Option<&str> {
        self.nodes.get(&canonical(path)).map(|n| n.data.as_str())
    }

    fn is_unsupported(&self, path: &str) -> bool {
        self.unsupported.iter().any(|p| path.starts_with(&canonical(p)))
    }

    pub(super) fn get(&self, path: &str) -> Result<Found<'_>, u16> {
        let path = canonical(path);
        if self.is_unsupported(&path) {
            return Err(404);
        }
        if let Some(node) = self.nodes.get(&path) {
            return Ok(Found::Leaf(node));
        }
        let prefix = format!("{path}/");
        let below = self.nodes.range(prefix.clone()..).take_while(|(k, _)| k.starts_with(&prefix));
        let names: BTreeSet<&str> = below.filter_map(|(k, _)| k.get(prefix.len()..)?.split('/').next()).collect();
        if names.is_empty() { Err(404) } else { Ok(Found::Interior(names.into_iter().collect())) }
    }

    fn writable(&self, path: &str, format: &str, data: &str) -> Result<String, u16> {
        let path = canonical(path);
        if self.is_unsupported(&path) || path.starts_with('/') {
            return Err(404);
        }
        let Some(below) = provider(&path) else { return Err(if self.nodes.contains_key(&path) { 405 } else { 404 }) };
        if !WRITABLE.iter().any(|p| below.starts_with(p)) {
            return Err(if self.nodes.contains_key(&path) { 405 } else { 404 });
        }
        if format == "int" && data.trim().parse::<i64>().is_err() {
            return Err(400);
        }
        Ok(path)
    }

    /// Add: 418 where there is one already.
    pub(super) fn add(&mut self, path: &str, format: &str, data: &str) -> u16 {
        match self.writable(path, format, data) {
            Ok(path) if self.nodes.contains_key(&path) => 418,
            Ok(path) => self.put(path, format, data),
            Err(status) => status,
        }
    }

    /// Replace: makes what is not there, as the Policy CSP does.
    pub(super) fn replace(&mut self, path: &str, format: &str, data: &str) -> u16 {
        match self.writable(path, format, data) {
            Ok(path) => self.put(path, format, data),
            Err(status) => status,
        }
    }

    fn put(&mut self, path: String, format: &str, data: &str) -> u16 {
        if path.contains("/Policy/Config/") {
            // The value in force; a single authority sets it here, so it is the one configured.
            self.set(&path.replace("/Policy/Config/", "/Policy/Result/"), format, data);
        }
        if path.ends_with("/BitLocker/RequireDeviceEncryption") && data.trim() == "1" {
            // Its user agrees at once.
            self.set("./Device/Vendor/MSFT/DeviceStatus/Compliance/EncryptionCompliance", "int", "1");
        }
        self.set(&path, format, data);
        200
    }

    /// Delete: a leaf or a whole branch.
    pub(super) fn delete(&mut self, path: &str) -> u16 {
        let path = match self.writable(path, "chr", "") {
            Ok(path) => path,
            Err(status) => return status,
        };
        let result = path.replace("/Policy/Config/", "/Policy/Result/");
        let before = self.nodes.len();
        let gone = |k: &str, p: &str| k.strip_prefix(p).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.nodes.retain(|k, _| !gone(k, &path) && !gone(k, &result));
        if self.nodes.len() == before { 404 } else { 200 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_those_of_windows() {
        let mut tree = Tree::of_device(&Facts::random());
        let policy = "./Vendor/MSFT/Policy/Config/DeviceLock/DevicePasswordEnabled";
        assert_eq!(tree.replace(policy, "int", "0"), 200);
        assert_eq!(tree.value("./Device/Vendor/MSFT/Policy/Result/DeviceLock/DevicePasswordEnabled"), Some("0"));
        assert_eq!(tree.add(policy, "int", "1"), 418);
        assert_eq!(tree.replace(policy, "int", "yes"), 400);
        assert_eq!(tree.get("./Device/Vendor/MSFT/Policy/Config"), Ok(Found::Interior(vec!["DeviceLock"])));
        assert_eq!(tree.delete(policy), 200);
        assert_eq!((tree.delete(policy), tree.get(policy)), (404, Err(404)));
        assert_eq!(tree.replace("./DevDetail/SwV", "chr", "1"), 405);
        assert_eq!(tree.replace("./Vendor/MSFT/Nothing", "chr", "1"), 404);
        tree.unsupported.insert("./Device/Vendor/MSFT/Policy/Config/Camera".into());
        assert_eq!(tree.replace("./Vendor/MSFT/Policy/Config/Camera/AllowCamera", "int", "0"), 404);
    }
}
