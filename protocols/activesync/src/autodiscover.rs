//! Autodiscover: a client that has a mail address asks where to go, and is sent to the gateway. [MS-ASCMD] 2.2.1.1.
//!
//! Plain XML. A document type, and with it every entity of its own, is refused.

pub mod v2;

use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::{BytesRef, Event};

use crate::Error;

/// The schema of answers to phones; other clients (Outlook on a PC) ask for others.
pub const MOBILE_SCHEMA: &str = "http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006";
/// What the schemas that Outlook asks for begin with, in lower case.
const OUTLOOK_SCHEMAS: &str = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/";
const ROOT_SCHEMA: &str = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006";

/// The content type of answers.
pub const CONTENT_TYPE: &str = "text/xml; charset=utf-8";

const MAX_BYTES: usize = 16 * 1024;
const MAX_DEPTH: usize = 16;

/// Who asks, and what answer is understood.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The mail address, at most 320 characters; empty where it is absent.
    pub email: String,
    /// The schema that is asked for; empty where it is absent.
    pub schema: String,
}

impl Request {
    /// Reads a request, in UTF-8, of at most 16 kB. Namespaces are not looked at: clients differ, and the schema asked
    /// for says it all.
    pub fn parse(xml: &[u8]) -> Result<Request, Error> {
        if xml.len() > MAX_BYTES {
            return Err(refused("over 16 kB"));
        }
        let text = std::str::from_utf8(xml).map_err(|_| refused("not UTF-8"))?;
        let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
        let mut parser = Parser::default();
        while parser.take(reader.read_event().map_err(|error| refused(&error.to_string()))?)? {}
        parser.finish()
    }

    /// Whether our answer is one that the client understands.
    pub fn is_mobile(&self) -> bool {
        self.schema.trim() == MOBILE_SCHEMA
    }

    /// Whether Outlook asks, for its own protocols: the mail server knows.
    pub fn is_outlook(&self) -> bool {
        self.schema.trim().to_ascii_lowercase().starts_with(OUTLOOK_SCHEMAS)
    }
}

fn refused(why: &str) -> Error {
    Error::Autodiscover(why.chars().take(120).collect())
}

#[derive(Default)]
struct Parser {
    open: Vec<String>,
    seen_root: bool,
    request: Request,
}

impl Parser {
    /// False at the end.
    fn take(&mut self, event: Event<'_>) -> Result<bool, Error> {
        match event {
            Event::Eof => return Ok(false),
            Event::DocType(_) => return Err(refused("document types are not taken")),
            Event::Start(start) => self.start(&String::from_utf8_lossy(start.local_name().as_ref()))?,
            Event::Empty(start) => {
                self.start(&String::from_utf8_lossy(start.local_name().as_ref()))?;
                self.open.pop();
            }
            Event::End(_) => drop(self.open.pop()),
            Event::Text(text) => self.text(&text.decode().map_err(|error| refused(&error.to_string()))?),
            Event::CData(text) => self.text(&text.decode().map_err(|error| refused(&error.to_string()))?),
            Event::GeneralRef(reference) => {
                let c = character(&reference)?;
                self.text(c.encode_utf8(&mut [0; 4]));
            }
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
        }
        Ok(true)
    }

    fn start(&mut self, name: &str) -> Result<(), Error> {
        if self.open.is_empty() && (self.seen_root || name != "Autodiscover") {
            return Err(refused("the root element is not Autodiscover"));
        }
        self.seen_root = true;
        if self.open.len() >= MAX_DEPTH {
            return Err(refused("nested too deep"));
        }
        self.open.push(name.to_owned());
        Ok(())
    }

    fn text(&mut self, text: &str) {
        match self.open.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["Autodiscover", "Request", "EMailAddress"] => self.request.email.push_str(text),
            ["Autodiscover", "Request", "AcceptableResponseSchema"] => self.request.schema.push_str(text),
            _ => {}
        }
    }

    fn finish(self) -> Result<Request, Error> {
        if !self.seen_root || !self.open.is_empty() {
            return Err(refused("the document is not whole"));
        }
        let Request { email, schema } = self.request;
        let clean = |text: String, most| text.trim().chars().filter(|c| !c.is_control()).take(most).collect();
        Ok(Request { email: clean(email, 320), schema: clean(schema, 200) })
    }
}

fn character(reference: &BytesRef<'_>) -> Result<char, Error> {
    if let Ok(Some(c)) = reference.resolve_char_ref() {
        return Ok(c);
    }
    match reference.as_ref() {
        b"amp" => Ok('&'),
        b"lt" => Ok('<'),
        b"gt" => Ok('>'),
        b"quot" => Ok('"'),
        b"apos" => Ok('\''),
        _ => Err(refused("unknown entity")),
    }
}

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply<'a> {
    /// Go there.
    Server {
        /// How the user is called on the screen.
        display_name: &'a str,
        /// The address that was asked for.
        email: &'a str,
        /// `https://…/Microsoft-Server-ActiveSync`.
        url: &'a str,
    },
    /// Ask again with another address.
    Redirect {
        /// The address that was asked for.
        email: &'a str,
        /// The other one.
        to: &'a str,
    },
    /// Neither.
    Error {
        /// 1 success, 2 protocol error.
        status: u16,
        /// For people.
        message: &'a str,
    },
}

impl Reply<'_> {
    /// The whole document.
    pub fn encode(&self) -> String {
        let (user, action) = match self {
            Reply::Server { display_name, email, url } => (user(display_name, email), server(url)),
            Reply::Redirect { email, to } => (user(email, email), element("Redirect", &escape(*to))),
            Reply::Error { status, message } => {
                let inner = element("Status", &status.to_string()) + &element("Message", &escape(*message));
                (String::new(), element("Error", &inner))
            }
        };
        let response = element("Culture", "en:us") + &user + &element("Action", &action);
        format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<Autodiscover xmlns=\"{ROOT_SCHEMA}\">\
             <Response xmlns=\"{MOBILE_SCHEMA}\">{response}</Response></Autodiscover>"
        )
    }
}

fn user(display_name: &str, email: &str) -> String {
    let inner = element("DisplayName", &escape(display_name)) + &element("EMailAddress", &escape(email));
    element("User", &inner)
}

fn server(url: &str) -> String {
    let url = escape(url);
    let inner = element("Type", "MobileSync") + &element("Url", &url) + &element("Name", &url);
    element("Settings", &element("Server", &inner))
}

fn element(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(email: &str) -> String {
        let base = "http://schemas.microsoft.com/exchange/autodiscover/mobilesync";
        format!(
            "<?xml version=\"1.0\"?><Autodiscover xmlns=\"{base}/requestschema/2006\"><Request>\n\
             <EMailAddress>{email}</EMailAddress><AcceptableResponseSchema>{base}/responseschema/2006\
             </AcceptableResponseSchema></Request></Autodiscover>"
        )
    }

    #[test]
    fn a_phone_asks_where_to_go() {
        let got = Request::parse(request("a&amp;b&#64;example.com").as_bytes()).unwrap();
        assert_eq!((got.email.as_str(), got.is_mobile()), ("a&b@example.com", true));
    }

    #[test]
    fn outlook_asks_for_a_schema_of_its_own() {
        let asks = |schema: &str| {
            let xml = format!(
                "<Autodiscover><Request><AcceptableResponseSchema>{schema}</AcceptableResponseSchema></Request></Autodiscover>"
            );
            let asked = Request::parse(xml.as_bytes()).unwrap();
            (asked.is_outlook(), asked.is_mobile())
        };
        assert_eq!(
            asks("http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"),
            (true, false)
        );
        assert_eq!(
            asks("http://schemas.microsoft.com/Exchange/Autodiscover/Outlook/ResponseSchema/2006"),
            (true, false)
        );
        assert_eq!(asks(MOBILE_SCHEMA), (false, true));
        assert_eq!(asks("http://example.org/outlook"), (false, false));
    }

    #[test]
    fn what_is_not_a_request_is_refused() {
        let bomb = format!("<!DOCTYPE a [<!ENTITY b \"c\">]>{}", request("&b;"));
        for (row, xml) in [
            ("empty", ""),
            ("document type", bomb.as_str()),
            ("entity", &request("&b;")),
            ("other root", "<Auto/>"),
            ("cut", "<Autodiscover><Request>"),
            ("two roots", "<Autodiscover/><Autodiscover/>"),
            ("deep", &"<Autodiscover>".repeat(40)),
            ("crossed", "<Autodiscover><a></b></Autodiscover>"),
        ] {
            assert!(Request::parse(xml.as_bytes()).is_err(), "{row}");
        }
        assert_eq!(Request::parse(b"<Autodiscover/>"), Ok(Request::default()));
    }

    #[test]
    fn the_answer_names_the_gateway() {
        let url = "https://gw/Microsoft-Server-ActiveSync";
        let xml = Reply::Server { display_name: "Ann <x>", email: "a@b", url }.encode();
        let want = "<Culture>en:us</Culture><User><DisplayName>Ann &lt;x&gt;</DisplayName>\
                    <EMailAddress>a@b</EMailAddress></User><Action><Settings><Server><Type>MobileSync</Type>\
                    <Url>https://gw/Microsoft-Server-ActiveSync</Url>\
                    <Name>https://gw/Microsoft-Server-ActiveSync</Name></Server></Settings></Action>";
        assert!(xml.contains(want), "{xml}");
        let error = Reply::Error { status: 2, message: "no" }.encode();
        assert!(error.contains("<Action><Error><Status>2</Status><Message>no</Message></Error></Action>"), "{error}");
        assert!(Reply::Redirect { email: "a@b", to: "a@c" }.encode().contains("<Redirect>a@c</Redirect>"));
    }

    proptest! {
        #[test]
        fn any_address_comes_through(email in "[ -~]{0,40}") {
            let got = Request::parse(request(&escape(email.as_str())).as_bytes()).unwrap();
            prop_assert_eq!(got.email, email.trim());
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[<>/&;#a-zA-Z! ]{0,80}") {
            let _ = Request::parse(&bytes);
            let _ = Request::parse(text.as_bytes());
        }
    }
}
