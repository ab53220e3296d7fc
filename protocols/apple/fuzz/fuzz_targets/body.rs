//! What devices PUT.
#![no_main]

use lanyard_apple::{Body, checkin::CheckIn};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    match Body::parse(bytes) {
        Ok(Body::CheckIn(checkin)) => assert_eq!(CheckIn::parse(&checkin.encode()).as_ref(), Ok(&checkin)),
        Ok(Body::Report(report)) => {
            let _ = (report.device_information(), report.security_info(), report.profile_list(), report.error_text());
            let _ = (report.installed_applications(), report.managed_applications());
        }
        Err(error) => drop(error.to_string()),
    }
});
