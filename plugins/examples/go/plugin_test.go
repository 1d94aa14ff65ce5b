package plugin

import (
	"testing"

	"wit_component/metrics_gateway_policy_filter"
)

func TestProxiesAreDropped(t *testing.T) {
	if result := Configure(`{"containers": ["linkerd-*"]}`); result.IsErr() {
		t.Fatal(result.Err())
	}
	pods := []metrics_gateway_policy_filter.Pod{{Namespace: "shop", Name: "cart", Containers: []string{"app", "linkerd-proxy"}}}
	if verdicts := Classify(pods); len(verdicts) != 2 || verdicts[0] != keep || verdicts[1] != drop {
		t.Errorf("got %v", verdicts)
	}
}

func TestAnUnknownSettingIsRefused(t *testing.T) {
	if result := Configure(`{"container": ["istio-proxy"]}`); result.IsOk() {
		t.Error("it was taken")
	}
}
