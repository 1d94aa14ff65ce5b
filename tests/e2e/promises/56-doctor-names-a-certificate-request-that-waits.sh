# shellcheck shell=bash
# A kubelet's request for a serving certificate is not approved by anybody, unless somebody does: doctor prints the command.

# shellcheck source=tests/e2e/doctor.sh
. "$E2E/doctor.sh"
after() { k delete csr e2e-serving >/dev/null; }

waits() {
    doctor -o json >"$RC_DIR/doctor.json" || true # a warning is no failure
    jq -e 'any(.checks[]; .cause == "node-csr-pending")' "$RC_DIR/doctor.json"
}
is_issued() { [[ $(k get csr e2e-serving -o 'jsonpath={.status.certificate}') ]]; }

healthy
openssl req -new -newkey rsa:2048 -nodes -subj /O=system:nodes/CN=system:node:node2 -addext subjectAltName=DNS:node2 \
    -keyout "$RC_DIR/csr.key" -out "$RC_DIR/csr.pem" 2>/dev/null
inside "$KUBEBUILDER_ASSETS/kubectl" --kubeconfig "$RC_DIR/node2.kubeconfig" create -f - <<END
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: e2e-serving}
spec:
  signerName: kubernetes.io/kubelet-serving
  request: $(base64 -w 0 "$RC_DIR/csr.pem")
  usages: [digital signature, key encipherment, server auth]
END
within 10 "request that waits" waits
run_remedy node-csr-pending
within 10 "certificate" is_issued
waits && fail "the request is still said to wait"
green_again
