//! Faults: why a device may not enrol, in codes for which Windows has words. [MS-MDE2] 2.2.10.

use super::ENROLMENT;
use super::soap::envelope;

/// The reasons that Windows knows. The first seven are subcodes, the rest stand in the detail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// 0x80180001: the message cannot be read.
    MessageFormat,
    /// 0x80180002: not who they say; here also a wrong, spent or expired code.
    Authentication,
    /// 0x80180003: not allowed to enrol.
    Authorization,
    /// 0x80180004: the certificate request is not acceptable.
    CertificateRequest,
    /// 0x80180005: the server cannot serve now.
    EnrollmentServer,
    /// 0x80180006: a fault of our own.
    InternalServiceFault,
    /// 0x80180007: the security header cannot be read.
    InvalidSecurity,
    /// 0x80180013: the user has too many devices.
    DeviceCapReached,
    /// 0x80180014: this platform or version is not supported.
    DeviceNotSupported,
    /// 0x80180015: management is not offered at all.
    NotSupported,
    /// 0x80180016: renewal is refused; the device must enrol anew.
    NotEligibleToRenew,
    /// 0x80180017: to be tried later.
    InMaintenance,
    /// 0x80180018: the user has no licence.
    UserLicense,
    /// 0x80180019: the server's data on the device is wrong.
    InvalidEnrollmentData,
    /// 0x80180032: shows the reason's text to the user (Windows 11).
    CustomServerError,
}

impl FaultKind {
    /// All of them, in the order of their codes.
    pub const ALL: [FaultKind; 15] = [
        FaultKind::MessageFormat,
        FaultKind::Authentication,
        FaultKind::Authorization,
        FaultKind::CertificateRequest,
        FaultKind::EnrollmentServer,
        FaultKind::InternalServiceFault,
        FaultKind::InvalidSecurity,
        FaultKind::DeviceCapReached,
        FaultKind::DeviceNotSupported,
        FaultKind::NotSupported,
        FaultKind::NotEligibleToRenew,
        FaultKind::InMaintenance,
        FaultKind::UserLicense,
        FaultKind::InvalidEnrollmentData,
        FaultKind::CustomServerError,
    ];

    /// What the device reports, and shows.
    pub fn hresult(self) -> u32 {
        0x8018_0000
            + match self {
                FaultKind::MessageFormat => 0x01,
                FaultKind::Authentication => 0x02,
                FaultKind::Authorization => 0x03,
                FaultKind::CertificateRequest => 0x04,
                FaultKind::EnrollmentServer => 0x05,
                FaultKind::InternalServiceFault => 0x06,
                FaultKind::InvalidSecurity => 0x07,
                FaultKind::DeviceCapReached => 0x13,
                FaultKind::DeviceNotSupported => 0x14,
                FaultKind::NotSupported => 0x15,
                FaultKind::NotEligibleToRenew => 0x16,
                FaultKind::InMaintenance => 0x17,
                FaultKind::UserLicense => 0x18,
                FaultKind::InvalidEnrollmentData => 0x19,
                FaultKind::CustomServerError => 0x32,
            }
    }

    /// The subcode, and the ErrorType of the detail where there is one. Under a detail the subcode is `Authorization`,
    /// which is also what clients before Windows 10 then show.
    fn codes(self) -> (&'static str, Option<&'static str>) {
        const DETAILED: &str = "s:Authorization";
        match self {
            FaultKind::MessageFormat => ("s:MessageFormat", None),
            FaultKind::Authentication => ("s:Authentication", None),
            FaultKind::Authorization => ("s:Authorization", None),
            FaultKind::CertificateRequest => ("s:CertificateRequest", None),
            FaultKind::EnrollmentServer => ("s:EnrollmentServer", None),
            FaultKind::InternalServiceFault => ("a:InternalServiceFault", None),
            FaultKind::InvalidSecurity => ("a:InvalidSecurity", None),
            FaultKind::DeviceCapReached => (DETAILED, Some("DeviceCapReached")),
            FaultKind::DeviceNotSupported => (DETAILED, Some("DeviceNotSupported")),
            FaultKind::NotSupported => (DETAILED, Some("NotSupported")),
            FaultKind::NotEligibleToRenew => (DETAILED, Some("NotEligibleToRenew")),
            FaultKind::InMaintenance => (DETAILED, Some("InMaintenance")),
            FaultKind::UserLicense => (DETAILED, Some("UserLicense")),
            FaultKind::InvalidEnrollmentData => (DETAILED, Some("InvalidEnrollmentData")),
            FaultKind::CustomServerError => (DETAILED, Some("CustomServerError")),
        }
    }
}

/// A refusal, sent with HTTP status 500.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault<'a> {
    /// MessageID of the request, where it could be read.
    pub relates_to: Option<&'a str>,
    /// Why.
    pub kind: FaultKind,
    /// The same in words.
    pub reason: &'a str,
    /// What ties the fault to our log; shown by Windows beside the code where there is a detail.
    pub trace_id: &'a str,
}

impl Fault<'_> {
    /// The envelope. The spelling is that of the elements which Windows looks for; the samples in [MS-MDE2] are all lower
    /// case.
    pub fn encode(&self) -> String {
        let (subcode, error_type) = self.kind.codes();
        envelope(
            &format!("{ENROLMENT}/RSTRC/wstep"),
            self.relates_to,
            |_| {},
            |out| {
                out.open("s:Fault").open("s:Code").leaf("s:Value", "s:Receiver");
                out.open("s:Subcode").leaf("s:Value", subcode).close("s:Subcode").close("s:Code");
                out.open("s:Reason").leaf("s:Text xml:lang=\"en-US\"", self.reason).close("s:Reason");
                if let Some(error_type) = error_type {
                    out.open("s:Detail").open(&format!("DeviceEnrollmentServiceError xmlns=\"{ENROLMENT}\""));
                    out.leaf("ErrorType", error_type).leaf("Message", self.reason).leaf("TraceId", self.trace_id);
                    out.close("DeviceEnrollmentServiceError").close("s:Detail");
                }
                out.close("s:Fault");
            },
        )
    }
}
