// Package plugin says where a node's kubelet is asked. This one dials the internal DNS names of the node.
//
// Generated code calls Describe, Configure and Candidates; every call finds a fresh instance, so nothing is remembered.
package plugin

import (
	"go.bytecodealliance.org/pkg/wit/types"
	"wit_component/metrics_gateway_policy_address"
	"wit_component/metrics_gateway_policy_plugin"
)

// Describe says what the plugin is.
func Describe() metrics_gateway_policy_plugin.Info {
	return metrics_gateway_policy_plugin.Info{
		Name:           "my-plugin",
		Version:        "0.1.0",
		Description:    "What it does, in one sentence for operators",
		SettingsSchema: `{"type": "object", "additionalProperties": false}`,
	}
}

// Configure takes the settings: {} where the operator set nothing.
func Configure(settings string) types.Result[types.Unit, string] {
	if settings != "{}" {
		return types.Err[types.Unit]("there are no settings")
	}
	return types.Ok[types.Unit, string](types.Unit{})
}

// Candidates answers with the places where a node's kubelet may be reached.
func Candidates(node metrics_gateway_policy_address.Node) metrics_gateway_policy_address.Choice {
	const most = 16
	var candidates []metrics_gateway_policy_address.Candidate
	for _, address := range node.Addresses {
		length := len(address.Address)
		if address.Kind == "InternalDNS" && length >= 1 && length <= 253 && len(candidates) < most {
			candidates = append(candidates, metrics_gateway_policy_address.Candidate{Host: address.Address})
		}
	}
	if candidates == nil {
		return metrics_gateway_policy_address.MakeChoicePass()
	}
	return metrics_gateway_policy_address.MakeChoiceDial(candidates)
}
