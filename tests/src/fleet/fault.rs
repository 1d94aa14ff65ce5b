//! What can be wrong with a kubelet.

use std::time::Duration;

/// One way to misbehave. Unless a fault says otherwise, credentials are checked first, as in health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Every request is answered with this status, whatever its credentials.
    Status(u16),
    /// Every request is answered with this status and these words, whatever its credentials.
    Says(u16, String),
    /// 404 for `/metrics/resource`, as kubelets before 1.14 answer; `/stats/summary` works.
    NotFoundOnlyResource,
    /// The answer comes, but only after this time.
    Slow(Duration),
    /// The request is taken, the answer never comes.
    Hang,
    /// Half of the promised body, then the connection ends without a word.
    CutOff,
    /// A body that repeats itself for as long as the client reads.
    Endless,
    /// Bytes that are no text of any kind.
    Garbage,
    /// A certificate of the cluster's CA for another host.
    WrongName,
    /// The right certificate, but its time was up in 2001.
    Expired,
    /// A certificate of a CA that the cluster does not know.
    ForeignCa,
    /// Nobody listens.
    Refused,
    /// 302 to this location.
    Redirect(String),
    /// These bytes instead of `/metrics/resource`.
    Body(Vec<u8>),
    /// The right answer with broken lines among its good ones: [`BROKEN_LINES`] after each family's head.
    BadLines,
    /// A gzip body, whether or not it was asked for, that unpacks to this many bytes of blank lines.
    GzipBomb(u64),
}

/// Lines that no reader of the format can take for samples.
pub const BROKEN_LINES: [&[u8]; 5] = [
    b"container_cpu_usage_seconds_total{container=\"broken",
    b"container_cpu_usage_seconds_total{container=\"broken\",namespace=\"default\",pod=\"broken\"} twelve 1795212472677",
    b"container_memory_working_set_bytes{container=\"broken\" namespace} 1",
    b"container_memory_working_set_bytes{container=\"br\xff\xfeken\",namespace=\"default\",pod=\"broken\"} 1 -5 x",
    b"}{ 1",
];

impl Fault {
    /// Whether connections made in its absence would not show it, or those made in its presence would keep it.
    pub(super) fn is_of_connections(&self) -> bool {
        match self {
            Self::WrongName | Self::Expired | Self::ForeignCa | Self::Refused | Self::Hang | Self::Endless => true,
            Self::Slow(_)
            | Self::Status(_)
            | Self::Says(..)
            | Self::NotFoundOnlyResource
            | Self::CutOff
            | Self::Garbage => false,
            Self::Redirect(_) | Self::Body(_) | Self::BadLines | Self::GzipBomb(_) => false,
        }
    }
}

/// Puts the broken lines behind every `# TYPE` line.
pub(super) fn with_broken_lines(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * text.len());
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        out.extend_from_slice(line);
        if line.starts_with(b"# TYPE") {
            BROKEN_LINES.iter().for_each(|broken| out.extend_from_slice(&[*broken, b"\n"].concat()));
        }
    }
    out
}

/// 64 KiB that look random and are the same every time.
pub(super) fn garbage() -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..8192).flat_map(|_| word()).collect()
}
