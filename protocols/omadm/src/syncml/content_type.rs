//! The media types of SyncML. A client is answered in the one it spoke in.

/// XML or WBXML, with `.dm` (OMA DM 1.2) or without (as some plain clients still say).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub enum ContentType {
    /// `application/vnd.syncml.dm+xml`, what Windows uses.
    #[default]
    DmXml,
    /// `application/vnd.syncml.dm+wbxml`.
    DmWbxml,
    /// `application/vnd.syncml+xml`.
    Xml,
    /// `application/vnd.syncml+wbxml`.
    Wbxml,
}

impl ContentType {
    const ALL: [ContentType; 4] = [ContentType::DmXml, ContentType::DmWbxml, ContentType::Xml, ContentType::Wbxml];

    /// Reads a Content-Type header; parameters and case do not matter. `None`: not SyncML.
    pub fn parse(header: &str) -> Option<ContentType> {
        let essence = header.split(';').next().unwrap_or_default().trim();
        ContentType::ALL.into_iter().find(|known| known.as_str().eq_ignore_ascii_case(essence))
    }

    /// The header to answer with.
    pub fn as_str(self) -> &'static str {
        match self {
            ContentType::DmXml => "application/vnd.syncml.dm+xml",
            ContentType::DmWbxml => "application/vnd.syncml.dm+wbxml",
            ContentType::Xml => "application/vnd.syncml+xml",
            ContentType::Wbxml => "application/vnd.syncml+wbxml",
        }
    }

    /// Whether the body is tokenised.
    pub fn is_wbxml(self) -> bool {
        matches!(self, ContentType::DmWbxml | ContentType::Wbxml)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_and_case_do_not_matter() {
        for known in ContentType::ALL {
            assert_eq!(ContentType::parse(known.as_str()), Some(known));
        }
        assert_eq!(ContentType::parse("Application/VND.syncml.DM+xml; charset=UTF-8"), Some(ContentType::DmXml));
        assert_eq!(ContentType::parse("text/xml"), None);
        assert_eq!(ContentType::parse(""), None);
    }
}
