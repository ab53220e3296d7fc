//! The policy file, format of the contract's "Policy file": YAML text to [`PolicyFile`]. Reading is the validation: what
//! exists is within its ranges and within the [`bounds`](super::bounds) of raw parts.

mod fields;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::bounds;
use super::error::PolicyError;
use super::node::Node;
use super::raw::{AppleProfile, CspFormat, WindowsCsp};
use super::reading::{cut, list, text, wrong};
use super::settings::{Setting, Settings, Value, passcode};
use fields::Fields;

/// Profiles, nodes, and groups in one file.
const MAX_PROFILES: usize = 32;
const MAX_NODES: usize = 256;
const MAX_GROUPS: usize = 256;
/// Characters of a policy's or a group's name.
const MAX_NAME: usize = 64;

/// One policy as an administrator wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the file")]
pub struct PolicyFile {
    pub name: String,
    pub assign: Assign,
    /// Where one rule of the passcode stands, `required` does too.
    pub settings: Settings,
    /// No two of one identifier.
    pub apple_profiles: Vec<AppleProfile>,
    /// No two of one path.
    pub windows_csp: Vec<WindowsCsp>,
    /// Element to value, both as sent.
    pub activesync: BTreeMap<String, String>,
}

/// Whom a policy is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Assign {
    /// Every device of the tenant.
    All,
    /// The devices of these groups; sorted. None: nobody.
    Groups(Vec<String>),
}

impl Assign {
    /// Whether a device in these groups gets the policy.
    pub fn covers<S: AsRef<str>>(&self, groups: &[S]) -> bool {
        match self {
            Assign::All => true,
            Assign::Groups(names) => groups.iter().any(|group| names.iter().any(|name| name == group.as_ref())),
        }
    }
}

impl PolicyFile {
    /// Reads a policy's text, its profiles inlined.
    pub fn parse(source: &str) -> Result<PolicyFile, PolicyError> {
        Self::read(source, &mut None)
    }

    /// Reads a text that was taken before, perhaps by a program with wider bounds: raw parts that are refused today are
    /// left out, so that devices lose them rather than every check-in failing. Says which.
    pub fn parse_kept(source: &str) -> Result<(PolicyFile, Vec<PolicyError>), PolicyError> {
        let mut left_out = Some(Vec::new());
        let file = Self::read(source, &mut left_out)?;
        Ok((file, left_out.unwrap_or_default()))
    }

    fn read(source: &str, left_out: &mut LeftOut) -> Result<PolicyFile, PolicyError> {
        let mut top = Fields::read(Node::parse(source)?, "")?;
        let name = name(top.need("name")?, "name")?;
        let assign = assign(top.need("assign")?)?;
        Ok(PolicyFile {
            name,
            assign,
            settings: settings(&mut top)?,
            apple_profiles: top.take("apple").map(|n| apple(n, left_out)).transpose()?.unwrap_or_default(),
            windows_csp: top.take("windows").map(|n| windows(n, left_out)).transpose()?.unwrap_or_default(),
            activesync: top.take("activesync").map(|n| activesync(n, left_out)).transpose()?.unwrap_or_default(),
        })
    }

    /// The typed settings it asks for, in order.
    pub fn values(&self) -> Vec<Value> {
        self.settings.values().collect()
    }

    /// The names of all that it sets, raw parts included, as coverage has them.
    pub fn setting_names(&self) -> Vec<String> {
        let typed = self.values().into_iter().map(|value| value.setting().name().to_owned());
        let profiles = self.apple_profiles.iter().map(|p| format!("apple.profiles[{}]", p.identifier));
        let nodes = self.windows_csp.iter().map(|n| format!("windows.csp[{}]", n.path));
        let elements = self.activesync.keys().map(|name| format!("activesync.{name}"));
        typed.chain(profiles).chain(nodes).chain(elements).collect()
    }
}

/// Raw parts that were left out; `None` where each must pass.
type LeftOut = Option<Vec<PolicyError>>;

/// A raw part; none where it was refused and may be left out.
fn unless_left_out<T>(part: Result<T, PolicyError>, left_out: &mut LeftOut) -> Result<Option<T>, PolicyError> {
    match (part, left_out) {
        (Err(why), Some(left_out)) => {
            left_out.push(why);
            Ok(None)
        }
        (part, _) => part.map(Some),
    }
}

/// Names go into URLs and messages: letters, digits and `.`, `_`, `-`, `@`, `+`, blank.
fn name(node: Node, place: &str) -> Result<String, PolicyError> {
    let name = match node {
        // A group may be called 2026; YAML takes that for a number.
        Node::Int(number) => number.to_string(),
        other => text(other, place)?,
    };
    let fine = |c: char| c.is_alphanumeric() || "._-@+ ".contains(c);
    if name.is_empty() || name.chars().count() > MAX_NAME || !name.chars().all(fine) || name.trim() != name {
        return PolicyError::refused(place, "takes 1 to 64 letters, digits, blanks and . _ - @ +");
    }
    if name.starts_with('.') {
        return PolicyError::refused(place, "may not begin with a dot");
    }
    Ok(name)
}

fn assign(node: Node) -> Result<Assign, PolicyError> {
    match node {
        Node::Text(word) if word == "all" => Ok(Assign::All),
        Node::Text(word) => {
            PolicyError::refused("assign", format!("takes `all` or a list of groups: write `[{}]`", cut(&word)))
        }
        node => {
            let mut groups = Vec::new();
            for (place, item) in list(node, "assign", "`all` or a list of groups", MAX_GROUPS)? {
                let group = name(item, &place)?;
                if groups.contains(&group) {
                    return PolicyError::refused(&place, format!("the group {group} stands twice"));
                }
                groups.push(group);
            }
            groups.sort();
            Ok(Assign::Groups(groups))
        }
    }
}

/// The typed settings, those of a section from its mapping.
fn settings(top: &mut Fields) -> Result<Settings, PolicyError> {
    let (mut settings, mut sections) = (Settings::default(), BTreeMap::new());
    let mut refused = false;
    for setting in Setting::ALL {
        let (section, key) = setting.place();
        let node = match section {
            None => top.take(key),
            Some(section) => {
                if !sections.contains_key(section) {
                    let fields = top.take(section).map(|node| Fields::read(node, section)).transpose()?;
                    sections.insert(section, fields);
                }
                sections.get_mut(section).and_then(Option::as_mut).and_then(|fields| fields.take(key))
            }
        };
        let Some(node) = node else { continue };
        match setting.read(node)? {
            Some(value) => settings.set(value),
            None => refused |= setting == Setting::PasscodeRequired,
        }
    }
    passcode::complete(&mut settings, refused)?;
    Ok(settings)
}

fn apple(node: Node, left_out: &mut LeftOut) -> Result<Vec<AppleProfile>, PolicyError> {
    let mut fields = Fields::read(node, "apple")?;
    let mut profiles: Vec<AppleProfile> = Vec::new();
    let Some(node) = fields.take("profiles") else { return Ok(profiles) };
    for (place, item) in list(node, "apple.profiles", "a list of profiles", MAX_PROFILES)? {
        let bytes = profile_bytes(item, &place)?;
        let profile = bounds::apple_profile(&bytes)
            .map_err(|why| PolicyError::Refused { place: place.clone(), why: why.to_string() });
        let Some(profile) = unless_left_out(profile, left_out)? else { continue };
        if profiles.iter().any(|known| known.identifier == profile.identifier) {
            return PolicyError::refused(&place, format!("a profile {} stands before already", profile.identifier));
        }
        profiles.push(profile);
    }
    Ok(profiles)
}

/// Whether the text of a profile is the profile rather than a file's name.
pub(super) fn is_inline(text: &str) -> bool {
    text.trim_start().starts_with('<')
}

fn profile_bytes(node: Node, place: &str) -> Result<Vec<u8>, PolicyError> {
    match node {
        Node::Text(text) if is_inline(&text) => Ok(text.trim_start().as_bytes().to_vec()),
        Node::Text(path) => Err(PolicyError::FileName { place: place.to_owned(), path: cut(&path) }),
        node => {
            let mut fields = Fields::read(node, place)?;
            let place = format!("{place}.base64");
            let packed: String = text(fields.need("base64")?, &place)?.split_ascii_whitespace().collect();
            STANDARD.decode(packed).or_else(|error| PolicyError::refused(&place, error.to_string()))
        }
    }
}

fn windows(node: Node, left_out: &mut LeftOut) -> Result<Vec<WindowsCsp>, PolicyError> {
    let mut fields = Fields::read(node, "windows")?;
    let mut nodes: Vec<WindowsCsp> = Vec::new();
    let Some(node) = fields.take("csp") else { return Ok(nodes) };
    for (place, item) in list(node, "windows.csp", "a list of {path, format, data}", MAX_NODES)? {
        let Some(node) = unless_left_out(csp(item, &place), left_out)? else { continue };
        if nodes.iter().any(|known| known.path == node.path) {
            return PolicyError::refused(&place, format!("the node {} stands before already", node.path));
        }
        nodes.push(node);
    }
    Ok(nodes)
}

fn csp(node: Node, place: &str) -> Result<WindowsCsp, PolicyError> {
    let mut fields = Fields::read(node, place)?;
    let path = text(fields.need("path")?, &format!("{place}.path"))?;
    let format_place = format!("{place}.format");
    let format = match fields.take("format").map(|node| text(node, &format_place)).transpose()? {
        None => None,
        Some(word) => match CspFormat::ALL.into_iter().find(|format| format.as_str() == word) {
            Some(format) => Some(format),
            None => return PolicyError::refused(&format_place, "takes int, chr, bool, b64 or xml"),
        },
    };
    let data = scalar(fields.need("data")?, &format!("{place}.data"), ["false", "true"])?;
    bounds::windows_csp(&path, format, &data)
        .or_else(|why| PolicyError::refused(place, format!("{}: {why}", cut(&path))))
}

fn activesync(node: Node, left_out: &mut LeftOut) -> Result<BTreeMap<String, String>, PolicyError> {
    let Node::Map(entries) = node else {
        return Err(wrong("activesync", "a mapping of elements to values", &node));
    };
    let mut elements = BTreeMap::new();
    for (name, node) in entries {
        let place = format!("activesync.{}", cut(&name));
        let value = match node {
            Node::Null => String::new(),
            Node::List(_) | Node::Map(_) => return PolicyError::refused(&place, "lists and mappings are not carried"),
            node => scalar(node, &place, ["0", "1"])?,
        };
        let value = bounds::element(&name, &value).map_err(|why| refused_element(&name, place, &why));
        if let Some(value) = unless_left_out(value, left_out)? {
            elements.insert(name, value);
        }
    }
    Ok(elements)
}

fn refused_element(name: &str, place: String, why: &bounds::Refused) -> PolicyError {
    if !bounds::is_unheard_of(name) {
        return PolicyError::Refused { place, why: why.to_string() };
    }
    let nearest = super::nearest::nearest(name, bounds::element_names()).unwrap_or_default().to_owned();
    PolicyError::UnknownKey { place, nearest }
}

/// Text, a number, or a truth value in the spelling of the wire.
fn scalar(node: Node, place: &str, truth: [&str; 2]) -> Result<String, PolicyError> {
    match node {
        Node::Text(text) => Ok(text),
        Node::Int(number) => Ok(number.to_string()),
        Node::Bool(value) => Ok(truth.into_iter().nth(usize::from(value)).unwrap_or_default().to_owned()),
        node => Err(wrong(place, "text, a number, true or false", &node)),
    }
}

#[cfg(test)]
mod tests;
