//! GetPolicies: what the certificate request should look like. [MS-XCEP] 3.1.4, [MS-MDE2] 3.3.

use super::POLICY;
use super::soap::{Writer, envelope};

/// SHA-256; without an answer Windows takes SHA-1.
const SHA256: &str = "2.16.840.1.101.3.4.2.1";

/// The answer: one policy, an RSA key of at least 2048 bits and SHA-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetPoliciesResponse<'a> {
    /// MessageID of the request.
    pub relates_to: &'a str,
    /// A GUID of the caller's, the same for each device.
    pub policy_id: &'a str,
    /// How long certificates will be valid, in seconds.
    pub validity_seconds: u64,
    /// How long before their end they should be renewed, in seconds.
    pub renewal_seconds: u64,
}

impl GetPoliciesResponse<'_> {
    /// The envelope.
    pub fn encode(&self) -> String {
        let action = format!("{POLICY}/IPolicy/GetPoliciesResponse");
        envelope(
            &action,
            Some(self.relates_to),
            |_| {},
            |out| {
                out.open(&format!("GetPoliciesResponse xmlns=\"{POLICY}\"")).open("response");
                out.leaf("policyID", self.policy_id).leaf("policyFriendlyName", "Device identity");
                out.nil("nextUpdateHours").nil("policiesNotChanged");
                out.open("policies").open("policy").leaf("policyOIDReference", "0").nil("cAs");
                self.attributes(out);
                out.close("policy").close("policies").close("response").nil("cAs");
                out.open("oIDs").open("oID").leaf("value", SHA256).leaf("group", "1");
                out.leaf("oIDReferenceID", "0").leaf("defaultName", "SHA256").close("oID").close("oIDs");
                out.close("GetPoliciesResponse");
            },
        )
    }

    /// Schema 3, since earlier ones cannot name a hash.
    fn attributes(&self, out: &mut Writer) {
        out.open("attributes").leaf("commonName", "device").leaf("policySchema", "3");
        out.open("certificateValidity");
        out.leaf("validityPeriodSeconds", &self.validity_seconds.to_string());
        out.leaf("renewalPeriodSeconds", &self.renewal_seconds.to_string()).close("certificateValidity");
        out.open("permission").leaf("enroll", "true").leaf("autoEnroll", "false").close("permission");
        out.open("privateKeyAttributes").leaf("minimalKeyLength", "2048");
        out.nil("keySpec").nil("keyUsageProperty").nil("permissions").nil("algorithmOIDReference");
        out.nil("cryptoProviders").close("privateKeyAttributes");
        out.open("revision").leaf("majorRevision", "101").leaf("minorRevision", "0").close("revision");
        out.nil("supersededPolicies").nil("privateKeyFlags").nil("subjectNameFlags").nil("enrollmentFlags");
        out.nil("generalFlags").leaf("hashAlgorithmOIDReference", "0").nil("rARequirements");
        out.nil("keyArchivalAttributes").nil("extensions").close("attributes");
    }
}
