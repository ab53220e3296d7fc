//! Windows enrolment: the three SOAP 1.2 exchanges of [MS-MDE2], and the faults.
//!
//! A request is read by [`Request::parse`], whichever of the three it is; the answers are values with an `encode`.
//! An answer must go out with Content-Length, never chunked, as [`CONTENT_TYPE`]; a fault with HTTP status 500.
//! A GET on the discovery address is answered 200 and empty, without this module.

mod discover;
mod fault;
mod policies;
mod request;
mod soap;
mod token;

pub use discover::{AuthPolicy, Discover, DiscoverResponse, Version};
pub use fault::{Fault, FaultKind};
pub use policies::GetPoliciesResponse;
pub use request::{Body, Credentials, Request, message_id};
pub use token::{
    DeviceContext, EnrolmentType, Identity, SecurityTokenRequest, SecurityTokenResponse, TokenRequestKind,
};

/// What every answer is sent as.
pub const CONTENT_TYPE: &str = "application/soap+xml; charset=utf-8";

const DISCOVERY: &str = "http://schemas.microsoft.com/windows/management/2012/01/enrollment";
const ENROLMENT: &str = "http://schemas.microsoft.com/windows/pki/2009/01/enrollment";
const POLICY: &str = "http://schemas.microsoft.com/windows/pki/2009/01/enrollmentpolicy";
const TRUST: &str = "http://docs.oasis-open.org/ws-sx/ws-trust/200512";
const SECURITY: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";
const UTILITY: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd";
const CONFIGURATION: &str = "http://schemas.microsoft.com/5.0.0.0/ConfigurationManager/Enrollment";

#[cfg(test)]
mod tests;
