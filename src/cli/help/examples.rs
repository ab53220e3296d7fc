//! Examples, a verb each. The program's tests read every one of them by its definition, so that none can rot.

use super::words;
use clap::Command;

/// Verbs, and what is said with them.
const EXAMPLES: &[(&str, &[&str])] = &[
    (
        "serve",
        &[
            "lanyard serve --public-url https://mdm.example.org --tls-cert fullchain.pem --tls-key privkey.pem",
            "lanyard serve --config /etc/lanyard/lanyard.yaml",
            "lanyard serve --config /etc/lanyard/lanyard.yaml --check",
        ],
    ),
    ("demo", &["lanyard demo", "lanyard demo --once --json"]),
    (
        "simulate",
        &[
            "lanyard simulate --channel apple --url https://mdm.example.org/enrol/7f3k…",
            "lanyard simulate --channel windows --user ann@example.org --code 7f3k-9d2m-44xq",
            "lanyard simulate --channel activesync --user ann@example.org --url https://mdm.example.org",
        ],
    ),
    ("completions", &["lanyard completions bash"]),
    ("man", &["lanyard man /usr/local/share/man/man1"]),
    ("status", &["lanyard status", "lanyard status --watch", "lanyard status --context prod --json"]),
    (
        "invite",
        &[
            "lanyard invite --channel apple --user ann@example.org",
            "lanyard invite --channel windows --user ann@example.org --ownership personal --expires 2d",
            "lanyard invite --channel apple --uses 500 --group pool",
        ],
    ),
    ("invitations list", &["lanyard invitations list"]),
    ("invitations revoke", &["lanyard invitations revoke 019d1a2b"]),
    (
        "devices list",
        &[
            "lanyard devices list --user ann@example.org",
            "lanyard devices list --state quarantined",
            "lanyard devices list --expiring 60d --json",
        ],
    ),
    ("devices show", &["lanyard devices show F2LX07E6", "lanyard devices show ann@example.org"]),
    ("devices sync", &["lanyard devices sync F2LX07E6"]),
    ("devices rename", &["lanyard devices rename F2LX07E6 'Front desk'"]),
    (
        "devices set",
        &["lanyard devices set F2LX07E6 --user ann@example.org", "lanyard devices set F2LX07E6 --ownership corporate"],
    ),
    ("devices remove", &["lanyard devices remove F2LX07E6"]),
    (
        "devices allow",
        &["lanyard devices allow F2LX07E6", "lanyard devices allow --where user=ann@example.org type=iPhone --yes"],
    ),
    (
        "devices block",
        &[
            "lanyard devices block F2LX07E6 --reason 'left the company'",
            "lanyard devices block --where 'agent=Android/4*'",
        ],
    ),
    ("devices quarantine", &["lanyard devices quarantine F2LX07E6"]),
    ("devices revoke", &["lanyard devices revoke F2LX07E6 --reason 'its key was copied'"]),
    ("commands list", &["lanyard commands list --device F2LX07E6", "lanyard commands list --state held --action wipe"]),
    ("commands show", &["lanyard commands show 019d1a2b"]),
    ("commands cancel", &["lanyard commands cancel 019d1a2b", "lanyard commands cancel 019d1a2b --mail block"]),
    (
        "wipe",
        &[
            "lanyard wipe F2LX07E6 --scope selective --reason 'left the company' --wait",
            "lanyard wipe F2LX07E6 --scope full --reason stolen --yes",
            "lanyard wipe F2LX07E6 --scope full --reason sold --delay 10m --return-to-service",
        ],
    ),
    (
        "lock",
        &[
            "lanyard lock F2LX07E6",
            "lanyard lock F2LX07E6 --reason lost --message 'Please call us' --phone '+49 30 1234'",
        ],
    ),
    ("clear-passcode", &["lanyard clear-passcode F2LX07E6"]),
    ("restart", &["lanyard restart F2LX07E6"]),
    ("policy apply", &["lanyard policy apply baseline.yaml", "lanyard policy apply baseline.yaml --yes"]),
    ("policy list", &["lanyard policy list"]),
    ("policy show", &["lanyard policy show baseline"]),
    ("policy coverage", &["lanyard policy coverage baseline"]),
    ("policy delete", &["lanyard policy delete baseline"]),
    ("group list", &["lanyard group list"]),
    ("group create", &["lanyard group create pool"]),
    ("group show", &["lanyard group show pool"]),
    ("group delete", &["lanyard group delete pool"]),
    ("group add", &["lanyard group add pool F2LX07E6"]),
    ("group remove", &["lanyard group remove pool F2LX07E6"]),
    ("mail check", &["lanyard mail check", "lanyard mail check --user ann@example.org"]),
    ("mail rules apply", &["lanyard mail rules apply rules.yaml", "lanyard mail rules apply rules.yaml --yes"]),
    ("mail rules show", &["lanyard mail rules show"]),
    ("approvals list", &["lanyard approvals list"]),
    ("approvals show", &["lanyard approvals show 019d1a2b"]),
    ("approvals wait", &["lanyard approvals wait 019d1a2b"]),
    ("approvals approve", &["lanyard approvals approve 019d1a2b"]),
    ("approvals reject", &["lanyard approvals reject 019d1a2b"]),
    (
        "connector invite",
        &[
            "lanyard connector invite --org contoso --kind online",
            "lanyard connector invite --org head-office --kind onprem --expires 1d",
        ],
    ),
    ("connector list", &["lanyard connector list"]),
    ("connector show", &["lanyard connector show contoso"]),
    (
        "connector access",
        &[
            "lanyard connector access contoso --file access.json",
            "lanyard connector access contoso --file access.json --yes --cut 12",
            "lanyard connector access contoso --release",
        ],
    ),
    ("connector remove", &["lanyard connector remove contoso"]),
    (
        "connector enrol",
        &[
            "lanyard connector enrol 7F3K-9D2M-44XQ-B1C8 --server https://mdm.example.org --tenant 5ba29aa5-7ad4-4b45-a3e9-e5f0a2a6c8d1 --app-id 0c5bf9bb-6fd5-4d5b-8bd4-4f6dc1b8c1a2 --cert app.pem --key app.key",
            "lanyard connector enrol 7F3K-9D2M-44XQ-B1C8 --server https://mdm.example.org --exchange-host ex1.corp.example.org --user connector@corp.example.org",
        ],
    ),
    ("connector check", &["lanyard connector check", "lanyard connector check --dir D:\\connector --json"]),
    ("connector run", &["lanyard connector run", "lanyard connector run --dry-run"]),
    ("stop on", &["lanyard stop on", "lanyard stop on --cancel-all"]),
    ("stop off", &["lanyard stop off"]),
    ("stop status", &["lanyard stop status"]),
    ("admins add", &["lanyard admins add alice"]),
    ("admins list", &["lanyard admins list"]),
    ("admins remove", &["lanyard admins remove alice"]),
    ("token create", &["lanyard token create --admin alice"]),
    ("token list", &["lanyard token list"]),
    ("token revoke", &["lanyard token revoke 019d1a2b"]),
    ("settings list", &["lanyard settings list"]),
    (
        "settings set",
        &[
            "lanyard settings set wipe.delay 10m",
            "lanyard settings set notify.webhook https://hooks.example.org/lanyard",
        ],
    ),
    (
        "apple push-cert set",
        &["lanyard apple push-cert set push.pem", "lanyard apple push-cert set push.p12 --password-file password.txt"],
    ),
    ("apple push-cert show", &["lanyard apple push-cert show"]),
    (
        "audit list",
        &[
            "lanyard audit list --since 2h --actor alice",
            "lanyard audit list --device F2LX07E6 --action wipe --limit 50",
        ],
    ),
    (
        "audit verify",
        &[
            "lanyard audit verify",
            "lanyard audit verify --head 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        ],
    ),
    ("ca show", &["lanyard ca show", "lanyard ca show --pem"]),
    ("store check", &["lanyard store check", "lanyard store check --data /var/lib/lanyard"]),
    ("store accept-loss", &["lanyard store accept-loss --commit 1234"]),
    ("store show", &["lanyard store show default/device/019d1a2b-3c4d-7001-8a00-0123456789ab"]),
    ("clock accept", &["lanyard clock accept"]),
];

fn of(path: &[String]) -> impl Iterator<Item = &'static str> {
    let path = path.join(" ");
    let found = EXAMPLES.iter().find(|(verb, _)| *verb == path).map(|(_, lines)| *lines);
    found.unwrap_or_default().iter().copied()
}

fn is_noun(command: &Command) -> bool {
    command.has_subcommands()
}

fn below(path: &[String], command: &Command) -> Vec<String> {
    path.iter().cloned().chain([command.get_name().to_string()]).collect()
}

/// With examples in the help of every verb; a noun has the first of each of its verbs.
pub(super) fn added(command: Command, path: &[String]) -> Command {
    let mut lines: Vec<&str> = of(path).collect();
    let names: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_string()).collect();
    let mut command = command;
    for name in &names {
        command = command.mut_subcommand(name, |verb| {
            let path = below(path, &verb);
            added(verb, &path)
        });
        // The program itself would have too many.
        if !path.is_empty() {
            lines.extend(of(&[path, std::slice::from_ref(name)].concat()).take(1));
        }
    }
    if lines.is_empty() {
        return command;
    }
    let text: Vec<String> = lines.iter().map(|line| format!("\n  {line}")).collect();
    command.after_help(format!("Examples:{}", text.concat()))
}

/// The verbs themselves, each by its path.
fn verbs(command: &Command, path: &[String]) -> Vec<Vec<String>> {
    let each = command.get_subcommands().filter(|verb| verb.get_name() != "help").flat_map(|verb| {
        let path = below(path, verb);
        if is_noun(verb) { verbs(verb, &path) } else { vec![path] }
    });
    each.collect()
}

/// See [`super::faults`].
pub(super) fn faults(program: &Command) -> Vec<String> {
    let verbs: Vec<String> = verbs(program, &[]).iter().map(|path| path.join(" ")).collect();
    let mut faults: Vec<String> = Vec::new();
    for verb in &verbs {
        if !EXAMPLES.iter().any(|(of, lines)| of == verb && !lines.is_empty()) {
            faults.push(format!("lanyard {verb} has no example"));
        }
    }
    for (verb, lines) in EXAMPLES {
        if !verbs.iter().any(|known| known == verb) {
            faults.push(format!("there is no verb {verb}, and an example of it"));
        }
        for line in *lines {
            if !line.starts_with(&format!("lanyard {verb}")) {
                faults.push(format!("{line}: an example of another verb than {verb}"));
            }
            if let Err(error) = program.clone().try_get_matches_from(words(line)) {
                faults.push(format!("{line}: {error}"));
            }
        }
    }
    faults
}
