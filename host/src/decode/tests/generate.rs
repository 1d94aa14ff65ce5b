//! Kubelet answers as kubelets print them, and as they should not: for the property tests.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

/// A body of many lines, good and bad, over few names, so that they meet.
pub(super) fn body() -> impl Strategy<Value = Vec<u8>> {
    let ends = select(vec!["", "\n", "\n\n", "\r\n"]);
    (vec(line(), 0..40), ends).prop_map(|(lines, end)| {
        let mut body = lines.join(&b'\n');
        body.extend_from_slice(end.as_bytes());
        body
    })
}

/// A body, damaged in some places.
pub(super) fn damaged(body: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let damage = (any::<prop::sample::Index>(), 0..5u8, any::<u8>());
    vec(damage, 1..12).prop_map(move |damages| {
        let mut body = body.to_vec();
        for (index, kind, byte) in damages {
            if body.is_empty() {
                break;
            }
            let at = index.index(body.len());
            match kind {
                0 => body[at] ^= 1 << (byte % 8),
                1 => body[at] = byte,
                2 => body.insert(at, byte),
                3 => drop(body.remove(at)),
                _ => body.truncate(at),
            }
        }
        body
    })
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    let text = prop_oneof![
        12 => container_line(),
        4 => node_line(),
        1 => select(vec![
            "# HELP node_cpu_usage_seconds_total [ALPHA] of the node",
            "# TYPE x nonsense",
            "#",
            "",
            " \t ",
            "\r",
            "scrape_error 0",
            "scrape_error NaN",
            "scrape_error +inf",
            "scrape_error zero",
            "scrape_error",
            "{} 1",
            "{\"quoted.name\",a=\"b\"} 1",
            "pod_cpu_usage_seconds_total{namespace=\"a\",pod=\"p\"} 1.5 1795212476927",
            "pod_cpu_usage_seconds_total{namespace=\"a\",pod=\"p\"}",
            "container_cpu_usage_seconds_totals{namespace=\"a\",pod=\"p\",container=\"c\"} 1",
            "1container 5",
            "<html><body>404 page not found</body></html>",
            "{\"kind\":\"Status\",\"code\":401}",
        ])
        .prop_map(str::to_owned),
        1 => "[ -~\t]{0,40}",
        1 => ".{0,20}",
    ];
    (text, prop::option::weighted(0.03, (any::<prop::sample::Index>(), 0x80..=0xffu8))).prop_map(|(text, foreign)| {
        let mut line = text.into_bytes();
        if let Some((index, byte)) = foreign {
            line.insert(index.index(line.len() + 1), byte);
        }
        line
    })
}

fn node_line() -> impl Strategy<Value = String> {
    let family = select(vec!["node_cpu_usage_seconds_total", "node_memory_working_set_bytes"]);
    let labels = select(vec!["", "", "", "{}", " { }", "{a=\"b\"}", "{,}", "{a=}"]);
    (family, labels, gap(), tail()).prop_map(|(family, labels, gap, tail)| format!("{family}{labels}{gap}{tail}"))
}

fn container_line() -> impl Strategy<Value = String> {
    let family = select(vec![
        "container_cpu_usage_seconds_total",
        "container_cpu_usage_seconds_total",
        "container_memory_working_set_bytes",
        "container_memory_working_set_bytes",
        "container_start_time_seconds",
    ]);
    (blank(), family, blank(), labels(), blank(), tail()).prop_map(|(a, family, b, labels, c, tail)| {
        let c = if c.is_empty() { " " } else { c };
        format!("{a}{family}{b}{labels}{c}{tail}")
    })
}

fn labels() -> impl Strategy<Value = String> {
    let name = || {
        prop_oneof![
            8 => select(vec!["a", "b"]),
            1 => select(vec!["", "é", "with space", "}{", "a\\\"b", "a\\\\", "a\\nb", "a\\xb", "pod=\\\"a\\\""]),
        ]
    };
    let mandatory = (name(), name(), name()).prop_map(|(namespace, pod, container)| {
        vec![format!("namespace=\"{namespace}\""), format!("pod=\"{pod}\""), format!("container=\"{container}\"")]
    });
    let others = vec!["init_container=\"x\"", "le=\"0.5\"", "pod = \"b\"", "_9=\"\"", "\tx =\t\"y\" "];
    let others = prop_oneof![6 => Just(Vec::new()), 2 => subsequence(others, 0..3)];
    let spoiler =
        select(vec!["9x=\"y\"", "x=y", "x=\"y", "\"x\"=\"y\"", "=\"y\"", "x", "x-y=\"\"", "x=\"\\\"", "é=\"\""]);
    let spoiler = prop::option::weighted(0.05, spoiler);
    let joints = (select(vec![",", ",", ",", ", ", " ,", ",,"]), select(vec!["}", "}", "}", ",}", " }", ", }", ""]));
    (mandatory, others, spoiler, prop::option::weighted(0.05, 0..3usize), joints)
        .prop_flat_map(|(mut labels, others, spoiler, missing, joints)| {
            if let Some(missing) = missing {
                labels.remove(missing);
            }
            labels.extend(others.into_iter().map(str::to_owned));
            labels.extend(spoiler.map(str::to_owned));
            (prop_oneof![Just(labels.clone()), Just(labels).prop_shuffle()], Just(joints))
        })
        .prop_map(|(labels, (comma, end))| format!("{{{}{end}", labels.join(comma)))
}

/// Value and time, and perhaps more than that.
fn tail() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        8 => (1..100_000u32).prop_map(|thousandths| format!("{}", f64::from(thousandths) / 1e3)),
        2 => (1.0..1e12f64).prop_map(|value| format!("{value:e}")),
        2 => any::<f64>().prop_map(|value| format!("{value:?}")),
        2 => select(vec![
            "0", "-0", "-1", "NaN", "nan", "+Inf", "-Inf", "inf", "infinity", "1e999", "1e-999", "1e300", ".5", "5.", "+7",
            "3.43e+07", "1E3", "1.8446744073709552e+10", "18446744073709551615", "18446744073709551616",
        ])
        .prop_map(str::to_owned),
        1 => select(vec!["", "x", "0x10", "0x1p-2", "1_000", "1e", "1,5", "１", "--1", "1 e5"]).prop_map(str::to_owned),
    ];
    let time = prop_oneof![
        8 => (1_795_212_470_000..1_795_212_480_000u64).prop_map(|millis| format!(" {millis}")),
        4 => Just(String::new()),
        1 => select(vec![
            " 0", " 1", " -5", " +5", " 1.5", " 1e3", " 18446744073709", " 18446744073710", " 99999999999999999999999",
            " x", " 5x", "\t1795212470000", "  1795212470000", " 00001795212470000", " ５",
        ])
        .prop_map(str::to_owned),
    ];
    let end = prop_oneof![12 => Just(""), 1 => select(vec![" ", "\t ", "\r", " 7", " # {} 1", " {}", "\0"])];
    (value, time, end).prop_map(|(value, time, end)| format!("{value}{time}{end}"))
}

fn blank() -> impl Strategy<Value = &'static str> {
    prop_oneof![10 => Just(""), 1 => select(vec![" ", "  ", "\t", " \t"])]
}

fn gap() -> impl Strategy<Value = &'static str> {
    prop_oneof![10 => Just(" "), 1 => select(vec!["  ", "\t", ""])]
}
