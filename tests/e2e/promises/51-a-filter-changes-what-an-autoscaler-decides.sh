# shellcheck shell=bash
# A sidecar that burns makes a real HorizontalPodAutoscaler add pods of an application that rests. With the filter
# skip-sidecars, applied while the gateway runs, the autoscaler sees the application alone, and removes them.

after() {
    policies </dev/null
    k delete hpa meshed --ignore-not-found
    k delete deployment meshed --ignore-not-found --wait=false
}

replicas_are() { # JQ-CONDITION
    k get hpa meshed --no-headers
    k get hpa meshed -o json | jq -e "$1"
}
served_containers() { # SORTED-NAMES: of every pod of the application
    local seen
    seen=$(as_api_server "$PORT" "/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?labelSelector=app%3Dmeshed" |
        jq -r '[.items[].containers[].name] | unique | join(" ")') || return
    echo "served: $seen"
    [[ $seen == "$1" ]]
}

k apply -f "$E2E/real-cluster.d/meshed.yaml"
within 90 "scaling up to 3 replicas because of the sidecar" replicas_are '.status.currentReplicas == 3'
within 30 "usage of application and sidecar" served_containers "app istio-proxy"
apply_policies <<END
[plugins.skip-sidecars]
source = "$PLUGINS/skip-sidecars.wasm"

[[tenant]]
name = "meshed"
namespaces = ["default"]
filter = [{ plugin = "skip-sidecars", settings = { containers = ["istio-proxy"] } }]
END
within 5 "usage of the application alone" served_containers app
within 120 "scaling down to 1 replica" replicas_are '.status.currentReplicas == 1 and .status.desiredReplicas == 1'
k get hpa meshed
equal "containers of the pod itself" "app istio-proxy" \
    "$(k get pods -l app=meshed --field-selector status.phase=Running -o json |
        jq -r '[.items[].spec.containers[].name] | unique | join(" ")')"
