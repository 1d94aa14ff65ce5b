use proptest::prelude::*;

use super::*;

const KIB: usize = 1 << 10;

fn room() -> Room {
    Room::new(&PluginLimits { memory: 256 * KIB, table_elements: 10, ..PluginLimits::default() })
}

#[test]
fn the_first_refusal_is_what_is_told() {
    let mut room = room();
    assert!(room.memory_growing(0, 64 * KIB, None).unwrap());
    assert_eq!(room.refusal(), None);
    assert!(!room.memory_growing(64 * KIB, 320 * KIB, None).unwrap());
    assert!(!room.table_growing(0, 11, None).unwrap());
    assert_eq!(room.refusal(), Some("wanted 320 KiB of memory and may have 256 KiB"));
    assert_eq!(room.memory(), 64 * KIB);
}

#[test]
fn beyond_its_own_maximum_a_guest_is_refused_without_a_word() {
    let mut room = room();
    assert!(!room.memory_growing(0, 128 * KIB, Some(64 * KIB)).unwrap());
    assert!(!room.table_growing(0, 5, Some(4)).unwrap());
    assert_eq!((room.refusal(), room.memory()), (None, 0));
}

#[test]
fn an_overrun_is_told_once_and_forgotten_with_the_next_call() {
    let log: Arc<dyn super::super::Log> = Arc::new(Silent);
    let mut state = State::new(&PluginLimits::default(), Duration::ZERO, Arc::new(Lines::new(log)));
    // Its budget of nothing is over as soon as the thread has done anything.
    while state.time.check().is_ok() {}
    assert!(state.time.overrun().is_some());
    state.begin_again(Duration::from_secs(3600));
    assert!(state.time.check().is_ok() && state.time.overrun().is_none());
}

struct Silent;

impl super::super::Log for Silent {
    fn log(&self, _: Level, _: &str) {}
}

proptest! {
    #[test]
    fn whatever_grows_in_whatever_order_the_sum_stays_within_the_limit(
        steps in prop::collection::vec((0usize..4, 0usize..200 * KIB, any::<bool>()), 0..60),
    ) {
        let (mut room, mut sizes) = (room(), [0usize; 4]);
        for (memory, by, fails) in steps {
            let desired = sizes[memory] + by;
            if room.memory_growing(sizes[memory], desired, None).unwrap() {
                sizes[memory] = desired;
            }
            if fails {
                // As wasmtime does also for growths that it never asks about.
                room.memory_grow_failed(wasmtime::Error::msg("no")).unwrap();
            }
            prop_assert!(sizes.iter().sum::<usize>() <= 256 * KIB);
            prop_assert_eq!(room.memory(), sizes.iter().sum::<usize>());
        }
    }
}
