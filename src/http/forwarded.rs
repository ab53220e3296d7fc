//! From which address a request comes: the connection's, or what a trusted proxy says of it in `X-Forwarded-For`.

use super::client_cert_header::TrustedProxies;
use axum::http::{HeaderMap, HeaderName};
use std::net::IpAddr;

/// The header's name.
pub const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The client's address. Each proxy adds the one that it saw at the end; what stands before the first that is no trusted proxy's is the
/// client's own claim. A header that cannot be read says nothing: the proxy's own address counts.
pub(super) fn address_of(own: IpAddr, headers: &HeaderMap, proxies: &TrustedProxies) -> IpAddr {
    let own = own.to_canonical();
    if !proxies.contains(own) {
        return own;
    }
    let said: Vec<&str> = headers
        .get_all(X_FORWARDED_FOR)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|v| v.split(','))
        .collect();
    let mut nearest = own;
    for text in said.into_iter().rev() {
        let Ok(address) = text.trim().parse::<IpAddr>() else { return nearest };
        nearest = address.to_canonical();
        if !proxies.contains(nearest) {
            return nearest;
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_say_where_a_request_comes_from() {
        let proxies = TrustedProxies::parse("10.0.0.0/8 ::1").unwrap();
        for (from, headers, want) in [
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("::1", &["2001:db8::7"], "2001:db8::7"),
            // The client wrote the first itself.
            ("10.0.0.1", &["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["1.1.1.1", "198.51.100.7, 10.0.0.2"], "198.51.100.7"),
            ("10.0.0.1", &["nonsense"], "10.0.0.1"),
            ("10.0.0.1", &["1.1.1.1, nonsense, 10.0.0.2"], "10.0.0.2"),
        ] {
            let mut map = HeaderMap::new();
            for value in headers {
                map.append(X_FORWARDED_FOR, value.parse().unwrap());
            }
            assert_eq!(
                address_of(from.parse().unwrap(), &map, &proxies),
                want.parse::<IpAddr>().unwrap(),
                "{from} {headers:?}"
            );
        }
    }
}
