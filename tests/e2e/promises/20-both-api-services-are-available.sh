# shellcheck shell=bash
# The API server vouches for us in both versions, over a connection whose certificate it has verified.

for version in v1beta1 v1; do
    k wait --for condition=Available --timeout 60s "apiservice/$version.metrics.k8s.io"
    # Available comes before the aggregator routes the group: only an answer is proof.
    within 30 "route to $version" metrics_api "$version"
    service=$(k get apiservice "$version.metrics.k8s.io" -o json)
    equal "insecureSkipTLSVerify of $version" null "$(jq -r .spec.insecureSkipTLSVerify <<<"$service")"
    equal "caBundle of $version" "$(base64 -w 0 "$RC_CA")" "$(jq -r .spec.caBundle <<<"$service")"
done
k get apiservice v1beta1.metrics.k8s.io v1.metrics.k8s.io
