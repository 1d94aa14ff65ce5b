//! The file of cases as it is written, to [`Case`]s.

use std::ops::RangeInclusive;

use toml::de::DeTable;

use super::values::{Field, Reader, Table};
use super::{Case, Expectation, Trial};
use crate::authoring::question::{
    Choice, Code, ContainerName, EPOCH, HOOKS, Histories, History, Hook, Pod, Question, Target,
};
use crate::config::Problem;
use crate::model::units::{UnixNanos, WindowNanos};
use crate::model::{Labels, Node, NodeAddress, NodeName, Sample, Usage};

/// How far rates may be off where a case does not say: not at all, but for rounding.
const NO_TOLERANCE: f64 = 0.0;
const PORTS: RangeInclusive<u64> = 1..=65_535;
/// As many as the gateway puts into one question.
const MOST_CONTAINERS: usize = 4_096;

pub(super) fn cases(file: &str, text: &str) -> Result<Vec<Case>, Vec<Problem>> {
    let reader = Reader::new(file, text);
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        reader.refuse(error.span().unwrap_or(0..0), "", error.message().trim_end().replace('\n', ", "));
    }
    let mut cases = Vec::new();
    if errors.is_empty() {
        let top = Table::new(&reader, root.get_ref(), root.span(), String::new());
        let listed = top.required("case").and_then(|field| field.list()).unwrap_or_default();
        cases = listed.iter().filter_map(Field::table).filter_map(|table| case(&table)).collect();
        top.refuse_the_rest();
    }
    let problems = reader.into_problems();
    if problems.is_empty() { Ok(cases) } else { Err(problems) }
}

fn case(table: &Table<'_>) -> Option<Case> {
    let name = table.required("name").and_then(|field| field.text());
    let settings = table.key("settings").map_or_else(|| Some("{}".to_owned()), |field| field.settings());
    let fuel = table.key("fuel").and_then(|field| field.whole(1..=u64::MAX));
    let trial = match table.key("refuse") {
        Some(field) => {
            // Which hook would have been asked does not matter, but may be said.
            let _ = table.key("hook").and_then(|field| hook(&field));
            field.text().map(|text| Trial::Refuse(text.to_owned()))
        }
        None => ask(table),
    };
    table.refuse_the_rest();
    Some(Case { name: name?.to_owned(), line: table.line(), settings: settings?, trial: trial?, fuel })
}

/// What `read` makes of each table of a list; None where it makes nothing of one, but it has seen all of them.
fn every<T>(field: &Field<'_>, read: impl Fn(&Table<'_>) -> Option<T>) -> Option<Vec<T>> {
    let items: Vec<Option<T>> = field.list()?.iter().map(|item| read(&item.table()?)).collect();
    items.into_iter().collect()
}

fn hook(field: &Field<'_>) -> Option<Hook> {
    field.one_of(&HOOKS)
}

fn ask(table: &Table<'_>) -> Option<Trial> {
    let hook = match table.required("hook") {
        Some(field) => hook(&field)?,
        None => {
            // Which keys there may be depends on it.
            table.ignore_the_rest();
            return None;
        }
    };
    match hook {
        Hook::Address => ask_address(table),
        Hook::Filter => ask_filter(table),
        Hook::FilterByValue => ask_screen(table),
        Hook::Window => ask_window(table),
    }
}

fn ask_address(table: &Table<'_>) -> Option<Trial> {
    let node = table.required("node").and_then(|field| field.table()).and_then(|table| node(&table));
    let expected = table.required("expect").and_then(|field| choice(&field));
    Some(Trial::Ask(Box::new(Question::Address(Box::new(node?))), Expectation::Address(expected?)))
}

fn node(table: &Table<'_>) -> Option<Node> {
    let name = table.required("name").and_then(|field| field.text());
    let addresses = table.key("addresses").and_then(|field| every(&field, address)).unwrap_or_default();
    let node = Node {
        name: NodeName::new(name.unwrap_or_default()),
        labels: labels(table, "labels").into(),
        annotations: labels(table, "annotations"),
        provider_id: table.key("provider_id").and_then(|field| field.text()).map(Into::into),
        resource_metrics_path: None,
        addresses: addresses.into(),
        kubelet_port: port(table, "kubelet_port"),
        ready: table.key("ready").is_none_or(|field| field.switch().unwrap_or_default()),
    };
    table.refuse_the_rest();
    name.map(|_| node)
}

fn address(table: &Table<'_>) -> Option<NodeAddress> {
    let kind = table.required("kind").and_then(|field| field.text());
    let address = table.required("address").and_then(|field| field.text());
    table.refuse_the_rest();
    Some(NodeAddress { kind: kind?.into(), address: address?.into() })
}

fn port(table: &Table<'_>, name: &'static str) -> Option<u16> {
    let number = table.key(name).and_then(|field| field.whole(PORTS))?;
    u16::try_from(number).ok()
}

fn labels(table: &Table<'_>, name: &'static str) -> Labels {
    let labels = table.key(name).and_then(|field| field.table());
    labels.map(|labels| labels.texts().into_iter().collect()).unwrap_or_default()
}

fn choice(field: &Field<'_>) -> Option<Choice> {
    if field.is_text() {
        return field.one_of(&[("pass", Choice::Pass)]);
    }
    let table = field.table()?;
    let skip = table.key("skip").map(|field| field.text().map(|reason| Choice::Skip(reason.to_owned())));
    let dial = table.key("dial").map(|field| targets(&field).map(Choice::Dial));
    table.refuse_the_rest();
    match (skip, dial) {
        (Some(choice), None) | (None, Some(choice)) => choice,
        _ => field.refused("is neither \"pass\", nor { dial = [{ host = … }] }, nor { skip = \"reason\" }"),
    }
}

fn targets(field: &Field<'_>) -> Option<Vec<Target>> {
    let text = |table: &Table<'_>, name| table.key(name).and_then(|field| field.text()).map(str::to_owned);
    let target = |table: &Table<'_>| {
        let host = table.required("host").and_then(|field| field.text());
        let target = Target {
            host: host.unwrap_or_default().to_owned(),
            port: port(table, "port"),
            path: text(table, "path"),
            server_name: text(table, "server_name"),
        };
        table.refuse_the_rest();
        host.map(|_| target)
    };
    every(field, target)
}

fn ask_filter(table: &Table<'_>) -> Option<Trial> {
    let pods = table.required("pods").and_then(|field| every(&field, pod));
    let expected = verdicts(table, &Code::NAMES);
    let (pods, (field, expected)) = (pods?, expected?);
    let rows: usize = pods.iter().map(|pod| pod.containers.len()).sum();
    if rows > MOST_CONTAINERS {
        return field.refused(&format!("is of {rows} containers; the gateway asks about {MOST_CONTAINERS} at most"));
    }
    is_one_per_row(&field, expected.len(), rows)?;
    let (pods, expected) = as_asked(pods, expected);
    Some(Trial::Ask(Box::new(Question::Filter(pods)), Expectation::Verdicts(expected)))
}

fn pod(table: &Table<'_>) -> Option<Pod> {
    let text = |name| table.required(name).and_then(|field| field.text()).map(str::to_owned);
    let (namespace, name) = (text("namespace"), text("name"));
    let node = table.key("node").map_or_else(|| Some("node-1".to_owned()), |field| field.text().map(str::to_owned));
    let listed = table.required("containers").and_then(|field| Some((field.list()?, field)));
    let containers = listed.and_then(|(list, field)| {
        let names: Option<Vec<String>> = list.iter().map(|name| name.text().map(str::to_owned)).collect();
        if list.is_empty() { field.refused("is empty; a pod has at least one container") } else { names }
    });
    let (labels, namespace_labels) = (labels(table, "labels"), labels(table, "namespace_labels"));
    table.refuse_the_rest();
    Some(Pod { namespace: namespace?, name: name?, node: node?, labels, namespace_labels, containers: containers? })
}

/// Pods by namespace and name, and containers by name, each with its verdict: the gateway asks in this order.
fn as_asked(pods: Vec<Pod>, expected: Vec<Code>) -> (Vec<Pod>, Vec<Code>) {
    let mut expected = expected.into_iter();
    let mut judged: Vec<(Pod, Vec<Code>)> = pods
        .into_iter()
        .map(|mut pod| {
            let mut rows: Vec<(String, Code)> = pod.containers.drain(..).zip(expected.by_ref()).collect();
            rows.sort_by(|(a, _), (b, _)| a.cmp(b));
            let (containers, verdicts) = rows.into_iter().unzip();
            (Pod { containers, ..pod }, verdicts)
        })
        .collect();
    judged.sort_by(|(a, _), (b, _)| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    let (pods, verdicts): (Vec<Pod>, Vec<Vec<Code>>) = judged.into_iter().unzip();
    (pods, verdicts.concat())
}

fn ask_screen(table: &Table<'_>) -> Option<Trial> {
    let histories = histories(table);
    let expected = verdicts(table, &Code::NAMES[..4]);
    let (histories, (field, expected)) = (histories?, expected?);
    if histories.series.iter().any(|history| history.samples.len() > 2) {
        return field.refused("is of series with more than two samples; this hook is shown the latest two");
    }
    is_one_per_row(&field, expected.len(), histories.series.len())?;
    Some(Trial::Ask(Box::new(Question::FilterByValue(histories)), Expectation::Verdicts(expected)))
}

fn verdicts<'a>(table: &Table<'a>, names: &[(&'static str, Code)]) -> Option<(Field<'a>, Vec<Code>)> {
    let field = table.required("expect")?;
    let codes: Option<Vec<Code>> = field.list()?.iter().map(|item| item.one_of(names)).collect();
    Some((field, codes?))
}

fn is_one_per_row(field: &Field<'_>, expected: usize, rows: usize) -> Option<()> {
    if expected == rows {
        return Some(());
    }
    field.refused(&format!("has {expected} answers for {rows} rows"))
}

fn ask_window(table: &Table<'_>) -> Option<Trial> {
    let histories = histories(table);
    let tolerance = table.key("tolerance").map_or(Some(NO_TOLERANCE), |field| field.share());
    let expected = table.required("expect").and_then(|field| {
        let rows: Option<Vec<Option<Usage>>> = field.list()?.iter().map(usage).collect();
        Some((field, rows?))
    });
    let (histories, tolerance, (field, rows)) = (histories?, tolerance?, expected?);
    is_one_per_row(&field, rows.len(), histories.series.len())?;
    Some(Trial::Ask(Box::new(Question::Window(histories)), Expectation::Usages { rows, tolerance }))
}

fn histories(table: &Table<'_>) -> Option<Histories> {
    let node = table.key("node").map_or_else(|| Some("node-1".to_owned()), |field| field.text().map(str::to_owned));
    let field = table.required("series")?;
    let series = every(&field, history)?;
    if series.len() > 1 && series.iter().any(|history| history.container.is_none()) {
        return field.refused("holds the node beside others; a node is asked about alone");
    }
    Some(Histories { node: node?, series })
}

fn history(table: &Table<'_>) -> Option<History> {
    let container = table.required("subject").and_then(|field| subject(&field));
    let samples = table.required("samples").and_then(|field| {
        let samples = every(&field, sample)?;
        let rises = samples.is_sorted_by(|a, b| a.taken_at < b.taken_at);
        if rises { Some(samples) } else { field.refused("has times that do not rise from sample to sample") }
    });
    table.refuse_the_rest();
    Some(History { container: container?, samples: samples? })
}

/// `node`, or `namespace/pod/container`.
fn subject(field: &Field<'_>) -> Option<Option<ContainerName>> {
    let text = field.text()?;
    if text == "node" {
        return Some(None);
    }
    let parts: Vec<&str> = text.split('/').collect();
    let &[namespace, pod, name] = parts.as_slice() else {
        return field.refused("is neither \"node\" nor \"namespace/pod/container\"");
    };
    Some(Some(ContainerName { namespace: namespace.to_owned(), pod: pod.to_owned(), name: name.to_owned() }))
}

fn sample(table: &Table<'_>) -> Option<Sample> {
    let taken_at = table.required("at").and_then(|field| time(&field));
    let started_at = table.key("started").map_or(Some(UnixNanos::ZERO), |field| time(&field));
    let cpu = table.required("cpu").and_then(|field| field.cpu_time());
    let memory = table.required("memory").and_then(|field| field.bytes());
    table.refuse_the_rest();
    Some(Sample { taken_at: taken_at?, started_at: started_at?, cpu: cpu?, memory: memory? })
}

/// A duration from the epoch of cases on; negative: before it.
fn time(field: &Field<'_>) -> Option<UnixNanos> {
    // An i64 of nanoseconds spans 292 years, the epoch of cases is 57 years after Unix'.
    let time = EPOCH.0.checked_add_signed(field.distance()?);
    time.map(UnixNanos).or_else(|| field.refused("is a time before 1970 or after 2554"))
}

/// A usage, or "none".
fn usage(field: &Field<'_>) -> Option<Option<Usage>> {
    if field.is_text() {
        return field.one_of(&[("none", None)]);
    }
    let table = field.table()?;
    let taken_at = table.required("at").and_then(|field| time(&field));
    let window = table.required("window").and_then(|field| field.duration());
    let cpu = table.required("cpu").and_then(|field| field.cpu_rate());
    let memory = table.required("memory").and_then(|field| field.bytes());
    table.refuse_the_rest();
    Some(Some(Usage { taken_at: taken_at?, window: WindowNanos(window?), cpu: cpu?, memory: memory? }))
}
