use std::cell::Cell;
use std::time::Duration;

use super::{Answer, Answers, Digest, Limits, Secret};

const LIMITS: Limits = Limits { answers: 8, answers_per_owner: 3, at_once: 4, at_once_per_asker: 2 };

fn digest(number: u8) -> Digest {
    [number; 32]
}

/// Asks question `key` for `owner`; whether it had to be asked.
async fn was_asked(answers: &Answers<u8>, key: u8, owner: u8) -> bool {
    let asked = Cell::new(false);
    let question = || {
        asked.set(true);
        async move { Answer { value: key, keep: Duration::from_secs(10), owner: digest(owner) } }
    };
    assert_eq!(answers.ask(digest(key), digest(owner), question).await, key);
    asked.get()
}

#[tokio::test(start_paused = true)]
async fn an_owner_displaces_only_its_own_answers() {
    let answers = Answers::new(LIMITS);
    assert!(was_asked(&answers, 100, 1).await);
    for key in 0..50 {
        assert!(was_asked(&answers, key, 2).await);
    }
    assert!(!was_asked(&answers, 100, 1).await, "the other owner's answer is still there");
    assert!(!was_asked(&answers, 49, 2).await, "and so is the last of the greedy one");
    assert!(was_asked(&answers, 46, 2).await, "but not the one before the last three");
}

#[tokio::test(start_paused = true)]
async fn the_answer_that_was_not_used_for_the_longest_time_goes_first() {
    let answers = Answers::new(LIMITS);
    for key in 0..8 {
        was_asked(&answers, key, key).await;
    }
    assert!(!was_asked(&answers, 0, 0).await, "used again");
    was_asked(&answers, 8, 8).await;
    assert!(!was_asked(&answers, 0, 0).await);
    assert!(was_asked(&answers, 1, 1).await);
}

#[tokio::test(start_paused = true)]
async fn memory_never_holds_more_than_its_bounds_and_leaves_no_traces() {
    let answers = Answers::new(LIMITS);
    for key in 0..200 {
        was_asked(&answers, key, key % 11).await;
        let board = answers.0.board.lock();
        let memory = &board.memory;
        assert!(memory.entries.len() <= 8 && memory.owners.values().all(|uses| uses.len() <= 3));
        assert_eq!(memory.entries.len(), memory.order.len());
        assert_eq!(memory.entries.len(), memory.owners.values().map(std::collections::BTreeSet::len).sum::<usize>());
        assert!(board.flights.is_empty() && board.lines.is_empty(), "nobody asks any more");
    }
}

#[tokio::test(start_paused = true)]
async fn a_question_ends_with_the_last_who_waits_and_not_before() {
    let answers = Answers::new(LIMITS);
    let slowly = || async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Answer { value: 7, keep: Duration::ZERO, owner: digest(1) }
    };
    let first = tokio::time::timeout(Duration::from_secs(1), answers.ask(digest(1), digest(1), slowly));
    let second = answers.ask(digest(1), digest(1), || async { unreachable!("the first has asked already") });
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_err(), "the one who asked first left");
    assert_eq!(second, 7);
    let alone = tokio::time::timeout(Duration::from_secs(1), answers.ask(digest(1), digest(1), slowly)).await;
    assert!(alone.is_err());
    let board = answers.0.board.lock();
    assert!(board.flights.is_empty() && board.lines.is_empty(), "a question nobody waits for is gone");
}

#[test]
fn a_digest_depends_on_key_parts_and_their_bounds() {
    let secret = Secret::random();
    assert_eq!(secret.digest(&[b"ab", b"c"]), secret.digest(&[b"ab", b"c"]));
    assert_ne!(secret.digest(&[b"ab", b"c"]), secret.digest(&[b"a", b"bc"]));
    assert_ne!(secret.digest(&[b"ab"]), Secret::random().digest(&[b"ab"]));
}
