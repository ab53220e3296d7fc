//! What must be installed on the system: looked for by what we use of it, and installed with apt-get where we may.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::paths::program;
use crate::process::{output, run, succeeds};

/// One Debian package, and how to tell that it, or something that serves as well, is there already.
pub(crate) struct Package {
    name: &'static str,
    present: fn() -> bool,
}

/// To compile and link the workspace.
pub(crate) const BUILD: &[Package] = &[
    Package { name: "gcc", present: || program("cc").is_some() },
    // gcc alone has no C library headers to compile against.
    Package { name: "libc6-dev", present: || header("stdlib.h") },
    Package { name: "make", present: || program("make").is_some() },
    Package { name: "pkg-config", present: || program("pkg-config").is_some() },
    Package { name: "libssl-dev", present: || header("openssl/ssl.h") },
];

/// To build with Kerberos, and for a realm of the test's own.
pub(crate) const KERBEROS: &[Package] = &[
    Package { name: "libkrb5-dev", present: || header("gssapi/gssapi_ext.h") },
    // What reads those headers.
    Package { name: "libclang-dev", present: libclang },
    Package { name: "krb5-kdc", present: || Path::new("/usr/sbin/krb5kdc").is_file() },
    Package { name: "krb5-admin-server", present: || Path::new("/usr/sbin/kadmin.local").is_file() },
    Package { name: "krb5-kdc-ldap", present: || Path::new("/usr/sbin/kdb5_ldap_util").is_file() },
    Package { name: "slapd", present: || Path::new("/usr/sbin/slapd").is_file() },
    Package { name: "ldap-utils", present: || program("ldapadd").is_some() },
    Package { name: "python3-gssapi", present: || Path::new("/usr/lib/python3/dist-packages/gssapi").is_dir() },
];

const STRONGSWAN_OPENSSL: &str = "/usr/lib/ipsec/plugins/libstrongswan-openssl.so";
const STRONGSWAN_CURL: &str = "/usr/lib/ipsec/plugins/libstrongswan-curl.so";
const SOGO_ACTIVESYNC: &str = "/usr/lib/GNUstep/SOGo/ActiveSync.SOGo";
const NGINX_JS: &str = "/usr/lib/nginx/modules/ngx_http_js_module.so";

/// The independent programs that the tests talk to.
pub(crate) const TEST: &[Package] = &[
    Package { name: "postgresql", present: || crate::postgres::programs().is_some() },
    Package {
        name: "pgbouncer",
        present: || Path::new("/usr/sbin/pgbouncer").is_file() || program("pgbouncer").is_some(),
    },
    Package { name: "faketime", present: || program("faketime").is_some() },
    Package { name: "scep", present: || program("scepclient").is_some() },
    Package { name: "strongswan-pki", present: || program("pki").is_some() },
    // It reads our root, of an elliptic curve, by OpenSSL alone.
    Package { name: "libstrongswan-standard-plugins", present: || Path::new(STRONGSWAN_OPENSSL).is_file() },
    // It fetches by curl.
    Package { name: "libstrongswan-extra-plugins", present: || Path::new(STRONGSWAN_CURL).is_file() },
    Package { name: "libwbxml2-utils", present: || program("wbxml2xml").is_some() },
    Package { name: "nghttp2-server", present: || program("nghttpd").is_some() },
    Package { name: "openssl", present: || program("openssl").is_some() },
    Package { name: "python3", present: || program("python3").is_some() },
    Package { name: "strace", present: || program("strace").is_some() },
    // File systems whose power is cut.
    Package { name: "e2fsprogs", present: || program("mkfs.ext4").is_some() },
    Package { name: "mount", present: || program("losetup").is_some() },
    // Clocks that are set wrong.
    Package { name: "libfaketime", present: faketime },
    // Debian cuts the part out of Python that fills a virtual environment.
    Package { name: "python3-venv", present: || succeeds(Command::new("python3").args(["-c", "import ensurepip"])) },
    Package { name: "golang-go", present: || program("go").is_some() },
    // Proxies, and a client of them that speaks HTTP/2.
    Package { name: "nginx", present: || program("nginx").is_some() },
    Package { name: "libnginx-mod-http-js", present: || Path::new(NGINX_JS).is_file() },
    Package { name: "haproxy", present: || program("haproxy").is_some() },
    Package { name: "curl", present: || program("curl").is_some() },
    // A certificate that is renewed, and an authority that believes everybody.
    Package { name: "certbot", present: || program("certbot").is_some() },
    Package { name: "pebble", present: || program("pebble").is_some() },
    // A mail server behind the gateway.
    Package { name: "sogo", present: || Path::new("/usr/sbin/sogod").is_file() },
    Package { name: "sogo-activesync", present: || Path::new(SOGO_ACTIVESYNC).is_dir() },
    Package { name: "dovecot-imapd", present: || Path::new("/usr/lib/dovecot/imap").is_file() },
    Package { name: "memcached", present: || program("memcached").is_some() },
    // What the unit and the scripts of the Debian package are worth.
    Package { name: "systemd", present: || program("systemd-analyze").is_some() },
    Package { name: "shellcheck", present: || program("shellcheck").is_some() },
    Package { name: "ca-certificates", present: || Path::new("/etc/ssl/certs/ca-certificates.crt").is_file() },
];

/// To make a Debian package and to try it in a machine of its own.
pub(crate) const PACKAGE: &[Package] = &[
    Package { name: "dpkg-dev", present: || program("dpkg-shlibdeps").is_some() },
    Package { name: "debootstrap", present: || program("debootstrap").is_some() },
    Package { name: "systemd-container", present: || program("systemd-nspawn").is_some() },
];

/// To build for Windows, and to run what was built.
pub(crate) const WINDOWS: &[Package] = &[
    Package { name: "gcc-mingw-w64-x86-64", present: || program("x86_64-w64-mingw32-gcc").is_some() },
    Package { name: "wine", present: || program("wine").is_some() },
    Package { name: "wine64", present: || program("wineserver").is_some() || wine("wineserver") },
    Package { name: "python3", present: || program("python3").is_some() },
    Package { name: "openssl", present: || program("openssl").is_some() },
];

/// For libFuzzer, which is C++.
pub(crate) const FUZZ: &[Package] = &[Package { name: "g++", present: || program("c++").is_some() }];

/// Installs what is missing as root; for anybody else the error is the one command to type.
pub(crate) fn ensure(lists: &[&[Package]]) -> Outcome {
    let missing = missing(lists);
    if missing.is_empty() {
        return Ok(());
    }
    let install = format!("apt-get install --yes --no-install-recommends {}", missing.join(" "));
    if program("apt-get").is_none() {
        return Err(format!(
            "these Debian packages, or what your system calls them, are missing: {}",
            missing.join(" ")
        ));
    }
    if !is_root() {
        return Err(format!("missing on this system; please run:\n\n    sudo {install}\n"));
    }
    if !package_lists_are_there() {
        run(&mut apt(&["update"]))?;
    }
    // Lists that are there may be old, and name versions that the archive has dropped.
    run(&mut apt_install(&missing)).or_else(|_| {
        run(&mut apt(&["update"]))?;
        run(&mut apt_install(&missing))
    })?;
    match self::missing(lists).as_slice() {
        [] => Ok(()),
        still => Err(format!("installed, yet not found: {}", still.join(" "))),
    }
}

/// Whether we are the user that may install packages, and that PostgreSQL refuses to run as.
pub(crate) fn is_root() -> bool {
    output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0")
}

fn missing(lists: &[&[Package]]) -> Vec<&'static str> {
    lists.iter().copied().flatten().filter(|package| !(package.present)()).map(|package| package.name).collect()
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(arguments);
    command
}

fn apt_install(names: &[&str]) -> Command {
    let mut command = apt(&["install", "--yes", "--no-install-recommends"]);
    command.args(names);
    command
}

fn package_lists_are_there() -> bool {
    let Ok(entries) = fs::read_dir("/var/lib/apt/lists") else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("_Packages"))
}

/// Whether the C compiler finds a header, wherever the system keeps it.
fn faketime() -> bool {
    let Ok(folders) = fs::read_dir("/usr/lib") else { return false };
    folders.flatten().any(|folder| folder.path().join("faketime/libfaketimeMT.so.1").is_file())
}

/// Debian keeps some of it on nobody's `PATH`.
fn wine(name: &str) -> bool {
    Path::new("/usr/lib/wine").join(name).is_file()
}

/// Each version lies in a folder of its own.
fn libclang() -> bool {
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    folders.map(|found| found.path()).any(|folder| folder.join("lib/libclang.so").exists())
}

fn header(name: &str) -> bool {
    let source = format!("echo '#include <{name}>' | cc -E -x c - $(pkg-config --cflags-only-I openssl 2>/dev/null)");
    succeeds(Command::new("sh").args(["-c", &source]))
}
