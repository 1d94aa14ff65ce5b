# shellcheck shell=bash
# What only a cluster can show, since `helm template` looks into none: helm's own serving pair survives upgrades and is
# replaced in the last third of its life, with both CAs believed; a pair of metrics-server's chart is taken over; the CA
# of an existing Secret reaches caBundle, and a Secret that is missing is an error that names it.

export HELM_CACHE_HOME=$RC_DIR/helm HELM_CONFIG_HOME=$RC_DIR/helm HELM_DATA_HOME=$RC_DIR/helm
HELM=$("$E2E/../helm-assets" | tail -n 1)/helm
NAME=paired
# Beside the gateway under test: without the objects of which a cluster has but one, and without pods.
ARGUMENTS=("$E2E/../../deploy/chart" --namespace default --set "fullnameOverride=$NAME,replicas=0,rbac.operatorRoles=false")
after() {
    helm uninstall $NAME --namespace default
    k delete secret serving upstream --ignore-not-found
}
helm() { inside "$HELM" "$@"; }

upgrade() { helm upgrade --install $NAME "${ARGUMENTS[@]}" --set tls.type=helm,apiService.create=false >/dev/null; }
secret() { k get secret "$1" -o json | jq -r --arg key "$2" '.data[$key]'; }
# bundle [ARGUMENT..]: caBundle of both APIServices, as an upgrade would set it now
bundle() {
    helm template $NAME "${ARGUMENTS[@]}" --dry-run=server --show-only templates/apiservice.yaml "$@" |
        sed -n 's/^  caBundle: //p' | sort -u
}
certificates() { base64 -d | grep -c BEGIN; }

upgrade
first=$(secret $NAME tls.crt)
secret $NAME ca.crt | base64 -d >"$RC_DIR/paired-ca.crt"
openssl verify -CAfile "$RC_DIR/paired-ca.crt" -verify_hostname $NAME.default.svc <(base64 -d <<<"$first")
upgrade
equal "serving certificate after an upgrade" "$first" "$(secret $NAME tls.crt)"
equal "caBundle" "$(secret $NAME ca.crt)" "$(bundle --set tls.type=helm)"

echo "-- near its end"
old=$(secret $NAME ca.crt)
k annotate --overwrite secret $NAME "metrics-gateway/expires=$(($(seconds_now) + 100 * 86400))"
both=$(bundle --set tls.type=helm)
equal "CAs that are believed while the pair is replaced" 2 "$(certificates <<<"$both")"
contains "caBundle while the pair is replaced" "$(base64 -d <<<"$old")" "$(base64 -d <<<"$both")"
upgrade
[[ $(secret $NAME tls.crt) != "$first" ]] || fail "a pair in the last third of its life was kept"
equal "CAs after the next upgrade" 1 "$(bundle --set tls.type=helm | certificates)"

echo "-- a pair of metrics-server's chart"
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=upstream -addext subjectAltName=DNS:upstream.default.svc \
    -keyout "$RC_DIR/upstream.key" -out "$RC_DIR/upstream.crt" 2>/dev/null
k create secret generic upstream --from-file "tls.crt=$RC_DIR/upstream.crt" --from-file "tls.key=$RC_DIR/upstream.key"
equal "caBundle" "$(base64 -w 0 "$RC_DIR/upstream.crt")" "$(bundle --set tls.type=helm,fullnameOverride=upstream)"

echo "-- existingSecret"
refused=$(bundle --set tls.type=existingSecret,tls.existingSecret.name=serving 2>&1) && fail "no Secret, and no error: $refused"
contains "what is said of a missing Secret" 'there is no Secret "serving" in the namespace "default"' "$refused"
k create secret generic serving --from-file "tls.crt=$RC_DIR/serving.crt" --from-file "tls.key=$RC_DIR/serving.key" \
    --from-file "ca.crt=$RC_CA"
equal "caBundle" "$(base64 -w 0 "$RC_CA")" "$(bundle --set tls.type=existingSecret,tls.existingSecret.name=serving)"
