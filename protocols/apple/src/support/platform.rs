//! Platforms by the names of machines, and versions of systems.

use std::fmt;

/// What a device runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Platform {
    /// iPhone, iPod touch.
    Ios,
    /// iPad.
    IpadOs,
    /// Mac.
    MacOs,
    /// Apple TV (and HomePod, which is managed like one).
    TvOs,
    /// Apple Watch.
    WatchOs,
    /// Apple Vision.
    VisionOs,
    /// Something newer than this list.
    Other,
}

impl Platform {
    /// From ProductName (`iPhone14,2`, `Mac14,7`, `VirtualMac2,1`), else from Model or ModelName: older Macs and mdmb
    /// have the machine's name only there. `None` or unknown names give [`Platform::Other`].
    pub fn of(names: &[Option<&str>]) -> Self {
        let known = names.iter().flatten().map(|name| Self::from_name(name)).find(|platform| *platform != Self::Other);
        known.unwrap_or(Self::Other)
    }

    fn from_name(name: &str) -> Self {
        const PREFIXES: [(&str, Platform); 14] = [
            ("iPhone", Platform::Ios),
            ("iPod", Platform::Ios),
            ("iPad", Platform::IpadOs),
            ("Mac", Platform::MacOs),
            ("iMac", Platform::MacOs),
            ("VirtualMac", Platform::MacOs),
            ("Xserve", Platform::MacOs),
            ("VMware", Platform::MacOs),
            ("Parallels", Platform::MacOs),
            ("AppleTV", Platform::TvOs),
            ("Apple TV", Platform::TvOs),
            ("Watch", Platform::WatchOs),
            ("Apple Watch", Platform::WatchOs),
            ("RealityDevice", Platform::VisionOs),
        ];
        let found = PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix));
        found.map_or(Self::Other, |(_, platform)| *platform)
    }
}

/// `26.0.1`. What follows the third number, such as the letter of a rapid security response, does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OsVersion {
    major: u16,
    minor: u16,
    patch: u16,
}

impl OsVersion {
    /// By its numbers.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }

    /// As devices write it; `None` where it does not begin with a number.
    pub fn parse(text: &str) -> Option<Self> {
        let numbers = text.split([' ', '(']).next().unwrap_or_default();
        let mut numbers = numbers.split('.');
        let major = numbers.next()?.parse().ok()?;
        let mut rest = || numbers.next().map_or(Some(0), |number| number.parse().ok());
        Some(Self { major, minor: rest()?, patch: rest()? })
    }

    /// The first number.
    pub fn major(self) -> u16 {
        self.major
    }
}

impl fmt::Display for OsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch == 0 { Ok(()) } else { write!(f, ".{}", self.patch) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_platform() {
        for (name, want) in [
            ("iPhone14,2", Platform::Ios),
            ("iPod9,1", Platform::Ios),
            ("iPad13,1", Platform::IpadOs),
            ("Mac14,7", Platform::MacOs),
            ("MacBookPro18,3", Platform::MacOs),
            ("Macmini9,1", Platform::MacOs),
            ("iMac21,1", Platform::MacOs),
            ("VirtualMac2,1", Platform::MacOs),
            ("AppleTV14,1", Platform::TvOs),
            ("Watch7,5", Platform::WatchOs),
            ("RealityDevice14,1", Platform::VisionOs),
            ("Toaster1,1", Platform::Other),
        ] {
            assert_eq!(Platform::of(&[Some(name)]), want, "{name}");
        }
        assert_eq!(Platform::of(&[None, Some("MLPG3"), Some("iPhone")]), Platform::Ios);
        assert_eq!(Platform::of(&[]), Platform::Other);
    }

    #[test]
    fn versions_compare_as_numbers() {
        let version = |text| OsVersion::parse(text).unwrap();
        assert!(version("9.3.2") < version("10"));
        assert!(version("10.13.6") < version("10.15"));
        assert_eq!(version("16.4.1 (a)"), OsVersion::new(16, 4, 1));
        assert_eq!(version("26.0").to_string(), "26.0");
        for bad in ["", "x", "10.x", "99999.1", "-1"] {
            assert_eq!(OsVersion::parse(bad), None, "{bad}");
        }
    }
}
