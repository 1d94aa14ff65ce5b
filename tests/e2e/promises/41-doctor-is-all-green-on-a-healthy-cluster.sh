# shellcheck shell=bash
# Every link of the chain is looked at, and none is found wanting.

# shellcheck source=tests/e2e/doctor.sh
. "$E2E/doctor.sh"

all_ok() {
    is_green && jq -e '.summary.failed == 0 and .summary.warning == 0' "$RC_DIR/doctor.json"
}

healthy
within 45 "verdict without a warning" all_ok
doctor
looked_at=$(jq -r '[.checks[] | select(.verdict == "ok").id] | unique | join(" ")' "$RC_DIR/doctor.json")
for id in api-server authentication-config service-routing api-service ca-bundle service gateway-flags permissions \
    kubelet-certificates node node-metrics pod-metrics; do
    contains "checks that are ok" " $id " " $looked_at "
done
equal "nodes looked at" "node1 node2" "$(jq -r '[.checks[] | select(.id == "node").subject] | join(" ")' "$RC_DIR/doctor.json")"
