//! The commands and their codes in the packed query. [MS-ASHTTP] 2.2.1.1.1.2.

use std::fmt;

macro_rules! commands {
    ($($name:ident $code:literal),+ $(,)?) => {
        /// A command of the protocol.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[allow(missing_docs)] // the names are the specification's
        pub enum Command { $($name),+ }

        impl Command {
            /// All of them, in the order of their codes.
            pub const ALL: &[Command] = &[$(Command::$name),+];

            /// The code in the packed query.
            pub fn code(self) -> u8 {
                match self { $(Command::$name => $code),+ }
            }

            /// The name in the plain query.
            pub fn name(self) -> &'static str {
                match self { $(Command::$name => stringify!($name)),+ }
            }
        }
    };
}

commands! {
    Sync 0, SendMail 1, SmartForward 2, SmartReply 3, GetAttachment 4,
    // Obsolete; 2.5 clients may still send GetHierarchy.
    GetHierarchy 5, CreateCollection 6, DeleteCollection 7, MoveCollection 8,
    FolderSync 9, FolderCreate 10, FolderDelete 11, FolderUpdate 12, MoveItems 13, GetItemEstimate 14,
    MeetingResponse 15, Search 16, Settings 17, Ping 18, ItemOperations 19, Provision 20, ResolveRecipients 21,
    ValidateCert 22, Find 23,
}

impl Command {
    /// From the packed query.
    pub fn from_code(code: u8) -> Option<Command> {
        Command::ALL.iter().copied().find(|command| command.code() == code)
    }

    /// From the plain query. Names are compared without case, as mail servers do.
    pub fn from_name(name: &str) -> Option<Command> {
        Command::ALL.iter().copied().find(|command| command.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_lead_back() {
        for command in Command::ALL {
            assert_eq!(Command::from_code(command.code()), Some(*command));
            assert_eq!(Command::from_name(command.name()), Some(*command));
        }
        assert_eq!(Command::from_code(20), Some(Command::Provision));
        assert_eq!((Command::from_code(24), Command::from_name("Sing")), (None, None));
    }
}
