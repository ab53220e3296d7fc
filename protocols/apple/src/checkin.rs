//! Check-ins: what devices say of their enrolment. S mdm/checkin of apple/device-management. A 200 with an empty body
//! is the answer unless the message's file says otherwise.

mod authenticate;
mod bootstrap_token;
mod declarative;
mod get_token;
mod token_update;
mod user_authenticate;

pub use authenticate::Authenticate;
pub use bootstrap_token::{GetBootstrapToken, SetBootstrapToken, bootstrap_token_answer};
pub use declarative::{DeclarationKind, DeclarativeManagement, Endpoint};
pub use get_token::{GetToken, token_answer};
pub use token_update::TokenUpdate;
pub use user_authenticate::{UserAuthenticate, no_digest_needed};

use crate::{
    error::{Error, cut},
    plist::{self, Dict},
    sender::Channel,
};

/// One check-in.
#[derive(Debug, Clone, PartialEq)]
pub enum CheckIn {
    /// The device is about to enrol. No push yet.
    Authenticate(Authenticate),
    /// The means to wake a channel. The first one completes the enrolment.
    TokenUpdate(TokenUpdate),
    /// The profile was removed. Sent once and on best effort: it may never come.
    CheckOut(Channel),
    /// A network user logged in to a Mac.
    UserAuthenticate(UserAuthenticate),
    /// Keep this bootstrap token, or forget it.
    SetBootstrapToken(SetBootstrapToken),
    /// Hand the bootstrap token back.
    GetBootstrapToken(GetBootstrapToken),
    /// Make a token for a service of Apple's.
    GetToken(GetToken),
    /// Declarations: what is there, what is new, how they do.
    DeclarativeManagement(DeclarativeManagement),
    /// A device in return-to-service mode is about to erase itself, and asks with what to come back.
    /// The answer is [`crate::return_to_service::ReturnToService::answer`].
    ReturnToService(Channel),
}

impl CheckIn {
    /// Reads a body that is known to be a check-in; [`crate::Body::parse`] finds out what a body is.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(&plist::parse_dict(bytes)?)
    }

    pub(crate) fn read(dict: &Dict) -> Result<Self, Error> {
        let channel = || Channel::read(dict);
        Ok(match dict.need_text("MessageType")? {
            "Authenticate" => Self::Authenticate(Authenticate::read(channel()?, dict)?),
            "TokenUpdate" => Self::TokenUpdate(TokenUpdate::read(channel()?, dict)?),
            "CheckOut" => Self::CheckOut(channel()?),
            "UserAuthenticate" => Self::UserAuthenticate(UserAuthenticate::read(channel()?, dict)?),
            "SetBootstrapToken" => Self::SetBootstrapToken(SetBootstrapToken::read(channel()?, dict)?),
            "GetBootstrapToken" => Self::GetBootstrapToken(GetBootstrapToken::read(channel()?, dict)?),
            "GetToken" => Self::GetToken(GetToken::read(channel()?, dict)?),
            "DeclarativeManagement" => Self::DeclarativeManagement(DeclarativeManagement::read(channel()?, dict)?),
            "ReturnToService" => Self::ReturnToService(channel()?),
            other => return Err(Error::UnknownMessageType(cut(other))),
        })
    }

    /// As the device would send it.
    pub fn encode(&self) -> Vec<u8> {
        let dict = self.channel().write(Dict::new().with("MessageType", self.message_type()));
        match self {
            Self::Authenticate(message) => message.write(dict),
            Self::TokenUpdate(message) => message.write(dict),
            Self::UserAuthenticate(message) => message.write(dict),
            Self::SetBootstrapToken(message) => message.write(dict),
            Self::GetBootstrapToken(message) => message.write(dict),
            Self::GetToken(message) => message.write(dict),
            Self::DeclarativeManagement(message) => message.write(dict),
            Self::CheckOut(_) | Self::ReturnToService(_) => dict,
        }
        .to_xml()
    }

    /// Who it is from.
    pub fn channel(&self) -> &Channel {
        match self {
            Self::CheckOut(channel) | Self::ReturnToService(channel) => channel,
            Self::Authenticate(message) => &message.channel,
            Self::TokenUpdate(message) => &message.channel,
            Self::UserAuthenticate(message) => &message.channel,
            Self::SetBootstrapToken(message) => &message.channel,
            Self::GetBootstrapToken(message) => &message.channel,
            Self::GetToken(message) => &message.channel,
            Self::DeclarativeManagement(message) => &message.channel,
        }
    }

    /// Its name on the wire.
    pub fn message_type(&self) -> &'static str {
        match self {
            Self::Authenticate(_) => "Authenticate",
            Self::TokenUpdate(_) => "TokenUpdate",
            Self::CheckOut(_) => "CheckOut",
            Self::UserAuthenticate(_) => "UserAuthenticate",
            Self::SetBootstrapToken(_) => "SetBootstrapToken",
            Self::GetBootstrapToken(_) => "GetBootstrapToken",
            Self::GetToken(_) => "GetToken",
            Self::DeclarativeManagement(_) => "DeclarativeManagement",
            Self::ReturnToService(_) => "ReturnToService",
        }
    }
}

#[cfg(test)]
mod tests;
