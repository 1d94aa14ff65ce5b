//! Any bytes, in both forms: decoding ends, does not panic, and yields complete samples or none.

#![no_main]

use libfuzzer_sys::fuzz_target;
use metrics_gateway::config::TimestampOf;
use metrics_gateway::decode::{Form, Reading, batch};
use metrics_gateway::model::Sample;
use metrics_gateway::model::units::UnixNanos;

fuzz_target!(|body: &[u8]| {
    for form in [Form::Text, Form::Summary] {
        for timestamp in [TimestampOf::Cpu, TimestampOf::LastLine] {
            let reading = Reading { form, asked_at: UnixNanos(1_795_212_480_000_000_000), timestamp };
            if let Ok(batch) = batch(body, reading) {
                batch.node.iter().for_each(check);
                batch.pods().flatten().for_each(|container| check(&container.sample));
            }
        }
    }
});

fn check(sample: &Sample) {
    assert!(sample.cpu.0 > 0 && sample.memory.0 > 0 && sample.taken_at.0 > 0, "{sample:?}");
}
