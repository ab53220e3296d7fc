//! Certificates for devices: what is the same whether SCEP, Windows enrolment or a mail client's download asks for one.

use crate::{
    clock::Timestamp,
    error::{Error, Result},
    fleet::life::device::Certificate,
    ids::{EnrolmentId, Fingerprint, hex},
    server::Server,
};
use lanyard_certs::{
    client::Presented,
    issue::{ClientCertificate, Serial, Subject, Validity},
};
use time::OffsetDateTime;

/// Where the revocation list lies: certificates keep it.
pub const CRL_PATH: &str = "/crl";

/// Issues a certificate for a key. Its subject comes from the enrolment, never from the request. Costs one RSA signature:
/// not for the writer's thread.
pub fn issue(server: &Server, public_key_der: &[u8], enrolment: EnrolmentId) -> Result<(Certificate, Vec<u8>)> {
    let crl = format!("{}{}", server.enrol_url, CRL_PATH);
    let now = server.time_to_issue()?.to_datetime();
    let wanted = ClientCertificate {
        public_key_der,
        subject: &Subject::named(enrolment.to_string()),
        alt_names: &[],
        crl_url: Some(&crl),
        validity: Validity::client(now),
        serial: Serial::random().map_err(fault)?,
    };
    let der = server.authority.issue_client(&wanted).map_err(fault)?;
    Ok((read(&der)?, der))
}

/// What the registry keeps of a certificate.
pub fn read(der: &[u8]) -> Result<Certificate> {
    let presented = Presented::parse(der).map_err(fault)?;
    Ok(Certificate {
        serial: hex(presented.serial.as_bytes()),
        sha256: Fingerprint(presented.sha256),
        not_before: stamp(presented.not_before),
        not_after: stamp(presented.not_after),
    })
}

fn stamp(at: OffsetDateTime) -> Timestamp {
    Timestamp::from_unix(at.unix_timestamp())
}

/// A failure of our own cryptography.
pub fn fault(error: lanyard_certs::Error) -> Error {
    Error::Internal(error.to_string())
}
