# shellcheck shell=bash
# promtool reads the alerts without a complaint, and each of them fires when it must and is silent when it must be.

PROMETHEUS=$("$E2E/prometheus-assets" | tail -n 1)
cd "$E2E/../../deploy/chart/files" || exit
checked=$("$PROMETHEUS/promtool" check rules --lint=all --lint-fatal rules.yaml 2>&1) || fail "promtool: $checked"
echo "$checked"
tested=$("$PROMETHEUS/promtool" test rules rules_test.yaml 2>&1) || fail "promtool: $tested"
echo "$(grep -c 'it fires"' rules_test.yaml) alerts: $tested"
