//! The device CA: SCEP, enrolment from certificate requests, CMS, PKCS#12 and revocation lists.
