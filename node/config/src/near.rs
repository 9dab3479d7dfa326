//! The known name that a mistyped one most likely meant (`spec/operations.md` §8, `RateLimitIP`).

/// The candidate closest to `name`, if one is close enough to be worth proposing: it contains the whole of
/// `name` (or the reverse), or differs by few letters. Case does not count.
pub(crate) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_ascii_lowercase();
    if wanted.len() < 3 || wanted.len() > 64 {
        return None;
    }
    candidates
        .filter_map(|candidate| {
            let other = candidate.to_ascii_lowercase();
            let distance = edit_distance(&wanted, &other);
            let contained = other.contains(&wanted) || (other.len() >= 5 && wanted.contains(&other));
            let close = distance <= wanted.len() / 3;
            // Among names that contain it, the table's order decides, not their length.
            (close || contained).then_some((if contained { 1 } else { distance }, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance over bytes.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 4] = ["PacketRateLimitIP", "MailServerPassword", "MaxPeers", "ListenAddr"];

    #[test]
    fn ops_8_near_match_of_the_production_typo() {
        assert_eq!(nearest("RateLimitIP", NAMES.into_iter()), Some("PacketRateLimitIP"));
        assert_eq!(nearest("MaxPeer", NAMES.into_iter()), Some("MaxPeers"));
        assert_eq!(nearest("MailserverPasword", NAMES.into_iter()), Some("MailServerPassword"));
    }

    #[test]
    fn a_stranger_has_no_near_match() {
        assert_eq!(nearest("Zebra", NAMES.into_iter()), None);
        assert_eq!(nearest("x", NAMES.into_iter()), None);
    }

    #[test]
    fn edit_distances() {
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("same", "same"), 0);
    }
}
