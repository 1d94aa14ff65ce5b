# shellcheck shell=bash
# Where metrics-server runs from its own release manifest, `kubectl apply -k deploy` is all it takes: every object is
# taken over as it is, none is deleted or made anew but pods, no request fails meanwhile, and kubectl top and the
# HorizontalPodAutoscaler go on.

# shellcheck source=tests/e2e/pods.sh
. "$E2E/pods.sh"

after() {
    end_polls
    k delete hpa busy --ignore-not-found
}

hpa_is_active() {
    k get hpa busy -o json | tee "$RC_DIR/hpa.json" | jq -e '
        .status.currentCPUUtilizationPercentage > 0 and (.metadata.annotations["autoscaling.alpha.kubernetes.io/conditions"]
            | fromjson | any(.type == "ScalingActive" and .status == "True"))' || { cat "$RC_DIR/hpa.json"; return 1; }
}

only_ours() {
    local pods
    pods=$(k get pods -n kube-system -l k8s-app=metrics-server -o 'jsonpath={.items[*].spec.containers[0].image}')
    echo "images: $pods"
    [[ $pods == "$POD_IMAGE:1" ]]
}

pod_images
make_room
k delete apiservice v1.metrics.k8s.io v1beta1.metrics.k8s.io --ignore-not-found
k delete -k "$E2E/../../deploy" --ignore-not-found >"$RC_DIR/log/delete.log"
# What promises before this one let Prometheus read.
k delete -f "$E2E/../../deploy/monitoring.yaml" --ignore-not-found >>"$RC_DIR/log/delete.log"
sed 's|@IMAGE@|e2e.local/metrics-server:v0.9.0|' "$E2E/real-cluster.d/metrics-server.yaml" >"$RC_DIR/stock.yaml"
as_pod e2e.local/metrics-server:v0.9.0 </dev/null >"$RC_DIR/pod.yaml"
k apply -k "$(overlay "$RC_DIR/stock.yaml" "$RC_DIR/pod.yaml")"
rolled_out
answers_in_v1beta1() { metrics_api v1beta1/nodes | jq -e '.items | length == 2'; }
within 60 "answer from metrics-server" answers_in_v1beta1
k apply -f "$E2E/real-cluster.d/hpa.yaml"
within 60 "utilisation in the HPA" hpa_is_active
before=$(gateway_objects)
equal "objects of metrics-server" 9 "$(grep -c . <<<"$before")"

poll nodes 20 /apis/metrics.k8s.io/v1beta1/nodes
poll pods 20 /apis/metrics.k8s.io/v1beta1/namespaces/default/pods
as_pod "$POD_IMAGE:1" </dev/null >"$RC_DIR/pod.yaml"
began=$SECONDS
k apply -k "$(overlay "$E2E/../../deploy" "$RC_DIR/pod.yaml")"
rolled_out
echo "replaced after $((SECONDS - began)) s"
within 30 "end of metrics-server's pod" only_ours
for version in v1beta1 v1; do
    k wait --for condition=Available --timeout 60s "apiservice/$version.metrics.k8s.io"
done
within 60 "usage of every node and pod through the API server" api_serves_everything
end_polls
none_failed nodes
none_failed pods
all_say nodes '[.items[].metadata.name] | sort | join(" ")' "node1 node2"

after_it=$(gateway_objects)
equal "objects that were deleted or made anew" "" "$(comm -23 <(echo "$before") <(echo "$after_it"))"
echo "taken over: $(cut -d' ' -f1 <<<"$before" | xargs)"
k get pods -n kube-system -l k8s-app=metrics-server -o wide
k top nodes
k top pods -A --containers
within 20 "utilisation in the HPA, from the new gateway" hpa_is_active
k get hpa busy
equal "failures of the HPA to get metrics" 0 "$(k get events --field-selector involvedObject.kind=HorizontalPodAutoscaler -o json |
    jq --arg began "$(date -u -d "-$((SECONDS - began)) seconds" +%FT%TZ)" \
        '[.items[] | select(.lastTimestamp > $began and (.reason | startswith("Failed")))] | length')"
