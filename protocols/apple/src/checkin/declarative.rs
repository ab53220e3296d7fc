//! DeclarativeManagement: the device fetches declarations and reports on them. Bodies inside are JSON, which this file
//! does not read. A 404 for a declaration makes the device drop it; 400, not 500, for what is malformed, since 500 is
//! retried for ever.

use crate::{
    error::{Error, cut},
    plist::Dict,
    sender::Channel,
};

/// A request about declarations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclarativeManagement {
    /// For which channel.
    pub channel: Channel,
    /// What is asked for.
    pub endpoint: Endpoint,
    /// The status report, JSON.
    pub data: Option<Vec<u8>>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// The synchronisation tokens.
    Tokens,
    /// The manifest.
    DeclarationItems,
    /// Nothing: it brings a status report.
    Status,
    /// One declaration.
    Declaration(DeclarationKind, String),
}

/// The four kinds of declarations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeclarationKind {
    /// Says when configurations act.
    Activation,
    /// Data that configurations refer to.
    Asset,
    /// A setting.
    Configuration,
    /// About the management itself.
    Management,
}

impl DeclarativeManagement {
    pub(super) fn read(channel: Channel, dict: &Dict) -> Result<Self, Error> {
        let endpoint = Endpoint::parse(dict.need_text("Endpoint")?)?;
        let data = dict.opt_data("Data")?.map(<[u8]>::to_vec);
        if endpoint == Endpoint::Status && data.is_none() {
            return Err(Error::Missing { field: "Data" });
        }
        Ok(Self { channel, endpoint, data })
    }

    pub(super) fn write(&self, dict: Dict) -> Dict {
        dict.with("Endpoint", self.endpoint.to_text()).with_opt("Data", self.data.as_deref())
    }
}

impl Endpoint {
    fn parse(text: &str) -> Result<Self, Error> {
        let unknown = || Error::UnknownEndpoint(cut(text));
        match text {
            "tokens" => return Ok(Self::Tokens),
            "declaration-items" => return Ok(Self::DeclarationItems),
            "status" => return Ok(Self::Status),
            _ => {}
        }
        let rest = text.strip_prefix("declaration/").ok_or_else(unknown)?;
        let (kind, id) = rest.split_once('/').ok_or_else(unknown)?;
        let kind = match kind {
            "activation" => DeclarationKind::Activation,
            "asset" => DeclarationKind::Asset,
            "configuration" => DeclarationKind::Configuration,
            "management" => DeclarationKind::Management,
            _ => return Err(unknown()),
        };
        if id.is_empty() { Err(unknown()) } else { Ok(Self::Declaration(kind, id.to_owned())) }
    }

    fn to_text(&self) -> String {
        match self {
            Self::Tokens => "tokens".to_owned(),
            Self::DeclarationItems => "declaration-items".to_owned(),
            Self::Status => "status".to_owned(),
            Self::Declaration(kind, id) => {
                let kind = match kind {
                    DeclarationKind::Activation => "activation",
                    DeclarationKind::Asset => "asset",
                    DeclarationKind::Configuration => "configuration",
                    DeclarationKind::Management => "management",
                };
                format!("declaration/{kind}/{id}")
            }
        }
    }
}
