//! Versions of systems, as numbers.

use std::fmt;

use lanyard_apple::support::OsVersion;

/// Up to four numbers: `17.0`, `26.0.1`, `10.0.26200.9278`. What is left out is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version([u32; 4]);

impl Version {
    /// As devices write it, the letter of a rapid security response left out; `None` where it does not begin with a number.
    pub fn parse(text: &str) -> Option<Version> {
        let mut numbers = [0; 4];
        for (at, number) in text.trim().split([' ', '(']).next()?.split('.').enumerate() {
            *numbers.get_mut(at)? = number.parse().ok()?;
        }
        Some(Version(numbers))
    }

    /// As Apple's tables have it, of three numbers; none where one is larger than any of theirs.
    pub(super) fn of_apple(self) -> Option<OsVersion> {
        let [major, minor, patch, _] = self.0.map(u16::try_from);
        Some(OsVersion::new(major.ok()?, minor.ok()?, patch.ok()?))
    }

    /// All four numbers.
    pub fn numbers(self) -> [u32; 4] {
        self.0
    }
}

/// Two numbers at least.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.iter().rposition(|number| *number != 0).map_or(2, |last| (last + 1).max(2));
        let numbers: Vec<String> = self.0.iter().take(shown).map(u32::to_string).collect();
        f.write_str(&numbers.join("."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_numbers() {
        for (text, shown) in
            [("17", "17.0"), ("26.0.1 (a)", "26.0.1"), ("10.0.26200.9278", "10.0.26200.9278"), (" 9.3", "9.3")]
        {
            assert_eq!(Version::parse(text).unwrap().to_string(), shown);
        }
        assert!(Version::parse("9.3") < Version::parse("10") && Version::parse("10.0.9") < Version::parse("10.0.10"));
        for bad in ["", "x", "10.x", "-1", "1.2.3.4.5", "99999999999"] {
            assert_eq!(Version::parse(bad), None, "{bad}");
        }
    }
}
