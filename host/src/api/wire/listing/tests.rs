use super::*;
use crate::model::{Labels, PodRef, PodUsage};

fn container(cpu: Option<u64>, memory: Option<u64>) -> ContainerUsage {
    ContainerUsage::new("c".into(), cpu.map(Nanocores), memory.map(Bytes))
}

/// The cells of the row of a pod with these containers.
fn row(containers: Vec<ContainerUsage>) -> String {
    let window = WindowNanos(1_000_000_000);
    let usage = PodUsage { taken_at: UnixNanos::ZERO, window, containers: containers.into() };
    let labels = Labels::default();
    let item = PodItem { pod: PodRef { namespace: "n", name: "p" }, labels: &labels, usage: &usage };
    let view = View::Table(MetaVersion::V1, IncludeObject::None);
    let form = Form { encoding: Encoding::Json, view, layout: Layout::Compact };
    let out = write_pod(ApiVersion::V1, form, UnixNanos::ZERO, item);
    let table: serde_json::Value = serde_json::from_slice(&out).unwrap();
    table["rows"][0]["cells"].to_string()
}

#[test]
fn the_cells_of_a_pod_are_sums_that_stop_at_the_end_of_numbers() {
    let container = |cpu, memory| container(Some(cpu), Some(memory));
    assert_eq!(row(vec![container(1_000_000, 1024), container(2_000_000, 2048)]), r#"["p","3m","3Ki","1s"]"#);
    assert_eq!(row(vec![container(u64::MAX, 1), container(1, 1)]), r#"["p","18446744073709551610n","2","1s"]"#);
    assert_eq!(row(vec![]), r#"["p","0","0","1s"]"#);
}

#[test]
fn the_cells_of_a_pod_leave_out_what_is_withheld() {
    let containers =
        vec![container(Some(1_000_000), None), container(None, Some(2048)), container(Some(1), Some(1024))];
    assert_eq!(row(containers), r#"["p","1000001n","3Ki","1s"]"#);
    assert_eq!(row(vec![container(Some(2_000_000), None)]), r#"["p","2m","0","1s"]"#);
}
