//! A short run of each fuzz target: its committed seeds, with a few bytes changed.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::checkout;

/// A long run is `make fuzz`.
const CASES: u32 = 20_000;

/// Seeds of a target, each with some bytes replaced and perhaps an end cut off.
fn mutated(target: &str) -> impl Strategy<Value = Vec<u8>> {
    let seeds = seeds(&checkout::root().join("fuzz/seeds").join(target));
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (prop::sample::select(seeds), edits, any::<prop::sample::Index>(), 0_u8..8).prop_map(
        |(mut seed, edits, end, cut)| {
            for (place, byte) in edits {
                if !seed.is_empty() {
                    let place = place.index(seed.len());
                    seed[place] = byte;
                }
            }
            if cut == 0 {
                seed.truncate(end.index(seed.len() + 1));
            }
            seed
        },
    )
}

fn seeds(dir: &Path) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn any_stream_decodes_the_same_wherever_it_is_split(data in mutated("pgoutput")) {
        pgoutput(&data);
    }

    #[test]
    fn any_text_that_is_accepted_is_json(data in mutated("agtype")) {
        agtype(&data);
    }

    #[test]
    fn any_filter_text_has_an_answer_or_a_complaint_with_its_place(data in mutated("filter_text")) {
        filter_text(&data);
    }

    #[test]
    fn a_compiled_filter_says_what_a_naive_reading_says(data in prop::collection::vec(any::<u8>(), 0..64)) {
        filter_verdicts(&data);
    }
}
