use super::*;
use proptest::prelude::*;

fn client() -> MailClient<'static> {
    MailClient {
        family: Platform::Ios,
        kind: Some("iPhone"),
        model: Some("iPhone14,5"),
        os: Some("iOS 17.2.1 21C66"),
        agent: Some("Apple-iPhone14C5/2103.66"),
        user: "Ann@example.org",
        groups: vec!["Sales", "london"],
        personal: false,
        certificate: true,
        compliance: Standing::Compliant,
    }
}

fn fits(when: &str, client: &MailClient<'_>) -> bool {
    let text = format!("default: block\nrules:\n- when: {{{when}}}\n  then: allow\n");
    MailRules::parse(&text).unwrap_or_else(|e| panic!("{when}: {e}")).first(client).is_some()
}

#[test]
fn a_condition_holds_of_what_is_known() {
    for (when, want) in [
        ("family: ios", true),
        ("family: ipados", false),
        ("type: IPHONE", true),
        ("type: iPhon", false),
        ("model: iphone*", true),
        ("model: 'iphone*,5'", true),
        ("model: '*14*5*'", true),
        ("model: '*15*'", false),
        ("model: 'iphone14,5*,5'", false),
        ("agent: '*/2103.66'", true),
        ("user: ann@EXAMPLE.org", true),
        ("user: '*@example.net'", false),
        ("group: sales", true),
        ("group: paris", false),
        ("ownership: corporate", true),
        ("ownership: personal", false),
        ("certificate: yes", true),
        ("certificate: true", true),
        ("certificate: no", false),
        ("compliance: compliant", true),
        ("compliance: unknown", false),
        ("family: ios, group: sales, os: '>=17'", true),
        ("family: ios, group: paris, os: '>=17'", false),
    ] {
        assert_eq!(fits(when, &client()), want, "{when}");
    }
}

#[test]
fn what_is_not_known_fits_nothing_said_of_it() {
    let silent = MailClient { kind: None, model: None, os: None, agent: None, groups: vec![], ..client() };
    for when in ["type: i*", "model: i*", "agent: a*", "group: s*", "os: '>=0'", "os: '<99'"] {
        assert!(!fits(when, &silent), "{when}");
    }
    assert!(!fits("os: '<99'", &MailClient { os: Some("unknown"), ..client() }));
}

#[test]
fn versions_are_compared_by_their_numbers() {
    for (told, bound, want) in [
        ("17.10", ">17.9", true),
        ("17.10", ">= 17.10", true),
        ("17.9", ">=17.10", false),
        ("17", "=17.0.0", true),
        ("17", "17", true),
        ("17.0.1", "=17", false),
        ("iOS 17.2.1 21C66", ">=17.2", true),
        ("iOS 17.2.1 21C66", "<=17.2", false),
        ("iOS 17.2.1 21C66", ">=17.2, <18", true),
        ("iOS 18.0", ">=17.2, <18", false),
        ("Android 14", ">=13", true),
        ("Android 14-beta2", ">13.9", true),
        ("10.0.19045.4170", ">=10.0.19045", true),
        ("99999999999999999999999.1", ">=17", true),
    ] {
        let held = fits(&format!("os: '{bound}'"), &MailClient { os: Some(told), ..client() });
        assert_eq!(held, want, "{told} {bound}");
    }
}

#[test]
fn the_first_rule_that_fits_counts() {
    let text = "default: quarantine\nrules:\n- when: {family: android}\n  then: block\n- when: {os: '>=17.2', family: ios}\n  \
                then: allow\n- when: {family: ios}\n  then: block\n  grace: 3d\n";
    let rules = MailRules::parse(text).unwrap();
    let (at, rule) = rules.first(&client()).unwrap();
    assert_eq!((at, rule.then, rule.to_string().as_str()), (1, MailAccess::Allow, "os >=17.2, family ios"));
    let old = MailClient { os: Some("17.1"), ..client() };
    let (at, rule) = rules.first(&old).unwrap();
    assert_eq!((at, rule.grace), (2, Some(Duration::from_secs(3 * 86_400))));
    assert!(rules.first(&MailClient { family: Platform::Windows, ..client() }).is_none());
    assert!(!rules.ask_for_compliance());
    assert_eq!(rules.default, MailAccess::Quarantine);
}

#[test]
fn what_is_wrong_is_named() {
    let rule = |rule: &str| format!("default: block\nrules: [{rule}]");
    for (text, part) in [
        ("rules: []".to_owned(), "default: missing"),
        ("defalt: block".into(), "the nearest known one is `default`"),
        ("default: deny".into(), "takes allow, quarantine, block"),
        ("default: quarantined".into(), "the nearest is `quarantine`"),
        (rule("{then: allow}"), "rules[0].when: missing"),
        (rule("{when: {os: '>=1'}}"), "rules[0].then: missing"),
        (rule("{when: {}, then: allow}"), "say it as `default`"),
        (rule("{when: {agent: '*', user: '**'}, then: allow}"), "say it as `default`"),
        (rule("{when: {familly: ios}, then: allow}"), "rules[0].when.familly: unknown key"),
        (rule("{when: {family: iso}, then: allow}"), "the nearest is `ios`"),
        (rule("{when: {os: '>=17.x'}, then: allow}"), "is no version"),
        (rule("{when: {os: '>=17..1'}, then: allow}"), "is no version"),
        (rule("{when: {os: '>='}, then: allow}"), "is no version"),
        (rule("{when: {certificate: maybe}, then: allow}"), "takes no, yes"),
        (rule("{when: {user: [a]}, then: allow}"), "takes text, not a list"),
        (rule("{when: {user: ''}, then: allow}"), "takes 1 to 256"),
        (rule("{when: {family: ios}, then: allow, grace: 3d}"), "is for a rule that cuts"),
        (rule("{when: {family: ios}, then: block, grace: soon}"), "is not a duration"),
        (rule("{when: {family: ios}, then: block, grace: 0s}"), "takes a duration up to"),
        (rule("{when: {family: ios}, then: block, graze: 1d}"), "the nearest known one is `rules[0].grace`"),
        ("default: [".into(), "not a readable file of rules"),
        (" ".repeat(MAX_RULES_TEXT + 1), "larger than"),
    ] {
        let said = MailRules::parse(&text).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(said.contains(part), "{text:.80}: {said}");
    }
}

proptest! {
    #[test]
    fn no_text_and_no_client_panics(text in ".{0,200}", said in ".{0,40}", told in ".{0,60}") {
        let _ = MailRules::parse(&text);
        for name in condition::NAMES {
            if let Ok(condition) = Condition::read(name, Node::Text(said.clone()), name) {
                let told = Some(told.as_str());
                condition.holds(&MailClient { kind: told, model: told, os: told, agent: told, ..client() });
            }
        }
    }

    #[test]
    fn a_star_at_both_ends_finds_any_part(begin in "[a-z*]{0,5}", part in "[A-Z]{1,5}", end in "[a-z]{0,5}") {
        let told = format!("{begin}{part}{end}");
        let client = MailClient { model: Some(&told), ..client() };
        let condition = Condition::read("model", Node::Text(format!("*{part}*")), "model").unwrap();
        prop_assert!(condition.holds(&client));
    }
}
