# shellcheck shell=bash
# A caBundle that does not vouch for the gateway's certificate: the command that is printed holds the CA which does.

# shellcheck source=tests/e2e/doctor.sh
. "$E2E/doctor.sh"
bundle() { k patch apiservice v1beta1.metrics.k8s.io --type merge -p "{\"spec\": {\"caBundle\": \"$(base64 -w 0 "$1")\"}}"; }
after() { bundle "$RC_CA" >/dev/null; }

healthy
bundle "$RC_FRONT_PROXY_CA"
diagnosed ca-bundle-mismatch "does not vouch for the certificate seen at $RC_HOST_IP:$PORT"
run_remedy ca-bundle-mismatch
green_again
