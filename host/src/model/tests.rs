use super::*;
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_container_tells_what_it_was_given(cpu: Option<u64>, memory: Option<u64>) {
        let told = |figure: Option<u64>| figure.map(|figure| figure.min(u64::MAX - 1));
        let usage = ContainerUsage::new("c".into(), cpu.map(Nanocores), memory.map(Bytes));
        prop_assert_eq!(usage.cpu(), told(cpu).map(Nanocores));
        prop_assert_eq!(usage.memory(), told(memory).map(Bytes));
    }
}

#[test]
fn what_is_withheld_costs_no_memory_and_the_largest_number_is_one_less() {
    assert_eq!(size_of::<ContainerUsage>(), 32);
    let usage = ContainerUsage::new("c".into(), Some(Nanocores(u64::MAX)), Some(Bytes(0)));
    assert_eq!((usage.cpu(), usage.memory()), (Some(Nanocores(u64::MAX - 1)), Some(Bytes(0))));
}
