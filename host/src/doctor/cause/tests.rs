use std::collections::BTreeSet;

use super::Cause;

#[test]
fn words_are_kebab_case_and_no_two_are_the_same() {
    let words: BTreeSet<&str> = Cause::ALL.iter().map(|cause| cause.word()).collect();
    assert_eq!(words.len(), Cause::ALL.len());
    let is_kebab = |word: &str| {
        let good = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        word.split('-').all(good)
    };
    let odd: Vec<&&str> = words.iter().filter(|word| !is_kebab(word)).collect();
    assert!(odd.is_empty(), "{odd:?}");
}

#[test]
fn every_cause_says_what_it_means_and_how_it_is_mended_in_whole_sentences() {
    let is_sentence = |text: &str| text.len() > 10 && text.ends_with('.');
    let odd: Vec<&Cause> =
        Cause::ALL.iter().filter(|cause| !is_sentence(cause.meaning()) || !is_sentence(cause.mend())).collect();
    assert!(odd.is_empty(), "{odd:?}");
}
