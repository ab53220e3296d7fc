//! What a PC does about each command of a message, and the statuses and results it answers with.

use super::WindowsDevice;
use super::syncml::{Command, Item, Part};
use super::tree::{Found, Tree};
use crate::ledger::{Channel, Effect};

/// What a message led to, beside its answer.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) parts: Vec<Part>,
    /// Ledger ids of what was done, to be marked as heard.
    pub(super) acts: Vec<String>,
    pub(super) commands: usize,
    /// The session stops here and nothing is answered: Unenroll.
    pub(super) unenrol: bool,
    /// Once the answer is out, the device resets itself.
    pub(super) wipe: bool,
    /// The server broke the session off: Alert 1223.
    pub(super) aborted: bool,
}

/// Wipes of the RemoteWipe CSP.
const WIPES: &[&str] = &[
    "doWipe",
    "doWipePersistProvisionedData",
    "doWipeProtected",
    "doWipePersistUserData",
    "doWipeCloud",
    "doWipeCloudPersistUserData",
    "doWipeCloudPersistProvisionedData",
    "AutomaticRedeployment/doAutomaticRedeployment",
];

impl WindowsDevice {
    /// Works through the commands of message `msg` in order.
    pub(super) fn perform_all(&mut self, session: u32, msg: u32, commands: &[Command]) -> Done {
        let mut done = Done::default();
        for command in commands {
            if done.unenrol {
                break;
            }
            match (command.verb.as_str(), command.alert) {
                // "Send on": the next message of a package that did not fit into one.
                ("Alert", Some(1222)) => done.status(msg, command, None, 200),
                ("Alert", code) => {
                    done.aborted |= code == Some(1223);
                    done.status(msg, command, None, 200);
                }
                _ => {
                    done.commands += 1;
                    self.perform(session, msg, command, &mut done, false);
                }
            }
        }
        done
    }

    /// Does one command; its code, the worst of its items'.
    fn perform(&mut self, session: u32, msg: u32, command: &Command, done: &mut Done, in_atomic: bool) -> u16 {
        match command.verb.as_str() {
            "Get" if in_atomic => {
                done.status(msg, command, None, 500);
                500
            }
            "Get" => self.get(msg, command, done),
            "Atomic" if in_atomic => {
                done.status(msg, command, None, 500);
                500
            }
            "Atomic" => self.atomic(session, msg, command, done),
            "Sequence" => {
                done.status(msg, command, None, 200);
                for child in &command.children {
                    self.perform(session, msg, child, done, in_atomic);
                }
                200
            }
            "Add" | "Replace" | "Delete" | "Exec" => self.write_items(session, msg, command, done),
            _ => {
                done.status(msg, command, None, 406);
                406
            }
        }
    }

    fn get(&mut self, msg: u32, command: &Command, done: &mut Done) -> u16 {
        let mut items = Vec::new();
        let mut worst = 200;
        for item in &command.items {
            let code = match self.tree.get(&item.target) {
                Ok(Found::Leaf(node)) => {
                    items.push((item.target.clone(), node.format.clone(), node.data.clone()));
                    200
                }
                Ok(Found::Interior(names)) => {
                    items.push((item.target.clone(), "node".into(), names.join("/")));
                    200
                }
                Err(code) => code,
            };
            worst = worst.max(code);
            done.status(msg, command, Some(&item.target).filter(|_| command.items.len() > 1), code);
        }
        if !items.is_empty() {
            done.parts.push(Part::Results { msg_ref: msg, cmd_ref: command.id, items });
        }
        worst
    }

    fn write_items(&mut self, session: u32, msg: u32, command: &Command, done: &mut Done) -> u16 {
        let mut worst = 200;
        for item in &command.items {
            let code = self.write_item(&command.verb, item, done);
            if done.unenrol {
                let id = format!("S{session}/M{msg}/C{}", command.id);
                self.record(&id, &command.verb, &item.target, "none");
                return 0;
            }
            let id = format!("S{session}/M{msg}/C{}", command.id);
            self.record(&id, &command.verb, &item.target, &code.to_string());
            done.acts.push(id);
            worst = worst.max(code);
            done.status(msg, command, Some(&item.target).filter(|_| command.items.len() > 1), code);
        }
        worst
    }

    fn record(&self, id: &str, verb: &str, target: &str, outcome: &str) {
        let kind = format!("{verb} {target}");
        self.world.ledger.record(
            Channel::Omadm,
            &self.facts.device_id,
            id,
            (&kind, effect(&kind, outcome)),
            (outcome, None),
        );
    }

    fn write_item(&mut self, verb: &str, item: &Item, done: &mut Done) -> u16 {
        if self.conduct.fail.contains(&item.target) {
            return 500;
        }
        match verb {
            "Add" => self.tree.add(&item.target, &item.format, &item.data),
            "Replace" => self.tree.replace(&item.target, &item.format, &item.data),
            "Delete" => self.tree.delete(&item.target),
            _ => self.exec(item, done),
        }
    }

    fn exec(&mut self, item: &Item, done: &mut Done) -> u16 {
        let target = item.target.replace("./Vendor/", "./Device/Vendor/");
        let Some(node) = target.strip_prefix("./Device/Vendor/MSFT/") else { return 404 };
        let provider = self.account.as_ref().map(|a| a.provider_id.clone()).unwrap_or_default();
        if node == format!("DMClient/Provider/{provider}/Unenroll") || node == "DMClient/Unenroll" {
            done.unenrol = item.data == provider;
            return if done.unenrol { 0 } else { 500 };
        }
        if let Some(wipe) = node.strip_prefix("RemoteWipe/") {
            done.wipe |= WIPES.contains(&wipe);
            return if WIPES.contains(&wipe) { 200 } else { 404 };
        }
        match node {
            "RemoteLock/Lock" if self.facts.phone => 200,
            // Listed among a PC's nodes all the same.
            "RemoteLock/Lock" => 405,
            "Reboot/RebootNow" | "Defender/UpdateSignature" | "Defender/Scan" => 200,
            _ if node.ends_with("/DownloadInstall") || node.ends_with("/Install/Enroll") => 202,
            _ if self.tree.get(&target).is_ok() => 405,
            _ => 404,
        }
    }

    /// All or nothing: where a child fails, those before it are undone (216), those after it not begun (215).
    fn atomic(&mut self, session: u32, msg: u32, command: &Command, done: &mut Done) -> u16 {
        let before: Tree = self.tree.clone();
        let at = done.parts.len();
        let mut inner = Done::default();
        let mut failed = None;
        for (n, child) in command.children.iter().enumerate() {
            if failed.is_some() {
                inner.status(msg, child, None, 215);
            } else if self.perform(session, msg, child, &mut inner, true) >= 300 {
                failed = Some(n);
            }
        }
        if failed.is_some() {
            self.tree = before;
            for part in &mut inner.parts {
                if let Part::Status { code, .. } = part
                    && *code == 200
                {
                    *code = 216;
                }
            }
        }
        let code = if failed.is_some() { 507 } else { 200 };
        done.status(msg, command, None, code);
        done.parts.append(&mut inner.parts);
        done.acts.append(&mut inner.acts);
        done.unenrol |= inner.unenrol;
        done.wipe |= inner.wipe && failed.is_none();
        debug_assert!(done.parts.len() > at);
        code
    }
}

/// By the node: Unenroll is done without an answer, all else says 200.
fn effect(kind: &str, outcome: &str) -> Effect {
    let exec = kind.starts_with("Exec ");
    match outcome {
        "none" => Effect::Retired,
        "200" if exec && kind.contains("/RemoteWipe/") => Effect::Wiped,
        "200" if exec && kind.contains("/RemoteLock/") => Effect::Locked,
        "200" if kind.contains("/Policy/Config/") => Effect::Policy,
        _ => Effect::None,
    }
}

impl Done {
    fn status(&mut self, msg: u32, command: &Command, target: Option<&String>, code: u16) {
        let (cmd_ref, verb, target) = (command.id, command.verb.clone(), target.cloned());
        self.parts.push(Part::Status { msg_ref: msg, cmd_ref, verb, target, code });
    }
}
