//! What a device has answered to the operations of one message of ours, gathered until its package has ended.

use crate::ids::CommandId;
use lanyard_omadm::session::{Lost, Output};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Longest value that is looked at, in bytes; a policy's node holds at most as much.
const LONGEST: usize = 64 * 1024;
/// Bytes of values kept while a package is unfinished.
const ROOM: usize = 1024 * 1024;

/// The answers by operation: a command, and which of its operations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answers {
    of: BTreeMap<String, Answer>,
    room_used: usize,
}

/// The answer to one operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Answer {
    /// The Status; of several nodes the first.
    pub(super) code: Option<u16>,
    /// Nodes and their values.
    pub(super) values: Vec<(String, String)>,
    /// No answer will come; this says whether the device refused to say more, or fell silent.
    pub(super) lost: Option<Loss>,
}

/// Why no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Loss {
    /// The session ended: it may be done or not, and is asked again in the next.
    Silent,
    /// The device broke off over it, or dropped the value: it would do so again.
    Refused,
}

impl Answer {
    pub(super) fn is_good(&self) -> bool {
        self.code.is_some_and(is_good)
    }

    /// The value that was asked for. What comes with a refusal is none.
    pub(super) fn value(&self) -> Option<&str> {
        self.values.first().filter(|_| self.is_good()).map(|(_, value)| value.as_str())
    }

    /// Whether the device broke off, or dropped its value, while this was not wholly answered: it may be for this.
    pub(super) fn is_broken_off(&self) -> bool {
        self.lost == Some(Loss::Refused) && self.values.is_empty() && self.code.is_none_or(is_good)
    }
}

/// Whether a Status says that something was done, or will be: cancelled (214), not begun (215) and undone again (216) was nothing.
pub(super) fn is_good(code: u16) -> bool {
    (200..300).contains(&code) && !matches!(code, 214..=216)
}

/// The name of an operation.
pub(super) fn op(command: CommandId, index: usize) -> String {
    format!("{command}/{index}")
}

/// The command and the operation of it that a name means.
pub(super) fn parts(op: &str) -> Option<(CommandId, usize)> {
    let (command, index) = op.split_once('/')?;
    Some((command.parse().ok()?, index.parse().ok()?))
}

impl Answers {
    /// Files what an output says of an operation; others say nothing here.
    pub(super) fn note(&mut self, output: &Output) {
        match output {
            Output::OpStatus { op, code, .. } => {
                self.of(op).code.get_or_insert(*code);
            }
            Output::OpResult { op, uri, data, .. } if data.len() <= LONGEST && self.room_used + data.len() <= ROOM => {
                self.room_used += data.len() + uri.len();
                self.of(op).values.push((uri.clone(), data.clone()));
            }
            Output::OpLost { op, why } => {
                let loss = match why {
                    Lost::Aborted | Lost::HeaderRefused(_) | Lost::NoResult => Loss::Refused,
                    Lost::NoStatus => Loss::Silent,
                    // Of a session that is no more; in this one it may go out again at once.
                    Lost::Restarted => return,
                };
                self.of(op).lost.get_or_insert(loss);
            }
            _ => {}
        }
    }

    fn of(&mut self, op: &str) -> &mut Answer {
        self.of.entry(op.to_owned()).or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Whether anything will not be answered: nothing new goes out in this session then.
    pub(super) fn any_lost(&self) -> bool {
        self.of.values().any(|answer| answer.lost.is_some())
    }

    /// By command, each with its operations.
    pub(super) fn by_command(self) -> BTreeMap<CommandId, BTreeMap<usize, Answer>> {
        let mut found: BTreeMap<CommandId, BTreeMap<usize, Answer>> = BTreeMap::new();
        for (name, answer) in self.of {
            if let Some((command, index)) = parts(&name) {
                found.entry(command).or_default().insert(index, answer);
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_by_command_and_operation() {
        let id = CommandId(uuid::Uuid::from_u128(7));
        let mut answers = Answers::default();
        let name = op(id, 3);
        answers.note(&Output::OpStatus { op: name.clone(), uri: None, code: 200 });
        answers.note(&Output::OpStatus { op: name.clone(), uri: None, code: 404 });
        let (format, data) = ("chr".to_owned(), "x".repeat(LONGEST + 1));
        answers.note(&Output::OpResult { op: name.clone(), uri: "./A".into(), format, data });
        answers.note(&Output::OpLost { op: name.clone(), why: Lost::Aborted });
        answers.note(&Output::OpStatus { op: "nonsense".into(), uri: None, code: 200 });
        assert!(answers.any_lost());
        let by_command = answers.by_command();
        let want = Answer { code: Some(200), values: vec![], lost: Some(Loss::Refused) };
        assert_eq!(by_command, BTreeMap::from([(id, BTreeMap::from([(3, want)]))]));
    }

    #[test]
    fn what_was_not_done_is_not_good() {
        for (code, good) in
            [(200, true), (202, true), (214, false), (215, false), (216, false), (405, false), (507, false)]
        {
            assert_eq!(is_good(code), good, "{code}");
        }
    }

    #[test]
    fn what_is_kept_has_a_bound() {
        let id = CommandId(uuid::Uuid::from_u128(7));
        let mut answers = Answers::default();
        for index in 0..100 {
            let (format, data) = ("chr".to_owned(), "x".repeat(LONGEST));
            answers.note(&Output::OpResult { op: op(id, index), uri: "./A".into(), format, data });
        }
        assert!(serde_json::to_vec(&answers).unwrap().len() < ROOM + 64 * 1024);
    }
}
