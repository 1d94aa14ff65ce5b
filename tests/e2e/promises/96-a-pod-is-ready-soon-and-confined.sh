# shellcheck shell=bash
# How large the image is, how soon a pod of it listens and is ready, and what it takes when idle; and that it runs as
# nobody in particular, in a root that it cannot write to.

# shellcheck source=tests/e2e/pods.sh
. "$E2E/pods.sh"

is_new() { # NAME: another pod than this one has an address
    local pods
    pods=$(gateway_pods)
    [[ $pods != "[]" ]] && jq -e --arg name "$1" '.[0].metadata.name != $name and .[0].status.podIP != null' <<<"$pods"
}
readyz() { [[ $(ask_pod /readyz) == ok ]]; }
is_ready() { gateway_pods | jq -e '.[0].status.conditions | any(.type == "Ready" and .status == "True")'; }
figure() { awk -v name="$1" '$1 == name {print $2}' <<<"$FIGURES"; }

in_place
cat "$RC_DIR/pod-images"
old=$(gateway_pods | jq -r '.[0].metadata.name')
k delete pod -n kube-system "$old" --wait=false
within 30 "another pod" is_new "$old"
within 60 "readiness of the program" readyz
ready_at=$(date +%s.%N)
within 60 "readiness of the pod" is_ready
pod=$(gateway_pods | jq '.[0]')
name=$(jq -r .metadata.name <<<"$pod")
FIGURES=$(ask_pod /metrics --fail --cert "$RC_FRONT_PROXY_CERT" --key "$RC_FRONT_PROXY_KEY" \
    -H 'X-Remote-User: e2e' -H 'X-Remote-Group: system:masters')
began=$(figure process_start_time_seconds)
listening=$(date -d "$(k logs -n kube-system "$name" --timestamps | grep -m 1 serving | cut -d' ' -f1)" +%s.%N)
jq -rn --argjson pod "$pod" --argjson began "$began" --argjson listening "$listening" --argjson ready "$ready_at" \
    --argjson memory "$(figure process_resident_memory_bytes)" '
    def ms: . * 1000 | round | "\(.) ms";
    ($pod.status.containerStatuses[0].state.running.startedAt | fromdate) as $started
    | ($pod.status.conditions[] | select(.type == "Ready") | .lastTransitionTime | fromdate) as $ready_condition
    | "from the start of the process: listening after \($listening - $began | ms), ready after \($ready - $began | ms)",
      "from the start of the container: Ready after \($ready_condition - $started) s, of which the probe waits \($pod.spec.containers[0].readinessProbe.initialDelaySeconds) s",
      "memory, idle: \($memory / 1048576 | round) MiB"'
((${listening%.*} - ${began%.*} <= 2)) || fail "it listened only ${listening} - ${began} s after its start"
process=$(pod_process)
equal "user and group of the process" "1000 0" "$(awk '/^Uid:/ {u = $3} /^Gid:/ {g = $3} END {print u, g}' "/proc/$process/status")"
equal "capabilities of the process" 0000000000000000 "$(awk '/^CapEff:/ {print $2}' "/proc/$process/status")"
equal "root of the process" ro "$(awk '$5 == "/" {split($6, options, ","); print options[1]}' "/proc/$process/mountinfo")"
answer=$(k exec -n kube-system "$name" -- /metrics-gateway --version)
echo "exec: $answer"
shell=$(k exec -n kube-system "$name" -- /bin/sh -c true 2>&1) && fail "there is a shell in the image"
contains "exec of a shell" "no such file" "$shell"
