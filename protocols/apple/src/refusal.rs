//! The one refusal that is an order. S mdm/errors of apple/device-management.

/// Status, Content-Type and body that make a device remove its MDM profile (iOS 17, macOS 14; older systems do so on a
/// bare 401). **Only for a device whose retire or wipe is final**: never for an unreadable signature, an unknown
/// certificate or a fault of ours, which get a plain 400, 403 or 5xx.
pub fn unrecognized_device() -> (u16, &'static str, &'static str) {
    (403, "application/json", r#"{"code":"com.apple.unrecognized.device","description":"This enrolment has ended."}"#)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_code_is_where_devices_look() {
        let (status, content_type, body) = super::unrecognized_device();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((status, content_type), (403, "application/json"));
        assert_eq!(body["code"], "com.apple.unrecognized.device");
    }
}
