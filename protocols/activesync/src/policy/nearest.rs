//! Which known name a mistyped one is nearest to.

/// The candidate with the fewest edits, case aside; `""` where there are none.
pub(super) fn nearest(name: &str, candidates: impl Iterator<Item = &'static str>) -> &'static str {
    let name: Vec<char> = name.to_lowercase().chars().take(64).collect();
    candidates.min_by_key(|candidate| distance(&name, candidate)).unwrap_or_default()
}

/// Insertions, deletions and changes from one to the other.
fn distance(name: &[char], candidate: &str) -> usize {
    let mut row: Vec<usize> = (0..=name.len()).collect();
    for (at, wanted) in candidate.to_lowercase().chars().enumerate() {
        let mut next = vec![at + 1];
        for (column, (got, pair)) in name.iter().zip(row.windows(2)).enumerate() {
            let (diagonal, above) = (pair.first().copied().unwrap_or(0), pair.last().copied().unwrap_or(0));
            let left = next.get(column).copied().unwrap_or(0);
            next.push((diagonal + usize::from(*got != wanted)).min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_name() {
        let known = ["AllowCamera", "AllowWiFi", "AllowBrowser"];
        for (slip, want) in [("AllowCamra", "AllowCamera"), ("allowwifi", "AllowWiFi"), ("Browser", "AllowBrowser")] {
            assert_eq!(nearest(slip, known.into_iter()), want);
        }
    }
}
