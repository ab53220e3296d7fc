use super::super::error::{MAX_TEXT, PolicyError};
use super::super::file::PolicyFile;
use super::super::node::Node;

fn text(value: &str) -> Node {
    Node::Text(value.to_owned())
}

/// The value of `a: …`.
fn value(written: &str) -> Node {
    let mut node = Node::parse(&format!("a: {written}\n")).unwrap();
    node.get_mut("a").unwrap().clone()
}

#[test]
fn a_misread_text_is_said_with_line_and_column() {
    for (row, text, at, words) in [
        ("a key without its colon", "name: a\nassign all\ncamera: blocked\n", (2, 1), "a key without its `:`"),
        ("no blank behind the colon", "name:a\nassign: all\n", (2, 7), "is the line before without one"),
        ("a colon within", "name: a\nx: b: c\n", (2, 5), "not in quotes"),
        ("a tab", "passcode:\n\tmin_length: 8\n", (2, 2), "tabs disallowed"),
        ("a key twice", "a: 1\nb: 2\na: 3\n", (3, 1), "the key `a` stands twice"),
        ("a key twice below", "x:\n  a: 1\n  a: 2\n", (3, 3), "the key `a` stands twice"),
        ("an open list", "a: 1\nb: [1\n", (2, 4), "unclosed bracket '['"),
        ("an open mapping", "a: {b: 1\nc: 2\n", (2, 2), "did not find expected ',' or '}'"),
        ("an open quote", "a: \"x\nb: 2\n", (1, 4), "unclosed quote"),
        ("the wrong bracket", "a: [1}\n", (1, 4), "'[' closed by '}'"),
        ("an indent too little", "  a: 1\n b: 2\n", (2, 2), "is a line indented too little"),
        ("an indent between", "a:\n    b: 1\n  c: 2\n", (3, 3), "did not find expected key"),
        ("a percent sign", "a: %x\n", (1, 4), "unexpected character: `%'"),
        ("an escape", "a: \"\\q\"\n", (1, 4), "unknown escape"),
        ("a remark too near", "a: 'x'# y\n", (1, 7), "separated from other tokens"),
        ("a NUL", "a: x\0y\n", (1, 5), "unexpected character"),
        ("a tag", "a: !secret x\n", (1, 12), "the tag `!secret`: tags are not taken"),
        ("an alias of nothing", "a: *x\n", (1, 4), "an alias of no anchor"),
        ("an alias within itself", "a: &a {b: *a}\n", (1, 11), "an alias within what it stands for"),
        ("two documents", "a: 1\n---\nb: 1\n", (2, 1), "more than one document"),
        ("a fraction", "b: 1\na: 1.5\n", (2, 4), "a number with a fraction: put it in quotes"),
        ("a number too large", "a: -999999999999999999999999\n", (1, 4), "a number too large: put it in quotes"),
        ("a number beyond all", "a: 1e999\n", (1, 4), "a number too large: put it in quotes"),
        ("a list for a key", "[a]: x\n", (1, 1), "a key that is no text"),
        ("a nest", "a: [[[[[[[[1]]]]]]]]\n", (1, 11), "nested too deeply"),
    ] {
        match Node::parse(text) {
            Err(PolicyError::Yaml { line, column, text }) => {
                assert_eq!((line, column), at, "{row}: {text}");
                assert!(text.contains(words), "{row}: {text}");
                assert!(text.ends_with(&format!("at line {line}, column {column}")), "{row}: {text}");
            }
            other => panic!("{row}: {other:?}"),
        }
    }
}

/// Written by the table of values that the reader before this one gave; policies in stores rest on it.
#[test]
fn stored_texts_mean_what_they_meant() {
    for word in
        ["yes", "no", "on", "off", "y", "n", "Yes", "NO", "tRue", "nULL", "010", "-01", "00", "08", "1_000", "0X1F"]
    {
        assert_eq!(value(word), text(word), "{word}");
    }
    for word in ["12:30", "2001-01-01", "1.2.3", "infinity", "nan", "+", "0x", "0b2", "~x", "./a", "<<", "=", "!!str 1"]
    {
        assert_eq!(value(word), text(word.trim_start_matches("!!str ")), "{word}");
    }
    for (written, number) in [("0x1F", 31), ("0o17", 15), ("0b11", 3), ("+12", 12), ("-0", 0), ("!!int '7'", 7)] {
        assert_eq!(value(written), Node::Int(number), "{written}");
    }
    for (written, want) in [("True", Node::Bool(true)), ("FALSE", Node::Bool(false))] {
        assert_eq!(value(written), want, "{written}");
    }
    for nothing in ["", "~", "null", "Null", "NULL"] {
        assert_eq!(value(nothing), Node::Null, "{nothing:?}");
    }
    for (written, want) in [
        ("'~'", "~"),
        ("x # y", "x"),
        ("x#y", "x#y"),
        ("!!binary aGk=", "aGk="),
        ("\"x\n  y\n\n  z\"", "x y\nz"),
        ("'it''s'", "it's"),
        ("|\n  x\n  y", "x\ny\n"),
        ("|-\n  x\n  y", "x\ny"),
        ("|+\n  x\n", "x\n\n"),
        (">\n  x\n  y\n\n  z", "x y\nz\n"),
        ("|\r\n  x\r\n  y", "x\ny\n"),
        ("\u{feff}x", "\u{feff}x"),
    ] {
        assert_eq!(value(written), text(want), "{written:?}");
    }
    let merge = Node::parse("base: &b {x: 1}\na:\n  <<: *b\n  y: 2\n").unwrap();
    let Node::Map(mut entries) = merge else { panic!() };
    let Some((_, Node::Map(a))) = entries.pop() else { panic!() };
    assert_eq!(a.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>(), ["<<", "y"], "no keys are merged");
    let keys = Node::parse("1: a\n0x2: b\ntrue: c\n~: d\nno: e\n1.5: f\n").unwrap();
    let Node::Map(keys) = keys else { panic!() };
    assert_eq!(keys.into_iter().map(|(key, _)| key).collect::<Vec<_>>(), ["1", "0x2", "true", "~", "no", "1.5"]);
}

#[test]
fn a_block_at_the_end_of_a_text_without_line_break_has_none() {
    for (written, want) in [
        ("a: |\n  x", "x"),
        ("a: |\n  x\n", "x\n"),
        ("a: >\n  x\n  é", "x é"),
        ("a: |-\n  x", "x"),
        ("a: |\n  x\n# remark", "x\n"),
        ("a: |\n  x\n  # none", "x\n# none"),
        ("a: |\n  x\n ", "x\n"),
        ("a: \"x\\n\"", "x\n"),
        ("b: &b |\n  x\na: *b", "x\n"),
    ] {
        let mut node = Node::parse(written).unwrap();
        assert_eq!(node.get_mut("a"), Some(&mut text(want)), "{written:?}");
    }
    assert_eq!(Node::parse("- |\n  x\n- - |\n    y").unwrap(), {
        Node::List(vec![text("x\n"), Node::List(vec![text("y")])])
    });
}

#[test]
fn a_kept_policy_reads_its_words_as_words() {
    let kept = "name: no\nassign: [on, 010, 12, y]\ncamera: blocked\nwindows:\n  csp:\n    - path: ./Vendor/MSFT/WiFi/Profile/a/WlanXml\n      \
                data: |\n        <a>\n        </a>";
    let (file, left_out) = PolicyFile::parse_kept(kept).unwrap();
    assert!(left_out.is_empty(), "{left_out:?}");
    assert_eq!(file.name, "no");
    assert_eq!(file.assign, super::super::Assign::Groups(["010", "12", "on", "y"].map(str::to_owned).to_vec()));
    assert_eq!(file.windows_csp[0].data, "<a>\n</a>");
    let error = PolicyFile::parse_kept("name: a\nassign: all\ncamera: off\n").unwrap_err().to_string();
    assert!(error.starts_with("camera: takes `allowed` or `blocked`, not `off`"), "{error}");
}

/// Bytes of a hostile text.
const LENGTH: usize = MAX_TEXT / 4;

fn numbered(line: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for n in 0.. {
        let line = line(n);
        if text.len() + line.len() > LENGTH {
            break;
        }
        text += &line;
    }
    text
}

/// A quarter of what a policy may be. One text that cost more than in proportion to its length would hold this test up for hours.
#[test]
fn hostile_texts_cost_no_more_than_their_length() {
    let full = |piece: &str| piece.repeat(LENGTH / piece.len());
    let behind = |head: &str, piece: &str| head.to_owned() + &piece.repeat((LENGTH - head.len()) / piece.len());
    for piece in [
        "[", "{", "- ", "a: ", "? ", ": ", "[]", "[{", "{a: ", "[a, ", "{? ", "[? ", "-\n", "&a ", "&a [", "*a ", "! ",
        "!a ", "!<", "x", "x ", "x\n", "'", "\"", "'x':", "\"a\" ", " ", "\n", "\t", "#", "#\n", "a #\n", "- #\n", "%",
        "%a\n", "---\n", "...\n", "--- a\n", "|", ">", "a: 1\n", "- a\n", "a:\n", "]", "}", "[\n", "{\n", "1", "0x1",
        "_", "<<: ", "e9", "- - x\n", "é", "\r", "x\r", "\0", "\u{feff}", "\\", "@", ",", "a,",
    ] {
        assert!(PolicyFile::parse(&full(piece)).is_err(), "{piece:?}");
    }
    for (head, piece) in [
        ("a: ", "x"),
        ("a: ", "x "),
        ("a:\n", " x\n"),
        ("'", "x"),
        ("\"", "x"),
        ("\"", "\\n"),
        ("'", "x\n"),
        ("\"", "\n"),
        ("a: |\n", " x\n"),
        ("a: |\n", "\n"),
        ("a: >\n", " x\n"),
        ("a: >\n", "\n"),
        ("a: 0.", "1"),
        ("a: 0x", "1"),
        ("[", "a,"),
        ("[", ","),
        ("[ ", "#\n"),
        ("!", "a"),
        ("&", "a"),
        ("*", "a"),
        ("!", "%41"),
        ("a: &a {x: 1}\nb:\n", "  <<: *a\n"),
        ("- &a x\n", "- *a\n"),
        ("- &a [x]\n", "- *a\n"),
        ("a: &a 'x", "\n"),
        ("{", "'a',"),
        ("- ", "- "),
        ("a: - ", "- "),
    ] {
        assert!(PolicyFile::parse(&behind(head, piece)).is_err(), "{head:?} and {piece:?}");
    }
    for (row, text) in [
        ("anchors", numbered(|n| format!("- &a{n} x\n"))),
        ("anchors within each other", numbered(|n| format!("&a{n} ["))),
        (
            "anchors of the one before",
            format!("- &a0 x\n{}", numbered(|n| format!("- &a{} [*a{n}]\n", n + 1)).get(10..).unwrap_or_default()),
        ),
        ("keys", numbered(|n| format!("k{n}: 1\n"))),
        ("keys on one line", numbered(|n| format!("{}k{n}: 1,", if n == 0 { "{" } else { "" }))),
        ("ever deeper", numbered(|n| format!("{}a:\n", " ".repeat(n)))),
        ("ever deeper lists", numbered(|n| format!("{}-\n", " ".repeat(n)))),
        (
            "a block of ever more blanks",
            numbered(|n| if n == 0 { "a: |\n".into() } else { format!("{}\n", " ".repeat(n)) }),
        ),
        ("a word that wanders", numbered(|n| if n == 0 { "a: x\n".into() } else { format!("{}x\n", " ".repeat(n)) })),
    ] {
        assert!(PolicyFile::parse(&text).is_err(), "{row}");
    }
    let error = PolicyFile::parse(&"[".repeat(4 * MAX_TEXT)).unwrap_err();
    assert_eq!(error.to_string(), "the policy file: larger than 1048576");
}
