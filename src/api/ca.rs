//! The device CA, for administrators to see and to trust.

use super::{
    call::Call,
    route::{Route, get},
};
use crate::{
    documents::{
        Empty,
        ca::{CaPart, CaView},
    },
    error::{Error, Result},
    ids::hex,
    store::Tx,
};

pub(super) fn routes() -> Vec<Route> {
    vec![get("/api/v1/ca", "The device CA: its root and its issuing certificate", show)]
}

impl CaPart {
    fn of(der: &[u8], pem: String) -> Result<Self> {
        use x509_parser::prelude::*;
        let fault = |e: String| Error::Internal(e);
        let (_, read) = X509Certificate::from_der(der).map_err(|e| fault(e.to_string()))?;
        let moment = |at: ASN1Time| crate::clock::Timestamp::from_unix(at.timestamp()).to_string();
        Ok(Self {
            subject: read.subject().to_string(),
            sha256: hex(&openssl::sha::sha256(der)),
            not_before: moment(read.validity().not_before),
            not_after: moment(read.validity().not_after),
            pem,
        })
    }
}

fn show(_: &mut Tx<'_>, call: &Call, _: Empty) -> Result<CaView> {
    let authority = &call.server.authority;
    Ok(CaView {
        root: CaPart::of(authority.root_der(), authority.root_pem())?,
        issuing: CaPart::of(authority.issuing_der(), authority.issuing_pem())?,
        crl: format!("{}{}", call.server.enrol_url, crate::channel::certificates::CRL_PATH),
    })
}
