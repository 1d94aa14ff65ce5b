use super::*;

#[test]
fn a_figure_stands_beside_the_bar_of_its_size_and_beside_none_at_others() {
    let mut report = Report::new(&Options::default());
    report.add("CPU per tick", "s", 0.1, Some(|bar| bar.cpu_per_tick));
    let table = report.table();
    let row: Vec<&str> = table.lines().last().expect("a row").split_whitespace().collect();
    assert_eq!(row, ["CPU", "per", "tick", "0.100", "s", "0.800", "0.125"], "{table}");

    let mut small = Report::new(&Options { nodes: 7, ..Options::default() });
    small.add("CPU per tick", "s", 0.1, Some(|bar| bar.cpu_per_tick));
    let figures: serde_json::Value = serde_json::from_str(&small.json()).expect("JSON");
    assert_eq!(figures["figures"][0]["ratio"], serde_json::Value::Null, "{figures}");
    assert_eq!(figures["figures"][0]["value"], 0.1);
}
