# shellcheck shell=bash
# The last promise about the gateway as a process, as it ends it: those that follow run it as a pod. On SIGTERM /readyz fails while requests are still served (for the 3 s of
# --shutdown-delay-duration that it was started with); then the process ends with 0.

# shellcheck disable=SC2034 # read by `within`
MAY_END=1

not_ready() { # the answer that says so, in full
    local answer
    answer=$(call "$PORT" /readyz -w '\n%{http_code}')
    echo "$answer"
    [[ ${answer##*$'\n'} == 500 && $answer == *'[-]shutdown failed'* ]]
}

within 45 "usage of every node and pod" serves_everything
equal readyz ok "$(call "$PORT" /readyz)"
began=$(date +%s%N)
kill -TERM "$(cat "$RC_DIR/gateway.pid")"
within 2 "failing /readyz" not_ready
cat "$RC_DIR/attempt"
equal "nodes served while it shuts down" "node1 node2" "$(served_names "$PORT" nodes)"
within 15 "end of the gateway" test -s "$RC_DIR/gateway.exit"
echo "ended $((($(date +%s%N) - began) / 1000000)) ms after SIGTERM"
equal "exit code" 0 "$(cat "$RC_DIR/gateway.exit")"
