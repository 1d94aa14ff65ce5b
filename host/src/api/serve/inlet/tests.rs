use super::*;

fn heads(bytes: usize) -> Heads {
    Heads::of(bytes)
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
    assert_eq!(heads.strangers.available_permits(), 10_000);
    held.remove(50_000);
    assert_eq!(heads.strangers.available_permits(), 60_000);
    held.remove(FREE + 40_000);
    assert_eq!((heads.strangers.available_permits(), held.bytes), (100_000, 0));
}

#[test]
fn one_connections_heads_cannot_take_what_another_has() {
    let heads = heads(100_000);
    let (mut one, mut other) = (Held::new(heads.clone()), Held::new(heads.clone()));
    one.add(FREE + 80_000).unwrap();
    assert!(other.add(FREE + 80_000).is_err());
    drop(one);
    assert_eq!(heads.strangers.available_permits(), 100_000, "an end gives all of it back");
    assert!(Held::new(heads).add(FREE + 80_000).is_ok());
}

#[test]
fn strangers_cannot_take_what_is_there_for_those_who_are_known() {
    let heads = heads(100_000);
    let mut stranger = Held::new(heads.clone());
    stranger.add(FREE + 100_000).unwrap();
    let mut known = Held::new(heads.clone());
    known.add(FREE).unwrap();
    known.set_standing(Standing::Known);
    assert!(known.add(90_000).is_ok() && known.add(20_000).is_err());
    let mut front_proxy = Held::new(heads);
    front_proxy.set_standing(Standing::FrontProxy);
    assert!(front_proxy.add(1 << 30).is_ok(), "its connection is everybody's");
}

#[test]
fn who_becomes_known_gives_back_what_was_taken_from_the_strangers() {
    let heads = heads(100_000);
    let mut held = Held::new(heads.clone());
    held.add(FREE + 60_000).unwrap();
    held.set_standing(Standing::Known);
    assert_eq!((heads.strangers.available_permits(), heads.known.available_permits()), (100_000, 40_000));
    held.remove(FREE + 60_000);
    assert_eq!(heads.known.available_permits(), 100_000);
}
