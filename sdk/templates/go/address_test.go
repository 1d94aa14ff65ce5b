package plugin

import (
	"testing"

	"wit_component/metrics_gateway_policy_address"
	"wit_component/metrics_gateway_policy_types"
)

func TestInternalDNSNamesAreDialled(t *testing.T) {
	node := metrics_gateway_policy_address.Node{Name: "node-1", Addresses: []metrics_gateway_policy_types.NodeAddress{
		{Kind: "InternalIP", Address: "10.0.0.7"},
		{Kind: "InternalDNS", Address: "node-1.example"},
	}}
	choice := Candidates(node)
	if dialled := choice.Dial(); len(dialled) != 1 || dialled[0].Host != "node-1.example" {
		t.Errorf("got %v", dialled)
	}
}
