//! What a device does about each command, and what it answers.

use plist::{Dictionary, Value};

use super::poll::{Report, Then};
use super::profile::{self, payload};
use super::{AppleDevice, Kind};
use crate::error::Result;

/// A reason to answer Error: code and words of the error chain. Servers should rest nothing on them.
type Refusal = (i64, &'static str);

/// The right a command needs (AccessRights of the payload com.apple.mdm); 0 for none.
fn right(kind: &str) -> u64 {
    match kind {
        "ProfileList" => 1,
        "InstallProfile" | "RemoveProfile" => 2,
        "DeviceLock" | "ClearPasscode" => 4,
        "EraseDevice" => 8,
        "DeviceInformation" => 16,
        "SecurityInfo" => 1024,
        "Settings" => 2048,
        _ => 0,
    }
}

/// Commands that iOS answers at once whatever its mood; macOS never defers those that lock, erase or restart.
fn never_not_now(device: Kind, kind: &str) -> bool {
    let common = ["DeviceLock", "EraseDevice"];
    let ios = ["DeviceInformation", "ProfileList", "ClearPasscode", "InstalledApplicationList", "Restrictions"];
    let mac = ["RestartDevice", "ShutDownDevice"];
    common.contains(&kind) || if device == Kind::Mac { mac.contains(&kind) } else { ios.contains(&kind) }
}

impl AppleDevice {
    pub(super) async fn perform(&mut self, id: &str, kind: &str, command: &Dictionary) -> Result<Report> {
        if !never_not_now(self.facts.kind, kind) && self.conduct.next_not_now() {
            return Ok(Report::new(id, "NotNow"));
        }
        let rights = self.the_profile()?.access_rights;
        if rights & right(kind) != right(kind) {
            return Ok(failure(id, (12007, "AccessRights lack this")));
        }
        if self.conduct.fail.contains(kind) {
            let mut report = failure(id, (12000, "told to fail"));
            // Without its preflight a Mac says Error and, unless told otherwise, obliterates itself all the same.
            let obliterates = command.get("ObliterationBehavior").is_none_or(|v| v.as_string() == Some("Default"));
            if kind == "EraseDevice" && self.facts.kind == Kind::Mac && obliterates {
                report.then = Then::Erase;
            }
            return Ok(report);
        }
        let done = match kind {
            "DeviceInformation" => self.device_information(command),
            "SecurityInfo" => self.security_info(),
            "ProfileList" => self.profile_list(),
            "InstallProfile" => self.install_profile(command).await,
            "RemoveProfile" => self.remove_profile(command),
            "DeviceLock" => self.device_lock(command),
            "ClearPasscode" => self.clear_passcode(command),
            "EraseDevice" => self.erase(command),
            "RestartDevice" => self.restart(),
            "Settings" => self.settings(command),
            _ => Err((12021, "not a request type known here")),
        };
        Ok(match done {
            Err(refusal) => failure(id, refusal),
            Ok((body, then)) => Report { body, then, ..Report::new(id, "Acknowledged") },
        })
    }

    fn device_information(&self, command: &Dictionary) -> Done {
        let f = &self.facts;
        let text = |s: &String| Some(Value::String(s.clone()));
        let ios = f.kind != Kind::Mac;
        let mut answers = Dictionary::new();
        for query in command.get("Queries").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_string)
        {
            let answer = match query {
                "UDID" => text(&f.udid),
                "DeviceName" => text(&f.name),
                "OSVersion" => text(&f.os_version),
                "BuildVersion" => text(&f.build),
                "ProductName" => text(&f.product),
                "Model" => text(&f.model),
                "ModelName" => text(&f.model_name),
                "SerialNumber" => text(&f.serial),
                "EASDeviceIdentifier" => f.eas_id.as_ref().filter(|_| ios).and_then(text),
                "IsSupervised" => Some(Value::Boolean(f.supervised)),
                "IsMDMLostModeEnabled" if ios => Some(Value::Boolean(false)),
                "IsActivationLockEnabled" => Some(Value::Boolean(false)),
                "DeviceCapacity" => Some(Value::Real(128.0)),
                "AvailableDeviceCapacity" => Some(Value::Real(96.5)),
                "BatteryLevel" => Some(Value::Real(0.8)),
                "HostName" if !ios => text(&f.name),
                "IsAppleSilicon" if !ios => Some(Value::Boolean(true)),
                // What a device does not know, or no longer says (IMEI since iOS 26), is left out.
                _ => None,
            };
            if let Some(answer) = answer {
                answers.insert(query.into(), answer);
            }
        }
        one("QueryResponses", answers)
    }

    fn security_info(&self) -> Done {
        let mut status = Dictionary::new();
        for (key, value) in [
            ("EnrolledViaDEP", false),
            ("UserApprovedEnrollment", true),
            ("IsUserEnrollment", false),
            ("IsActivationLockManageable", false),
        ] {
            status.insert(key.into(), Value::Boolean(value));
        }
        let mut info = Dictionary::new();
        info.insert("ManagementStatus".into(), Value::Dictionary(status));
        if self.facts.kind == Kind::Mac {
            info.insert("FDE_Enabled".into(), Value::Boolean(self.encrypted));
            info.insert("SystemIntegrityProtectionEnabled".into(), Value::Boolean(true));
        } else {
            info.insert("HardwareEncryptionCaps".into(), Value::Integer(3.into()));
            info.insert("PasscodePresent".into(), Value::Boolean(self.passcode));
            info.insert("PasscodeCompliant".into(), Value::Boolean(self.passcode || !self.passcode_wanted()));
            info.insert(
                "PasscodeCompliantWithProfiles".into(),
                Value::Boolean(self.passcode || !self.passcode_wanted()),
            );
        }
        one("SecurityInfo", info)
    }

    fn passcode_wanted(&self) -> bool {
        let policies = self.profiles.values().filter_map(|p| payload(p, "com.apple.mobiledevice.passwordpolicy"));
        policies.into_iter().any(|p| p.get("forcePIN").and_then(Value::as_boolean) == Some(true))
    }

    fn profile_list(&self) -> Done {
        let enrolment = self.profile.as_ref().map(|p| &p.content);
        let list = enrolment.into_iter().chain(self.profiles.values()).map(|p| {
            let mut entry = Dictionary::new();
            for key in ["PayloadIdentifier", "PayloadUUID", "PayloadDisplayName", "PayloadVersion"] {
                if let Some(value) = p.get(key) {
                    entry.insert(key.into(), value.clone());
                }
            }
            entry.insert("IsManaged".into(), Value::Boolean(true));
            Value::Dictionary(entry)
        });
        let mut body = Dictionary::new();
        body.insert("ProfileList".into(), Value::Array(list.collect()));
        Ok((body, Then::GoOn))
    }

    async fn install_profile(&mut self, command: &Dictionary) -> Done {
        let bytes = command.get("Payload").and_then(Value::as_data).ok_or((12003, "no Payload"))?.to_vec();
        let (_, profile) = profile::open(&bytes).map_err(|_| (1000, "not a profile"))?;
        if profile::is_enrolment(&profile) {
            self.renew(&bytes).await.map_err(|_| (12005, "the new identity was refused"))?;
            return nothing();
        }
        let identifier = profile::text(&profile, "PayloadIdentifier").map_err(|_| (1001, "no PayloadIdentifier"))?;
        profile::text(&profile, "PayloadUUID").map_err(|_| (1001, "no PayloadUUID"))?;
        let vault = payload(&profile, "com.apple.MCX.FileVault2").is_some();
        self.profiles.insert(identifier, profile);
        if !self.conduct.ignores_policy {
            self.passcode |= self.passcode_wanted();
            self.encrypted |= vault;
        }
        nothing()
    }

    fn remove_profile(&mut self, command: &Dictionary) -> Done {
        let identifier = command.get("Identifier").and_then(Value::as_string).ok_or((12003, "no Identifier"))?;
        if self.profile.as_ref().is_some_and(|p| p.identifier == identifier) {
            return Ok((Dictionary::new(), Then::Unenrol));
        }
        self.profiles.remove(identifier).map(|_| (Dictionary::new(), Then::GoOn)).ok_or((12075, "no such profile"))
    }

    fn device_lock(&mut self, command: &Dictionary) -> Done {
        self.pin_for_a_mac(command)?;
        self.locked = true;
        let result = if self.passcode || self.facts.kind == Kind::Mac { "Success" } else { "NoPasscodeSet" };
        let mut body = Dictionary::new();
        body.insert("MessageResult".into(), Value::String(result.into()));
        Ok((body, Then::GoOn))
    }

    fn clear_passcode(&mut self, command: &Dictionary) -> Done {
        let token = self.push.unlock_token.as_deref().ok_or((12021, "not on a Mac"))?;
        if command.get("UnlockToken").and_then(Value::as_data) != Some(token) {
            return Err((5013, "this is not the unlock token"));
        }
        self.passcode = false;
        nothing()
    }

    fn erase(&mut self, command: &Dictionary) -> Done {
        self.pin_for_a_mac(command)?;
        Ok((Dictionary::new(), Then::Erase))
    }

    fn restart(&self) -> Done {
        if self.facts.kind == Kind::Mac || self.facts.supervised { nothing() } else { Err((12026, "not supervised")) }
    }

    /// Sets what it can, and says of each item how that went: the command is acknowledged in any case.
    fn settings(&mut self, command: &Dictionary) -> Done {
        let items = command.get("Settings").and_then(Value::as_array).ok_or((12003, "no Settings"))?;
        let said = items.iter().map(|item| {
            let mut said = Dictionary::new();
            let status = match item.as_dictionary().map(|item| self.set(item)) {
                Some(Ok(())) => "Acknowledged",
                Some(Err(refusal)) => {
                    said.insert("ErrorChain".into(), chain(refusal));
                    "Error"
                }
                None => "Error",
            };
            said.insert("Status".into(), Value::String(status.into()));
            Value::Dictionary(said)
        });
        let said = Value::Array(said.collect());
        Ok((Dictionary::from_iter([("Settings".to_owned(), said)]), Then::GoOn))
    }

    fn set(&mut self, item: &Dictionary) -> Result<(), Refusal> {
        let text = |key| item.get(key).and_then(Value::as_string);
        match text("Item") {
            Some("DeviceName") if self.facts.kind != Kind::Mac && !self.facts.supervised => {
                Err((12026, "not supervised"))
            }
            Some("DeviceName") => {
                self.facts.name = text("DeviceName").ok_or((12003, "no DeviceName"))?.to_owned();
                Ok(())
            }
            _ => Err((12021, "not an item known here")),
        }
    }

    fn pin_for_a_mac(&self, command: &Dictionary) -> Result<(), Refusal> {
        let pin = command.get("PIN").and_then(Value::as_string).unwrap_or_default();
        let good = pin.len() == 6 && pin.bytes().all(|b| b.is_ascii_digit());
        if self.facts.kind == Kind::Mac && !good { Err((12064, "a PIN of six digits is needed")) } else { Ok(()) }
    }
}

type Done = Result<(Dictionary, Then), Refusal>;

fn nothing() -> Done {
    Ok((Dictionary::new(), Then::GoOn))
}

fn one(key: &str, value: Dictionary) -> Done {
    let mut body = Dictionary::new();
    body.insert(key.into(), Value::Dictionary(value));
    Ok((body, Then::GoOn))
}

fn failure(id: &str, refusal: Refusal) -> Report {
    let mut report = Report::new(id, "Error");
    report.body.insert("ErrorChain".into(), chain(refusal));
    report
}

fn chain((code, words): Refusal) -> Value {
    let mut entry = Dictionary::new();
    entry.insert("ErrorCode".into(), Value::Integer(code.into()));
    entry.insert("ErrorDomain".into(), Value::String("MCMDMErrorDomain".into()));
    entry.insert("LocalizedDescription".into(), Value::String(words.into()));
    entry.insert("USEnglishDescription".into(), Value::String(words.into()));
    Value::Array(vec![Value::Dictionary(entry)])
}
