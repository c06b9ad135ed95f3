//! Words that were probably meant: how far two words are apart, and when that is near.

/// The nearest of the known words, whatever their case; `None` when none is near.
pub(crate) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (edits(&lower, &candidate.to_lowercase()), candidate))
        .filter(|&(edits, _)| is_near(word, edits))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Whether so many edits of `word` are a slip of the pen and not another word.
pub(crate) fn is_near(word: &str, edits: usize) -> bool {
    edits <= ((word.chars().count() + 1) / 3).max(1)
}

/// Levenshtein distance in characters.
pub(crate) fn edits(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (removed, from) in left.chars().enumerate() {
        let mut next = vec![removed + 1];
        for (to, cells) in right.iter().zip(row.windows(2)) {
            let &[diagonal, above] = cells else { continue };
            let before = next.last().copied().unwrap_or_default();
            let replaced = diagonal + usize::from(from != *to);
            next.push(replaced.min(above + 1).min(before + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_count_letters_added_removed_and_replaced() {
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("abc", "abc"), 0);
    }

    #[test]
    fn a_slip_of_the_pen_finds_its_word_in_any_case() {
        let known = ["STARTS_WITH", "CONTAINS"];
        assert_eq!(nearest("start_with", known), Some("STARTS_WITH"));
        assert_eq!(nearest("Contain", known), Some("CONTAINS"));
        assert_eq!(nearest("MATCHES", known), None);
    }
}
