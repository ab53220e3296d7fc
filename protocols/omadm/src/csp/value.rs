//! Whether a node that was read holds what it was set to: by its format, since a device writes a value in its own way.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use crate::session::Format;
use crate::xml::{self, Element, Limits};

/// Base64 with or without its padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Whether a value that was read is the one that was set. Numbers and truths are what they mean, base64 (a certificate) its bytes wherever
/// its lines break, text is itself whatever ends its lines, and XML its elements whatever lies between them. What cannot be read as its
/// format is another value.
pub fn is_same(format: Format, set: &str, read: &str) -> bool {
    let (set, read) = (set.trim(), read.trim());
    match format {
        Format::Int => number(set).is_some_and(|set| number(read) == Some(set)),
        Format::Bool => truth(set).is_some_and(|set| truth(read) == Some(set)),
        Format::B64 | Format::Bin => bytes(set).is_some_and(|set| bytes(read).as_ref() == Some(&set)),
        _ => lines(set).eq(lines(read)) || is_same_xml(set, read),
    }
}

fn number(text: &str) -> Option<i64> {
    text.parse().ok()
}

/// A yes or no, as nodes of format bool hold it, and some of format int. `None`: neither, which says nothing.
pub fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let packed: String = text.split_ascii_whitespace().collect();
    LENIENT.decode(packed).ok()
}

/// XML turns the ends of lines into one.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line))
}

fn is_same_xml(set: &str, read: &str) -> bool {
    if !set.starts_with('<') || !read.starts_with('<') {
        return false;
    }
    // Several elements in a row, as policies of administrative templates have them.
    let [set, read] = [set, read].map(|text| format!("<_>{}</_>", without_declaration(text)));
    match (xml::parse(set.as_bytes(), &Limits::SYNCML), xml::parse(read.as_bytes(), &Limits::SYNCML)) {
        (Ok(set), Ok(read)) => is_same_element(&set, &read),
        _ => false,
    }
}

fn without_declaration(text: &str) -> &str {
    text.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")).map_or(text, |(_, rest)| rest)
}

fn is_same_element(set: &Element<'_>, read: &Element<'_>) -> bool {
    let sorted = |element: &Element<'_>| {
        let mut all: Vec<(String, String)> =
            element.attributes.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect();
        all.sort_unstable();
        all
    };
    set.name == read.name
        && lines(set.trimmed()).eq(lines(read.trimmed()))
        && sorted(set) == sorted(read)
        && set.children.len() == read.children.len()
        && set.children.iter().zip(&read.children).all(|(set, read)| is_same_element(set, read))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_is_compared_by_what_its_format_means() {
        let wrapped = "TUlJRFpUQ0\r\n NBazJn\n QXdJQg==\r\n";
        for (row, format, set, read, same) in [
            ("a number", Format::Int, "8", " 8 ", true),
            ("of more digits", Format::Int, "8", "08", true),
            ("another", Format::Int, "8", "9", false),
            ("none", Format::Int, "0", "", false),
            ("no number", Format::Int, "8", "eight", false),
            ("true", Format::Bool, "true", "True", true),
            ("as a number", Format::Bool, "true", "1", true),
            ("false", Format::Bool, "false", "0", true),
            ("not true", Format::Bool, "true", "false", false),
            ("neither", Format::Bool, "false", "", false),
            ("text", Format::Chr, "a", "a", true),
            ("its case counts", Format::Chr, "a", "A", false),
            ("the ends of its lines do not", Format::Chr, "a\r\nb", "a\nb", true),
            ("nothing", Format::Chr, "", "", true),
            ("nothing was set", Format::Chr, "", "a", false),
            ("nothing is read", Format::Chr, "a", "", false),
            ("a certificate", Format::B64, "TUlJRFpUQ0NBazJnQXdJQg==", "TUlJRFpUQ0NBazJnQXdJQg==", true),
            ("in lines of its own", Format::B64, "TUlJRFpUQ0NBazJnQXdJQg==", wrapped, true),
            ("without padding", Format::B64, "TUlJRFpUQ0NBazJnQXdJQg==", "TUlJRFpUQ0NBazJnQXdJQg", true),
            ("another one", Format::B64, "TUlJRFpUQ0NBazJnQXdJQg==", "TUlJRFpUQ0NBazJnQXdJQw==", false),
            ("empty", Format::B64, "TUlJRFpUQ0NBazJnQXdJQg==", "", false),
            ("no base64", Format::B64, "TUlJRFpUQ0NBazJnQXdJQg==", "(a certificate)", false),
            ("bytes", Format::Bin, "AAEC", "AA\nEC", true),
            ("other bytes", Format::Bin, "AAEC", "AAED", false),
            (
                "a document",
                Format::Xml,
                "<a><b c='1' d='2'/></a>",
                "<?xml version=\"1.0\"?>\n<a>\n  <b d=\"2\" c=\"1\"></b>\n</a>",
                true,
            ),
            ("of another value", Format::Xml, "<a>1</a>", "<a>2</a>", false),
            ("of another attribute", Format::Xml, "<a b='1'/>", "<a b='2'/>", false),
            ("of one element more", Format::Xml, "<a><b/></a>", "<a><b/><b/></a>", false),
            (
                "in a text",
                Format::Chr,
                "<enabled/><data id='x' value='1'/>",
                "<enabled />\r\n<data id=\"x\" value=\"1\" />",
                true,
            ),
            ("disabled", Format::Chr, "<enabled/>", "<disabled/>", false),
            ("no document any more", Format::Xml, "<a/>", "", false),
            ("cut off", Format::Xml, "<a/>", "<a", false),
        ] {
            assert_eq!(is_same(format, set, read), same, "{row}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_read_is_compared(set in "\\PC{0,20}", read in "[<>/a-z&;='\" \\r\\n]{0,30}|\\PC{0,20}") {
            for format in [Format::Int, Format::Bool, Format::Chr, Format::B64, Format::Bin, Format::Xml] {
                let _ = is_same(format, &set, &read);
            }
            prop_assert!(is_same(Format::Chr, &set, &set) && is_same(Format::Xml, &set, &set));
        }
    }
}
