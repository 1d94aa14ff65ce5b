use super::*;

#[test]
fn room_is_what_pieces_take_until_they_are_sent() {
    let room = Room(Arc::new(Semaphore::new(2)));
    let piece = |text: &str| (text.as_bytes().to_vec(), room.take().unwrap());
    let mut kept =
        Kept { head: b"<".to_vec(), pieces: VecDeque::from([piece("one"), piece("two")]), tail: b">".to_vec() };
    let full = room.take().expect_err("both places are taken");
    assert_eq!((full.code().as_u16(), full.retry_after()), (503, Some(1)));
    let mut sent = Vec::new();
    assert!(kept.write(&mut sent, 1));
    let place = room.take();
    assert!(place.is_ok(), "the first piece is sent");
    assert!(room.take().is_err(), "the second is not");
    let mut rest = Vec::new();
    assert!(!kept.write(&mut rest, 1));
    assert_eq!((&*sent, &*rest), (b"<one".as_slice(), b"two>".as_slice()));
    drop(kept);
    assert!(room.take().is_ok());
}
