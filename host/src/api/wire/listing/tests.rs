use super::*;
use crate::model::{ContainerUsage, Labels, PodRef, PodUsage};

#[test]
fn the_cells_of_a_pod_are_sums_that_stop_at_the_end_of_numbers() {
    let container = |cpu, memory| ContainerUsage { name: "c".into(), cpu: Nanocores(cpu), memory: Bytes(memory) };
    let row = |containers: Vec<ContainerUsage>| {
        let usage =
            PodUsage { taken_at: UnixNanos::ZERO, window: WindowNanos(1_000_000_000), containers: containers.into() };
        let labels = Labels::default();
        let item = PodItem { pod: PodRef { namespace: "n", name: "p" }, labels: &labels, usage: &usage };
        let view = View::Table(MetaVersion::V1, IncludeObject::None);
        let form = Form { encoding: Encoding::Json, view, layout: Layout::Compact };
        let out = write_pod(ApiVersion::V1, form, UnixNanos::ZERO, item);
        let table: serde_json::Value = serde_json::from_slice(&out).unwrap();
        table["rows"][0]["cells"].to_string()
    };
    assert_eq!(row(vec![container(1_000_000, 1024), container(2_000_000, 2048)]), r#"["p","3m","3Ki","1s"]"#);
    assert_eq!(row(vec![container(u64::MAX, 1), container(1, 1)]), r#"["p","18446744073709551610n","2","1s"]"#);
    assert_eq!(row(vec![]), r#"["p","0","0","1s"]"#);
}
