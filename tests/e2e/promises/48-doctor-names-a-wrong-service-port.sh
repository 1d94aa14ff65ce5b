# shellcheck shell=bash
# An APIService that points at a port which its Service does not have.

# shellcheck source=tests/e2e/doctor.sh
. "$E2E/doctor.sh"
after() { k patch apiservice v1beta1.metrics.k8s.io --type merge -p '{"spec": {"service": {"port": 443}}}' >/dev/null; }

healthy
k patch apiservice v1beta1.metrics.k8s.io --type merge -p '{"spec": {"service": {"port": 444}}}'
diagnosed service-port-wrong "is not listening on port 444"
run_remedy service-port-wrong
green_again
