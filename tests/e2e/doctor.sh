# shellcheck shell=bash
# What the promises about doctor are written with: sourced by them, after lib.sh.
#
# Each breaks one thing on purpose, and demands three of doctor: the cause's fixed word in JSON, the words by which people
# search for it in text, and a remedy that, once applied, makes everything green again. Where the remedy is a command, it is
# run as it was printed.

# The flags of the gateway under test, as doctor is told of them.
GATEWAY_FLAGS=(--kubeconfig "$RC_DIR/metrics-server.kubeconfig" --kubelet-certificate-authority "$RC_CA"
    --kubelet-preferred-address-types InternalIP --metric-resolution 10s --kubelet-request-timeout 5s
    --config "$RC_DIR/gateway.toml")

# doctor [OPTION..]
doctor() { inside "$GATEWAY" doctor --kubeconfig "$KUBECONFIG" --timeout 4s "$@" -- "${GATEWAY_FLAGS[@]}"; }

# diagnose: what it says is in doctor.json; fails where nothing failed
diagnose() {
    local code=0
    doctor -o json >"$RC_DIR/doctor.json" || code=$?
    jq -r '.checks[] | select(.verdict == "failed") | "\(.id) \(.subject): \(.cause): \(.message)"' "$RC_DIR/doctor.json"
    [[ $code == 1 ]]
}

# is_green: nothing fails
is_green() {
    local code=0
    doctor -o json >"$RC_DIR/doctor.json" || code=$?
    jq -r '.checks[] | select(.verdict == "failed" or .verdict == "warning")
        | "\(.verdict) \(.id) \(.subject): \(.cause): \(.message)"' "$RC_DIR/doctor.json"
    [[ $code == 0 ]]
}

# healthy: a gateway runs, and everything is green; another promise may have ended the one or disturbed the other
healthy() {
    is_running gateway || start_gateway gateway "$PORT" metrics-server "$RC_CA" --config "$RC_DIR/gateway.toml"
    within 60 "green doctor" is_green
}

# names CAUSE: it is among the causes
names() {
    diagnose || return
    jq -e --arg cause "$1" 'any(.checks[]; .cause == $cause)' "$RC_DIR/doctor.json" >/dev/null
}

# diagnosed CAUSE WORDS: doctor names the cause, and says the words
diagnosed() {
    local text
    within 20 "cause '$1'" names "$1"
    jq -r --arg cause "$1" '.checks[] | select(.cause == $cause) | "\(.id) \(.subject): \(.message)\n  \(.remedy)"' "$RC_DIR/doctor.json"
    text=$(doctor) && fail "it ended with 0, in spite of '$1'"
    contains "what it printed" "[$1]" "$text"
    contains "what it printed" "$2" "$text"
}

# remedy CAUSE: in words
remedy() { jq -r --arg cause "$1" 'first(.checks[] | select(.cause == $cause)).remedy' "$RC_DIR/doctor.json"; }

# run_remedy CAUSE: runs its commands, word for word; the kubectl of whoever pastes them is the cluster's
run_remedy() {
    local commands
    commands=$(jq -r --arg cause "$1" '.checks[] | select(.cause == $cause) | .commands[]' "$RC_DIR/doctor.json")
    [[ $commands ]] || fail "no command mends '$1'"
    echo "+ $commands"
    # shellcheck disable=SC2317 # called by the commands
    kubectl() { k "$@"; }
    eval "$commands"
    unset -f kubectl
}

# green_again: what was broken is mended
green_again() { within 45 "green doctor after the remedy" is_green; }

node_ip() { k get node "$1" -o 'jsonpath={.status.addresses[?(@.type=="InternalIP")].address}'; }
