//! What a simulated device says of itself: models, versions, names. All made up, in the form of real ones.

use uuid::Uuid;

/// What kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// iOS.
    IPhone,
    /// iPadOS.
    IPad,
    /// macOS, Apple silicon.
    Mac,
}

/// One device's description; change what a test needs before enrolling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Decides what it can do.
    pub kind: Kind,
    /// Its name in the protocol.
    pub udid: String,
    /// Twelve letters and digits.
    pub serial: String,
    /// As its user named it.
    pub name: String,
    /// Such as 26.1.
    pub os_version: String,
    /// Such as 23B85.
    pub build: String,
    /// Such as iPhone17,1.
    pub product: String,
    /// Such as MYND3.
    pub model: String,
    /// iPhone, iPad or MacBook Pro.
    pub model_name: String,
    /// The DeviceId under which its mail app speaks EAS, where it has one.
    pub eas_id: Option<String>,
    /// iPhones alone have one.
    pub imei: Option<String>,
    /// Supervised devices alone can be restarted, Macs apart.
    pub supervised: bool,
}

/// A fresh UUID in upper case.
pub(crate) fn uuid() -> String {
    Uuid::new_v4().to_string().to_uppercase()
}

fn digits(n: usize) -> String {
    Uuid::new_v4().as_bytes().iter().cycle().take(n).map(|b| char::from(b'0' + b % 10)).collect()
}

impl Facts {
    /// A device that nobody has seen before.
    pub fn random(kind: Kind) -> Facts {
        let unique = Uuid::new_v4().simple().to_string().to_uppercase();
        let tail = |n: usize| unique.chars().rev().take(n).collect::<String>();
        let (product, model, model_name, os_version, build) = match kind {
            Kind::IPhone => ("iPhone17,1", "MYND3", "iPhone", "26.1", "23B85"),
            Kind::IPad => ("iPad16,3", "MVV83", "iPad", "26.1", "23B85"),
            Kind::Mac => ("Mac16,1", "Z1FD", "MacBook Pro", "26.1", "25B78"),
        };
        Facts {
            kind,
            udid: if kind == Kind::Mac { uuid() } else { format!("00008140-{}", tail(16)) },
            serial: format!("SM{}", tail(10)),
            name: format!("{model_name} {}", tail(4)),
            os_version: os_version.into(),
            build: build.into(),
            product: product.into(),
            model: model.into(),
            model_name: model_name.into(),
            eas_id: None,
            imei: (kind == Kind::IPhone).then(|| digits(15)),
            supervised: false,
        }
    }

    /// A random iPhone whose mail app speaks EAS under this DeviceId.
    pub fn iphone_with_mail(eas_id: &str) -> Facts {
        Facts { eas_id: Some(eas_id.to_owned()), ..Facts::random(Kind::IPhone) }
    }
}
