# shellcheck shell=bash
# Without auth-delegator the gateway cannot ask who a caller is and what they may do.

# shellcheck source=tests/e2e/doctor.sh
. "$E2E/doctor.sh"
after() { k apply -f "$E2E/../../deploy/rbac.yaml" >/dev/null; }

healthy
k delete clusterrolebinding metrics-server:system:auth-delegator
diagnosed rbac-auth-delegator "may not create tokenreviews, create subjectaccessreviews"
run_remedy rbac-auth-delegator
green_again
