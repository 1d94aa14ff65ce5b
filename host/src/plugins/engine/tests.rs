use super::*;

/// Spins until something holds; the thread it waits for needs microseconds.
fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let began = std::time::Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(30), "it never came to be that {what}");
        std::thread::yield_now();
    }
}

#[test]
fn the_ticker_sleeps_while_no_call_is_under_way() {
    let engine = wasmtime::Engine::new(&config(false)).unwrap();
    let ticker = Ticker::start(engine).unwrap();
    let is_asleep = |expected| ticker.shared.is_asleep.load(Ordering::SeqCst) == expected;
    for _ in 0..3 {
        wait_until("the ticker sleeps", || is_asleep(true));
        ticker.call_begins();
        ticker.call_begins();
        wait_until("the ticker wakes", || is_asleep(false));
        ticker.call_ends();
        wait_until("the ticker stays awake for the other call", || is_asleep(false));
        ticker.call_ends();
    }
}

#[test]
fn an_engine_ends_its_ticker_in_its_sleep_and_awake() {
    for is_busy in [false, true] {
        let ticker = Ticker::start(wasmtime::Engine::new(&config(false)).unwrap()).unwrap();
        if is_busy {
            ticker.call_begins();
        }
        let shared = Arc::downgrade(&ticker.shared);
        drop(ticker);
        assert!(shared.upgrade().is_none(), "the thread still holds it");
    }
}

#[test]
fn as_many_instances_are_kept_as_the_pool_has_room_for() {
    let engine = Engine::try_new(EngineOptions { workers: 1, cache: None }).unwrap();
    let kept: Vec<_> = std::iter::from_fn(|| engine.keep_one()).collect();
    assert_eq!(kept.len(), KEPT);
    drop(kept);
    assert!(engine.keep_one().is_some());
}

#[test]
fn without_a_pool_instances_are_made_one_by_one_and_grow() {
    let engine = single(config(false)).unwrap();
    let module =
        wat::parse_str("(module (memory 1) (func (export \"f\") (result i32) (memory.grow (i32.const 9))))").unwrap();
    let module = wasmtime::Module::from_binary(&engine, &module).unwrap();
    let mut store = wasmtime::Store::new(&engine, ());
    store.set_epoch_deadline(1);
    let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
    let grow = instance.get_typed_func::<(), i32>(&mut store, "f").unwrap();
    assert_eq!([grow.call(&mut store, ()).unwrap(), grow.call(&mut store, ()).unwrap()], [1, 10]);
}
