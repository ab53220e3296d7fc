//! Which host a request asks: one, and one that can be read.

use axum::http::{Request, Version, header, uri::Authority};

/// Why a request does not say which host it asks (RFC 9112 3.2). Two names would let a server behind us read another than we do.
pub(super) fn wrong<B>(request: &Request<B>) -> Option<&'static str> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let may_lack = request.version() < Version::HTTP_11;
    match (hosts.next(), hosts.next()) {
        (None, _) if may_lack => None,
        (None, _) => Some("a request needs a Host header\n"),
        (Some(_), Some(_)) => Some("a request takes one Host header\n"),
        (Some(host), None) => match host.to_str().ok().filter(|host| host.is_empty() || is_authority(host)) {
            Some(_) => None,
            None => Some("the Host header names no host\n"),
        },
    }
}

/// Host and port, without a user before them.
fn is_authority(host: &str) -> bool {
    !host.contains('@') && host.parse::<Authority>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_host_is_named() {
        for (version, hosts, right) in [
            (Version::HTTP_11, &["a.example:8443"][..], true),
            (Version::HTTP_11, &["[::1]:8443"], true),
            (Version::HTTP_11, &[""], true),
            (Version::HTTP_11, &[], false),
            (Version::HTTP_10, &[], true),
            (Version::HTTP_11, &["a", "a"], false),
            (Version::HTTP_10, &["a", "b"], false),
            (Version::HTTP_11, &["a b"], false),
            (Version::HTTP_11, &["u@a"], false),
            (Version::HTTP_11, &["a/b"], false),
        ] {
            let mut request = Request::new(());
            *request.version_mut() = version;
            for host in hosts {
                request.headers_mut().append(header::HOST, host.parse().unwrap());
            }
            assert_eq!(wrong(&request).is_none(), right, "{version:?} {hosts:?}");
        }
    }
}
