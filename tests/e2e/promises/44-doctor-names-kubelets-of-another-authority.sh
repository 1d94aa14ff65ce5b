# shellcheck shell=bash
# "certificate signed by unknown authority": the remedy is the flag that names the right one.

# shellcheck source=tests/e2e/doctor.sh
. "$E2E/doctor.sh"

healthy
GATEWAY_FLAGS+=(--kubelet-certificate-authority "$RC_FRONT_PROXY_CA")
diagnosed node-certificate-authority "signed by unknown authority: its issuer is \"kubernetes\""
flag=$(remedy node-certificate-authority | grep -o -- '--kubelet-certificate-authority=FILE')
GATEWAY_FLAGS+=("${flag/FILE/$RC_CA}")
green_again
