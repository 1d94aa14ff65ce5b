# shellcheck shell=bash
# Without its RoleBinding in kube-system the gateway cannot learn whom to believe.

# shellcheck source=tests/e2e/doctor.sh
. "$E2E/doctor.sh"
after() { k apply -f "$E2E/../../deploy/rbac.yaml" >/dev/null; }

healthy
k delete rolebinding -n kube-system metrics-server-auth-reader
diagnosed rbac-auth-reader "may not get configmaps, list configmaps, watch configmaps"
run_remedy rbac-auth-reader
green_again
