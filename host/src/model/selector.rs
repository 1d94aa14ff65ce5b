//! Label and field selectors: the text grammar of the Kubernetes API, to what it selects. Pure and total.
//!
//! Rules and error texts: `k8s.io/apimachinery` v0.36, `pkg/labels/selector.go` and `pkg/fields/selector.go`; the
//! vectors in `tests/fixtures/selectors.json` were taken from a real server.

/// Requirements on labels; all must hold. The default selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector(Vec<Requirement>);

/// One requirement on labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {}

/// Requirements on `metadata.name` and `metadata.namespace`; all must hold. The default selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {}
