//! The YAML reader as we use it. It is bounded, so that no text costs more than in proportion to its length, and it takes plain
//! words and numbers as policies that were stored before are meant: by YAML 1.2, where `no` and `on` are words.

use std::borrow::Cow;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle};
use serde_saphyr::{
    Budget, Deserializer, DuplicateKeyPolicy, Error, MergeKeyPolicy, MessageFormatter, NonFiniteFloatPolicy, Options,
    UserMessageFormatter, budget, options,
};

/// Levels of containers that the reader follows. What takes its values apart may well allow fewer.
const MAX_DEPTH: usize = 64;
/// Scalars and containers as they stand in the text; aliases unfold to no more.
const MAX_NODES: usize = 20_000;
const MAX_ALIASES: usize = 1_000;
/// Bytes kept for aliases to repeat.
const MAX_ANCHORED: usize = 4 * 1024 * 1024;
const UNFOLDS: &str = "too many values, or aliases that unfold to too many";
const TOO_DEEP: &str = "nested too deeply";

/// Why a text is not read: a sentence that names line and column, and these alone; 0 where they are not known.
#[derive(Debug)]
pub(crate) struct Misread {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) text: String,
}

/// Reads a text of one document. Its length is for the caller to bound.
pub(crate) fn read<'t, T>(
    text: &'t str,
    take: impl for<'d> FnOnce(Deserializer<'t, 'd>) -> Result<T, Error>,
) -> Result<T, Misread> {
    serde_saphyr::with_deserializer_from_str_with_options(text, reader(), take).map_err(|error| {
        let place = |number: u64| usize::try_from(number).unwrap_or_default();
        Misread {
            line: error.location().map_or(0, |at| place(at.line())),
            column: error.location().map_or(0, |at| place(at.column())),
            text: error.render_with_formatter(&Words),
        }
    })
}

fn reader() -> Options {
    options! {
        budget: bounds(),
        // A `!secret` that nobody heeds would be taken for its text.
        reject_unsupported_tags: true,
        // The rest as stored policies were read: `no`, `on`, `010`, `1_000` and `<<` have no meaning of their own.
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        null_as_string: true,
        ignore_binary_tag_for_string: true,
        bom_inside_document_as_content: true,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        duplicate_keys: DuplicateKeyPolicy::Error,
        // Whoever reads the values says what is wrong with them.
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        // A piece of the text in the message could be a secret's.
        with_snippet: false,
    }
}

fn bounds() -> Option<Budget> {
    budget! {
        max_depth: MAX_DEPTH,
        flow_nesting_limit: MAX_DEPTH,
        max_nodes: MAX_NODES,
        max_events: MAX_NODES * 4,
        max_documents: 1,
        max_aliases: MAX_ALIASES,
        max_anchors: MAX_ALIASES,
        max_recorded_anchor_events: MAX_NODES * 4,
        max_recorded_anchor_bytes: MAX_ANCHORED,
    }
}

/// What the reader says in its own terms, said for people; all else as it says it.
struct Words;

impl MessageFormatter for Words {
    fn format_message<'a>(&self, error: &'a Error) -> Cow<'a, str> {
        use serde_saphyr::budget::BudgetBreach as Breach;
        match error {
            Error::Budget { breach: Breach::Depth { .. }, .. } => Cow::Borrowed(TOO_DEEP),
            Error::ExternalMessage { msg, .. } => Cow::Borrowed(of_parser(msg)),
            Error::MultipleDocuments { .. } | Error::Budget { breach: Breach::Documents { .. }, .. } => {
                Cow::Borrowed("more than one document")
            }
            Error::Budget { .. }
            | Error::AliasReplayLimitExceeded { .. }
            | Error::AliasExpansionLimitExceeded { .. }
            | Error::AliasReplayStackDepthExceeded { .. } => Cow::Borrowed(UNFOLDS),
            Error::RecursiveReferencesRequireWeakTypes { .. } => Cow::Borrowed("an alias within what it stands for"),
            Error::UnknownAnchor { .. } => Cow::Borrowed("an alias of no anchor"),
            Error::UnsupportedTag { tag, .. } => {
                Cow::Owned(format!("the tag `{}`: tags are not taken", tag.escape_debug().take(80).collect::<String>()))
            }
            Error::Unexpected { expected: "string scalar", .. } => Cow::Borrowed("a key that is no text"),
            Error::TaggedScalarCannotDeserializeIntoString { .. } => Cow::Borrowed("a tag that does not fit its value"),
            Error::DuplicateMappingKey { key: Some(key), .. } => Cow::Owned(stands_twice(key)),
            Error::DuplicateMappingKey { .. } => Cow::Borrowed("a key stands twice"),
            other => UserMessageFormatter.format_message(other),
        }
    }
}

/// The parser below has no kinds for its errors that reach us, words alone.
fn of_parser(words: &str) -> &str {
    match words {
        "recursion limit exceeded" => TOO_DEEP,
        "did not find expected <document start>" => {
            "more text behind what is whole already: is a line indented too little?"
        }
        "simple key expected ':'" => "a key without its `:`",
        "mapping values are not allowed in this context" => {
            "a `:` where none can stand: is the line before without one, or a text with `: ` in it not in quotes?"
        }
        other => other,
    }
}

/// Said of a repeated key.
pub(super) fn stands_twice(key: &str) -> String {
    format!("the key `{}` stands twice", key.escape_debug().take(80).collect::<String>())
}

/// Whether the text ends within a block scalar (`|`, `>`), in a line that no line break ends. The reader adds one to
/// the value; the one that read stored policies did not, and a value that changes is sent to every device anew.
pub(super) fn ends_within_a_block(text: &str) -> bool {
    if text.rsplit(['\n', '\r']).next().is_none_or(|line| line.trim().is_empty()) {
        return false;
    }
    let last = Parser::new_from_str(text).map_while(Result::ok).filter_map(|(event, span)| match event {
        Event::Scalar(_, ScalarStyle::Literal | ScalarStyle::Folded, ..) => {
            Some(span.end.byte_offset() == Some(text.len()))
        }
        Event::Scalar(..) | Event::Alias(..) => Some(false),
        _ => None,
    });
    last.last().unwrap_or(false)
}

#[cfg(test)]
mod tests;
