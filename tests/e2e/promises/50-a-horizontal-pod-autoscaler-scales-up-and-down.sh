# shellcheck shell=bash
# The reason why metrics exist: a real HorizontalPodAutoscaler (60 % of a request of 100m, 1 to 4 replicas) sees a burning
# Deployment, adds pods, sees it rest, and removes them.

after() { k delete hpa busy --ignore-not-found; }

# Every pod of the Deployment that runs now burns so many millicores.
burn() {
    local pod
    for pod in $(k get pods -l app=busy --field-selector status.phase=Running -o name); do
        k exec "$pod" -- /burn set "$1" 32 || k get "$pod" --ignore-not-found # it may be on its way out
    done
}

seen=
hpa_shows() { # JQ-CONDITION: on the HorizontalPodAutoscaler; prints its line, on the way, whenever it changes
    local line
    line=$(k get hpa busy --no-headers | awk '{print $3, "replicas:", $6}')
    [[ $line == "$seen" ]] || k get hpa busy --no-headers >&3
    seen=$line
    k get hpa busy -o json | jq -e "$1"
}
exec 3>&1

k apply -f "$E2E/real-cluster.d/hpa.yaml"
k get hpa busy
within 60 "utilisation in the HPA" hpa_shows '.status.currentCPUUtilizationPercentage > 0'
burn 300
within 90 "scaling up to 4 replicas" hpa_shows '.status.currentReplicas == 4'
burn 10
within 120 "scaling down to 1 replica" hpa_shows '.status.currentReplicas == 1 and .status.desiredReplicas == 1'
events=$(k get events --field-selector involvedObject.kind=HorizontalPodAutoscaler -o json |
    jq -r '.items[] | "\(.reason): \(.message)"')
echo "$events"
contains "events of the HPA" "New size: 4; reason: cpu resource utilization" "$events"
contains "events of the HPA" "New size: 1; reason: All metrics below target" "$events"
