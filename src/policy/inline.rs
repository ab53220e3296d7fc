//! Putting the profiles that a policy file names into its text, before it is sent to a server that has no such files.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::bounds::MAX_PROFILE;
use super::error::PolicyError;
use super::file::is_inline;
use super::node::Node;

/// The text with each file name under `apple.profiles` replaced by `{base64: …}`. `read` gets the name as it is written.
///
/// Comments and layout stay where the name stands in the text once, as it is; else the text is written anew. What is
/// wrong with the rest of the file is left for [`PolicyFile::parse`](super::PolicyFile::parse) to say.
pub fn inline_profile_files(text: &str, read: impl Fn(&str) -> io::Result<Vec<u8>>) -> Result<String, PolicyError> {
    let mut node = Node::parse(text)?;
    let mut replaced = Vec::new();
    if let Some(Node::List(items)) = node.get_mut("apple").and_then(|apple| apple.get_mut("profiles")) {
        for (n, item) in items.iter_mut().enumerate() {
            let Node::Text(path) = item else { continue };
            if is_inline(path) {
                continue;
            }
            let packed = load(path, &format!("apple.profiles[{n}]"), &read)?;
            replaced.push((path.clone(), packed.clone()));
            *item = Node::Map(vec![("base64".to_owned(), Node::Text(packed))]);
        }
    }
    if replaced.is_empty() {
        return Ok(text.to_owned());
    }
    // The splice is a guess about YAML; reading it back proves it.
    match splice(text, &replaced) {
        Some(spliced) if Node::parse(&spliced).is_ok_and(|read| read == node) => Ok(spliced),
        _ => serde_saphyr::to_string(&node).map_err(|error| PolicyError::Yaml {
            line: 0,
            column: 0,
            text: error.to_string(),
        }),
    }
}

fn load(path: &str, place: &str, read: impl Fn(&str) -> io::Result<Vec<u8>>) -> Result<String, PolicyError> {
    let bytes = read(path).map_err(|source| PolicyError::Read { place: place.into(), path: path.into(), source })?;
    if bytes.len() > MAX_PROFILE {
        return Err(PolicyError::TooLarge { place: place.into(), limit: MAX_PROFILE });
    }
    Ok(STANDARD.encode(bytes))
}

fn splice(text: &str, replaced: &[(String, String)]) -> Option<String> {
    replaced.iter().try_fold(text.to_owned(), |text, (path, packed)| {
        let spellings = [format!("\"{path}\""), format!("'{path}'"), path.clone()];
        let spelling = spellings.iter().find(|spelling| text.matches(spelling.as_str()).count() == 1)?;
        Some(text.replacen(spelling.as_str(), &format!("{{base64: {packed}}}"), 1))
    })
}

#[cfg(test)]
mod tests {
    use super::super::bounds::test_profile;
    use super::super::file::PolicyFile;
    use super::*;

    fn read(path: &str) -> io::Result<Vec<u8>> {
        match path {
            "wifi.plist" => Ok(test_profile("com.example.wifi", "com.apple.wifi.managed", "").into_bytes()),
            "b/wifi.plist" => Ok(test_profile("com.example.b", "com.apple.wifi.managed", "").into_bytes()),
            "huge" => Ok(vec![0; MAX_PROFILE + 1]),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    #[test]
    fn files_are_put_in_and_comments_stay() {
        let text = "# ours\nname: a\nassign: all\napple:\n  profiles:\n    - wifi.plist   # the office\n";
        let inlined = inline_profile_files(text, read).unwrap();
        assert!(inlined.starts_with("# ours\n") && inlined.contains("}   # the office"), "{inlined}");
        assert_eq!(PolicyFile::parse(&inlined).unwrap().apple_profiles[0].identifier, "com.example.wifi");
        assert_eq!(inline_profile_files(&inlined, read).unwrap(), inlined, "once is enough");
    }

    #[test]
    fn names_within_names_are_told_apart() {
        let text = "name: a\nassign: all\napple: {profiles: [wifi.plist, b/wifi.plist]}\n";
        let policy = PolicyFile::parse(&inline_profile_files(text, read).unwrap()).unwrap();
        let identifiers: Vec<_> = policy.apple_profiles.iter().map(|p| p.identifier.as_str()).collect();
        assert_eq!(identifiers, ["com.example.wifi", "com.example.b"]);
    }

    #[test]
    fn what_needs_no_file_stays_as_it_is() {
        let inline = test_profile("com.example.a", "x", "");
        for text in
            ["name: a\n".to_owned(), format!("apple: {{profiles: ['{inline}']}}\n"), "apple: 7\n".into(), "7".into()]
        {
            assert_eq!(inline_profile_files(&text, read).unwrap(), text);
        }
    }

    #[test]
    fn a_missing_or_huge_file_is_named() {
        let missing = inline_profile_files("apple: {profiles: [nowhere]}", read).unwrap_err();
        assert_eq!(missing.to_string(), "apple.profiles[0]: cannot read nowhere");
        let huge = inline_profile_files("apple: {profiles: [huge]}", read).unwrap_err();
        assert!(matches!(huge, PolicyError::TooLarge { .. }));
    }
}
