//! SyncML as WBXML: the code pages and the way from and to the same tree that XML gives. [OMA RepPro] 8.

use lanyard_wbxml::{Attributes, Charset, CodePages, Header, Malformed, Node, Page, PublicId};

use crate::Error;
use crate::xml::{self, Element};

/// The registered public id of SyncML 1.2.
const PUBLIC_ID: u32 = 0x1201;
const PUBLIC_NAME: &str = "-//SYNCML//DTD SyncML 1.2//EN";

const SYNCML: u8 = 0;
const METINF: u8 = 1;

static PAGES: CodePages = CodePages {
    pages: &[
        Page {
            number: SYNCML,
            namespace: "SYNCML:SYNCML1.2",
            tags: &[
                (0x05, "Add"),
                (0x06, "Alert"),
                (0x07, "Archive"),
                (0x08, "Atomic"),
                (0x09, "Chal"),
                (0x0A, "Cmd"),
                (0x0B, "CmdID"),
                (0x0C, "CmdRef"),
                (0x0D, "Copy"),
                (0x0E, "Cred"),
                (0x0F, "Data"),
                (0x10, "Delete"),
                (0x11, "Exec"),
                (0x12, "Final"),
                (0x13, "Get"),
                (0x14, "Item"),
                (0x15, "Lang"),
                (0x16, "LocName"),
                (0x17, "LocURI"),
                (0x18, "Map"),
                (0x19, "MapItem"),
                (0x1A, "Meta"),
                (0x1B, "MsgID"),
                (0x1C, "MsgRef"),
                (0x1D, "NoResp"),
                (0x1E, "NoResults"),
                (0x1F, "Put"),
                (0x20, "Replace"),
                (0x21, "RespURI"),
                (0x22, "Results"),
                (0x23, "Search"),
                (0x24, "Sequence"),
                (0x25, "SessionID"),
                (0x26, "SftDel"),
                (0x27, "Source"),
                (0x28, "SourceRef"),
                (0x29, "Status"),
                (0x2A, "Sync"),
                (0x2B, "SyncBody"),
                (0x2C, "SyncHdr"),
                (0x2D, "SyncML"),
                (0x2E, "Target"),
                (0x2F, "TargetRef"),
                (0x31, "VerDTD"),
                (0x32, "VerProto"),
                (0x33, "NumberOfChanges"),
                (0x34, "MoreData"),
                (0x35, "Field"),
                (0x36, "Filter"),
                (0x37, "Record"),
                (0x38, "FilterType"),
                (0x39, "SourceParent"),
                (0x3A, "TargetParent"),
                (0x3B, "Move"),
                (0x3C, "Correlator"),
            ],
        },
        Page {
            number: METINF,
            namespace: "syncml:metinf",
            tags: &[
                (0x05, "Anchor"),
                (0x06, "EMI"),
                (0x07, "Format"),
                (0x08, "FreeID"),
                (0x09, "FreeMem"),
                (0x0A, "Last"),
                (0x0B, "Mark"),
                (0x0C, "MaxMsgSize"),
                (0x0D, "Mem"),
                (0x0E, "MetInf"),
                (0x0F, "Next"),
                (0x10, "NextNonce"),
                (0x11, "SharedMem"),
                (0x12, "Size"),
                (0x13, "Type"),
                (0x14, "Version"),
                (0x15, "MaxObjSize"),
                (0x16, "FieldLevel"),
            ],
        },
    ],
};

pub(super) fn parse(bytes: &[u8], limits: &xml::Limits) -> Result<Element<'static>, Error> {
    let limits = lanyard_wbxml::Limits {
        max_bytes: limits.max_bytes,
        max_depth: limits.max_depth,
        max_elements: limits.max_elements,
        attributes: Attributes::Refuse,
        malformed: Malformed::AsBytes,
    };
    let document = lanyard_wbxml::decode(bytes, &PAGES, &limits)?;
    match &document.header.public_id {
        PublicId::Number(PUBLIC_ID) => {}
        PublicId::Text(name) if name == PUBLIC_NAME => {}
        PublicId::Number(other) => return Err(Error::PublicId(format!("{other:#x}"))),
        PublicId::Text(other) => return Err(Error::PublicId(other.chars().take(60).collect())),
    }
    from_wbxml(document.root).ok_or_else(|| Error::unexpected("message", "unknown token"))
}

/// Depth is bounded by the limits above. `None` for a token without a name, which is passed over.
fn from_wbxml(element: lanyard_wbxml::Element) -> Option<Element<'static>> {
    let name = element.name()?;
    let (mut text, mut spoilt) = (String::new(), false);
    let mut children = Vec::new();
    for node in element.children {
        match node {
            Node::Element(child) => children.extend(from_wbxml(child)),
            Node::Text(more) => append(&mut text, more),
            Node::Opaque(bytes) => {
                let more = String::from_utf8(bytes);
                spoilt |= more.is_err();
                append(&mut text, more.unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()));
            }
        }
    }
    if !xml::is_text(&text) {
        (text, spoilt) = (xml::mended(&text), true);
    }
    Some(Element { name: name.into(), text: text.into(), spoilt, children, ..Element::default() })
}

/// Most elements have one text: it is moved, not copied.
fn append(text: &mut String, more: String) {
    if text.is_empty() {
        *text = more;
    } else {
        text.push_str(&more);
    }
}

/// In the version and with the public id that clients use themselves (libdmclient: `02 A4 01 6A 00`).
pub(super) fn encode(root: &Element<'_>) -> Result<Vec<u8>, Error> {
    let header = Header { minor_version: 2, public_id: PublicId::Number(PUBLIC_ID), charset: Charset::Utf8 };
    Ok(lanyard_wbxml::encode(&header, &to_wbxml(root, SYNCML)?))
}

fn to_wbxml(element: &Element<'_>, page: u8) -> Result<lanyard_wbxml::Element, Error> {
    let Some(tag) = PAGES.named(page, &element.name) else {
        return Err(Error::unexpected("WBXML", &element.name));
    };
    if !xml::is_text(&element.text) {
        return Err(Error::Unencodable { element: "text of SyncML" });
    }
    if element.children.is_empty() {
        return Ok(lanyard_wbxml::Element::text_of(tag, element.text.as_ref()));
    }
    let below = if element.name == "Meta" { METINF } else { SYNCML };
    let children: Result<Vec<_>, Error> = element.children.iter().map(|child| to_wbxml(child, below)).collect();
    Ok(lanyard_wbxml::Element::of(tag, children?))
}
