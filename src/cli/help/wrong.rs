//! A way on from a verb that there is not: by what people call it elsewhere, by where it really stands, by what a noun is asked first.

use super::words;
use clap::{
    Command, Error,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// What people say, and what that is here.
const CALLED: &[(&str, &str)] = &[
    ("erase", "lanyard wipe DEVICE --scope full --reason WHY"),
    ("reset", "lanyard wipe DEVICE --scope full --reason WHY"),
    ("retire", "lanyard wipe DEVICE --scope selective --reason WHY"),
    ("unenrol", "lanyard wipe DEVICE --scope selective --reason WHY"),
    ("unenroll", "lanyard wipe DEVICE --scope selective --reason WHY"),
    ("enrol", "lanyard invite --channel apple --user USER"),
    ("enroll", "lanyard invite --channel apple --user USER"),
    ("unlock", "lanyard clear-passcode DEVICE"),
    ("reboot", "lanyard restart DEVICE"),
    ("delete", "lanyard devices remove DEVICE"),
    ("undo", "lanyard commands cancel ID"),
    ("users", "lanyard devices list --user USER"),
    ("user", "lanyard devices list --user USER"),
    ("log", "lanyard audit list"),
    ("logs", "lanyard audit list"),
    ("coverage", "lanyard policy coverage NAME"),
    ("compliance", "lanyard policy coverage NAME"),
    ("certificates", "lanyard devices list --expiring 60d"),
    ("health", "lanyard status"),
    ("start", "lanyard serve"),
    ("run", "lanyard serve"),
    ("config", "lanyard settings list"),
];

/// The error with a tip or two, where it is a verb that is wrong.
pub(super) fn with_a_way_on(mut error: Error, program: &Command, said: &[String]) -> Error {
    let word = match (error.kind(), error.get(ContextKind::InvalidSubcommand)) {
        (ErrorKind::InvalidSubcommand, Some(ContextValue::String(word))) => word.clone(),
        _ => return error,
    };
    let path = before(program, said, &word);
    let ways = ways(program, &path, &word);
    if is_known(program, &word) {
        // It says what is meant: what is merely spelt alike leads astray (`lock` is no `block`).
        error.remove(ContextKind::SuggestedSubcommand);
    }
    if !ways.is_empty() {
        let tips = ways.iter().map(|way| StyledStr::from(format!("perhaps `{way}`"))).collect();
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
    error
}

/// Whether the word is a verb elsewhere, or what people call one.
fn is_known(program: &Command, word: &str) -> bool {
    program.find_subcommand(word).is_some() || CALLED.iter().any(|(name, _)| *name == word)
}

/// The nouns before the wrong word.
fn before(program: &Command, said: &[String], word: &str) -> Vec<String> {
    let (mut at, mut path) = (program, Vec::new());
    for said in said.iter().take_while(|said| *said != word) {
        if let Some(noun) = at.find_subcommand(said) {
            path.push(noun.get_name().to_string());
            at = noun;
        }
    }
    path
}

fn ways(program: &Command, path: &[String], word: &str) -> Vec<String> {
    let called = CALLED.iter().filter(|(name, _)| *name == word).map(|(_, way)| way.to_string());
    let at = path.iter().try_fold(program, |at, name| at.find_subcommand(name));
    let mut ways: Vec<String> = match path {
        [] => called.chain(elsewhere(program, word)).take(4).collect(),
        // `lanyard devices lock` for `lanyard lock`.
        _ => called.chain(by_itself(program, word)).collect(),
    };
    if let ([noun], true) = (path, ways.is_empty()) {
        // `lanyard devices F2LX07E6`: a thing where its verb is wanted. A mistyped verb has clap's own tip.
        let has = |verb: &str| at.and_then(|at| at.find_subcommand(verb));
        let one = has("show").is_some_and(|show| show.get_positionals().count() == 1);
        ways.extend(one.then(|| format!("lanyard {noun} show {word}")));
        let by_device = has("list").is_some_and(|list| list.get_arguments().any(|a| a.get_long() == Some("device")));
        ways.extend(by_device.then(|| format!("lanyard {noun} list --device {word}")));
    }
    ways
}

/// The verb as it stands by itself, with what it takes.
fn by_itself(program: &Command, word: &str) -> Option<String> {
    let verb = program.find_subcommand(word).filter(|verb| !verb.has_subcommands())?;
    let takes = verb
        .get_positionals()
        .filter(|arg| arg.is_required_set())
        .map(|arg| format!(" {}", arg.get_id().as_str().to_uppercase()));
    let flags =
        verb.get_opts().filter(|arg| arg.is_required_set()).filter_map(|arg| Some(format!(" --{} …", arg.get_long()?)));
    Some(format!("lanyard {word}{}", takes.chain(flags).collect::<String>()))
}

/// The nouns that have this verb: `lanyard coverage` for `lanyard policy coverage`.
fn elsewhere(program: &Command, word: &str) -> Vec<String> {
    let nouns = program.get_subcommands();
    let having = nouns.filter(|noun| noun.get_subcommands().any(|verb| verb.get_name() == word));
    having.map(|noun| format!("lanyard {} {word}", noun.get_name())).collect()
}

/// What is no way on; see [`super::faults`].
pub(super) fn faults(program: &Command) -> Vec<String> {
    let mut faults = Vec::new();
    for (name, way) in CALLED {
        if program.find_subcommand(name).is_some() {
            faults.push(format!("{name} is a verb"));
        }
        if let Err(error) = program.clone().try_get_matches_from(words(way)) {
            faults.push(format!("{name}: {way}: {error}"));
        }
    }
    for (said, tip) in [
        ("lanyard device list", "devices"),
        ("lanyard policies", "policy"),
        ("lanyard devices lst", "list"),
        ("lanyard statsu", "status"),
        ("lanyard coverage x", "perhaps `lanyard policy coverage"),
        ("lanyard --url https://a approve 7", "perhaps `lanyard approvals approve`"),
        ("lanyard push-cert show", "perhaps `lanyard apple push-cert`"),
        ("lanyard erase X", "perhaps `lanyard wipe DEVICE --scope full"),
        ("lanyard commands X", "perhaps `lanyard commands list --device X`"),
        ("lanyard devices F2LX07E6", "perhaps `lanyard devices show F2LX07E6`"),
        ("lanyard policy baseline", "perhaps `lanyard policy show baseline`"),
        ("lanyard devices lock X", "perhaps `lanyard lock DEVICE`"),
        ("lanyard devices restart X", "perhaps `lanyard restart DEVICE`"),
        ("lanyard devices wipe X", "perhaps `lanyard wipe DEVICE --scope … --reason …`"),
        ("lanyard devices erase X", "perhaps `lanyard wipe DEVICE --scope full"),
        ("lanyard devices retire X", "perhaps `lanyard wipe DEVICE --scope selective"),
        ("lanyard retire X", "perhaps `lanyard wipe DEVICE --scope selective"),
        ("lanyard delete X", "perhaps `lanyard devices remove DEVICE`"),
    ] {
        let said = words(said);
        let told = match program.clone().try_get_matches_from(&said) {
            Ok(_) => "is taken".into(),
            Err(error) => with_a_way_on(error, program, said.get(1..).unwrap_or_default()).to_string(),
        };
        if !told.contains(tip) {
            faults.push(format!("{said:?}: no word of {tip:?}: {told}"));
        }
        let astray =
            ["block", "show lock", "show wipe", "'rename'", "'restart'"].into_iter().find(|word| told.contains(word));
        if let Some(word) = astray.filter(|_| tip.starts_with("perhaps `lanyard lock") || tip.contains("lanyard wipe"))
        {
            faults.push(format!("{said:?}: leads astray by {word:?}: {told}"));
        }
    }
    faults
}
