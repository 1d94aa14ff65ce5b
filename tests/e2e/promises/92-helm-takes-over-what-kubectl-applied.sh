# shellcheck shell=bash
# `helm upgrade --install` of deploy/chart, told to use the names of metrics-server's release manifest, takes over what
# `kubectl apply` has installed: in place, with nothing deleted, and no request fails meanwhile.

# shellcheck source=tests/e2e/pods.sh
. "$E2E/pods.sh"

after() { end_polls; }

export HELM_CACHE_HOME=$RC_DIR/helm HELM_CONFIG_HOME=$RC_DIR/helm HELM_DATA_HOME=$RC_DIR/helm
HELM=$("$E2E/../helm-assets" | tail -n 1)/helm
in_place
before=$(gateway_objects)
poll nodes 20 /apis/metrics.k8s.io/v1beta1/nodes
poll pods 20 /apis/metrics.k8s.io/v1/namespaces/default/pods
cat >"$RC_DIR/values.yaml" <<END
objectNames: components
image: {repository: $POD_IMAGE, tag: "2"}
env:
  - {name: KUBERNETES_SERVICE_HOST, value: '$RC_HOST_IP'}
  - {name: KUBERNETES_SERVICE_PORT, value: '6443'}
END
inside "$HELM" upgrade --install metrics-server "$E2E/../../deploy/chart" --namespace kube-system \
    --values "$RC_DIR/values.yaml" --take-ownership --wait --timeout 180s
rolled_out
within 60 "usage of every node and pod through the API server" api_serves_everything
end_polls
none_failed nodes
none_failed pods
all_say nodes '[.items[].metadata.name] | sort | join(" ")' "node1 node2"
equal "objects that were deleted or made anew" "" "$(comm -23 <(echo "$before") <(gateway_objects))"
equal "image" "$POD_IMAGE:2" "$(gateway_pods | jq -r '.[].spec.containers[0].image')"
for version in v1beta1 v1; do
    k wait --for condition=Available --timeout 60s "apiservice/$version.metrics.k8s.io"
done
k top nodes
# What it knows of the release goes; the objects stay for whoever installs them next.
k delete secret -n kube-system -l owner=helm,name=metrics-server
