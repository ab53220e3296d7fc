use super::*;
use secrecy::ExposeSecret as _;

const FILE: &str =
    "prod:\n  url: https://prod:9443\n  token-file: prod.token\n  ca: prod.pem\nlocal: {data: /srv/local}\n";

fn contexts() -> Result<Contexts, String> {
    Contexts::parse(FILE, Path::new("/etc/ann/contexts.yaml"))
}

/// `url token ca data` as they are found, `-` for what the data folder is asked for.
fn said(flags: &[&str], environment: &[&str]) -> String {
    let word = |words: &[&str], name: &str| {
        let words: Vec<(&str, &str)> = words.iter().map(|word| word.split_once('=').unwrap()).collect();
        words.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
    };
    let at = At {
        url: word(flags, "url"),
        data: word(flags, "data").map(Into::into),
        token_file: word(flags, "token-file").map(Into::into),
        ca: word(flags, "ca").map(Into::into),
        context: word(flags, "context"),
    };
    let set = |name: &str| word(environment, name.strip_prefix("LANYARD_").unwrap());
    let layer = match at.layer(&set, contexts) {
        Ok(layer) => layer,
        Err(Failure::Failed(text) | Failure::Away(text) | Failure::Usage(text)) => return text,
    };
    let token = layer.token.map(|token| match token {
        Token::Itself(token) => token.expose_secret().to_string(),
        Token::File(path) => path.display().to_string(),
    });
    let path = |path: PathBuf| path.display().to_string();
    let parts = [layer.url, token, layer.ca.map(|(ca, _)| path(ca)), layer.data.map(path)];
    parts.map(|part| part.unwrap_or_else(|| "-".into())).join(" ")
}

/// The table of docs/command-line.md.
#[test]
fn what_is_said_nearest_counts() {
    let environment = ["URL=https://env:1", "TOKEN=env", "CA=env.pem", "DATA=/env"];
    let flags = ["url=https://flag:1", "token-file=flag", "ca=flag.pem", "data=/flag"];
    for (row, flags, environment, want) in [
        ("nothing", &[][..], &[][..], "- - - -"),
        ("the environment", &[], &environment, "https://env:1 env env.pem /env"),
        ("flags before it", &flags, &environment, "https://flag:1 flag flag.pem /flag"),
        ("one flag", &flags[1..2], &environment, "https://env:1 flag env.pem /env"),
        ("a context", &["context=prod"], &[], "https://prod:9443 /etc/ann/prod.token /etc/ann/prod.pem -"),
        (
            "a context named here, before the environment",
            &["context=prod"],
            &environment,
            "https://prod:9443 /etc/ann/prod.token /etc/ann/prod.pem /env",
        ),
        (
            "flags before a context",
            &["context=prod", "url=https://flag:1"],
            &[],
            "https://flag:1 /etc/ann/prod.token /etc/ann/prod.pem -",
        ),
        (
            "one named by the environment, after the rest of it",
            &[],
            &["CONTEXT=prod", "TOKEN=env"],
            "https://prod:9443 env /etc/ann/prod.pem -",
        ),
        ("the flag's context, not the environment's", &["context=local"], &["CONTEXT=prod"], "- - - /srv/local"),
        ("a wrong address", &[], &["URL=http://a"], "LANYARD_URL: \"http://a\" is not https://HOST:PORT"),
        ("a wrong one that does not count", &["url=https://flag:1"], &["URL=http://a"], "https://flag:1 - - -"),
        (
            "an unknown one",
            &["context=prdo"],
            &[],
            "--context: /etc/ann/contexts.yaml: there is no context \"prdo\"; the nearest is prod",
        ),
        (
            "an unknown one",
            &[],
            &["CONTEXT=x"],
            "LANYARD_CONTEXT: /etc/ann/contexts.yaml: there is no context \"x\"; the nearest is prod",
        ),
    ] {
        assert_eq!(said(flags, environment), want, "{row}");
    }
}

#[test]
fn a_token_file_holds_a_token_and_nothing_else() {
    let path = std::env::temp_dir().join(format!("lanyard-{}", uuid::Uuid::new_v4().simple()));
    let read = |text: &str| {
        std::fs::write(&path, text).unwrap();
        of_file(&path).map(|token| token.expose_secret().to_string())
    };
    assert_eq!(read("lanyard_1\n").ok().as_deref(), Some("lanyard_1"));
    for wrong in ["", "\n", "two words", "TOKEN=\nlanyard_1"] {
        assert!(matches!(read(wrong), Err(Failure::Failed(text)) if text.contains("a token is needed")), "{wrong}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(of_file(&path).is_err(), "it is gone");
}
