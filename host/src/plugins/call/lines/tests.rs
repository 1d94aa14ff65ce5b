use super::*;

#[derive(Default)]
struct Kept(Mutex<Vec<String>>);

impl Log for Kept {
    fn log(&self, _: Level, message: &str) {
        self.0.lock().push(message.to_owned());
    }
}

#[test]
fn each_second_has_twenty_lines_and_counts_the_rest() {
    let kept = Arc::<Kept>::default();
    let lines = Lines::new(Arc::clone(&kept) as Arc<dyn Log>);
    let began = Instant::now();
    for (second, written) in [(0, 30), (1, 5), (2, 21)] {
        for _ in 0..written {
            lines.write(Level::Info, &format!("in second {second}"), began + second * PERIOD + PERIOD / 2);
        }
    }
    let in_second = |second: u32| kept.0.lock().iter().filter(|line| **line == format!("in second {second}")).count();
    assert_eq!([in_second(0), in_second(1), in_second(2)], [20, 5, 20]);
    assert_eq!(lines.dropped(), 11);
}

#[test]
fn lines_beyond_all_counting_are_counted() {
    let mut period = Period { began: Instant::now(), lines: u32::MAX - 1 };
    let now = period.began;
    assert!(!period.has_room(now) && !period.has_room(now) && !period.has_room(now));
}
