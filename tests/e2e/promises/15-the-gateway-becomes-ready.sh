# shellcheck shell=bash
# Usage needs two samples of a node: with a resolution of 10 s, readiness is due after two ticks and a little. The paths
# of probes are open to everyone.

answers_ok() { # PATH
    local answer
    answer=$(call "$PORT" "$1")
    echo "$1: $answer"
    [[ $answer == ok ]]
}

within 45 "readiness" answers_ok /readyz
within 1 "liveness" answers_ok /livez
within 1 "health" answers_ok /healthz
call "$PORT" '/readyz?verbose'
