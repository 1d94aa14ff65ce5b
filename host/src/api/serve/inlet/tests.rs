use super::*;

fn heads(bytes: usize) -> Heads {
    Heads(Arc::new(Semaphore::new(bytes)))
}

#[test]
fn heads_of_the_usual_size_cost_nothing() {
    let heads = heads(0);
    let mut held = Held::new(heads);
    assert!(held.add(FREE).is_ok());
    assert!(held.add(1).is_err(), "beyond that there is nothing here");
}

#[test]
fn what_a_large_head_took_comes_back_when_it_is_answered() {
    let heads = heads(100_000);
    let mut held = Held::new(heads.clone());
    held.add(FREE + 60_000).unwrap();
    held.add(30_000).unwrap();
    assert_eq!(heads.0.available_permits(), 10_000);
    held.remove(50_000);
    assert_eq!(heads.0.available_permits(), 60_000);
    held.remove(FREE + 40_000);
    assert_eq!((heads.0.available_permits(), held.bytes), (100_000, 0));
}

#[test]
fn one_connections_heads_cannot_take_what_another_has() {
    let heads = heads(100_000);
    let (mut one, mut other) = (Held::new(heads.clone()), Held::new(heads.clone()));
    one.add(FREE + 80_000).unwrap();
    assert!(other.add(FREE + 80_000).is_err());
    drop(one);
    assert_eq!(heads.0.available_permits(), 100_000, "an end gives all of it back");
    assert!(Held::new(heads).add(FREE + 80_000).is_ok());
}
