// Package plugin leaves containers out by name, such as the proxies of a service mesh.
//
// Generated code calls Describe, Configure and Classify; every call finds a fresh instance, so nothing is remembered.
package plugin

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.bytecodealliance.org/pkg/wit/types"
	"wit_component/metrics_gateway_policy_filter"
	"wit_component/metrics_gateway_policy_plugin"
)

// Settings is what an operator may set.
type Settings struct {
	// Names of containers, or patterns of names (*, ?), that are not served.
	Containers []string
	// Names or patterns of the namespaces in which that holds; all where there is none.
	Namespaces []string
}

const schema = `{"type": "object", "additionalProperties": false, "properties": {
	"containers": {"type": "array", "minItems": 1, "items": {"type": "string"},
		"description": "Names of containers, or patterns of names (*, ?), that are not served."},
	"namespaces": {"type": "array", "items": {"type": "string"},
		"description": "Names or patterns of the namespaces in which that holds; all where there is none."}}}`

var settings = Settings{Containers: []string{"istio-proxy", "linkerd-proxy"}}

// Describe says what the plugin is.
func Describe() metrics_gateway_policy_plugin.Info {
	return metrics_gateway_policy_plugin.Info{
		Name:           "skip-sidecars",
		Version:        "0.1.0",
		Description:    "Leaves out containers by name, such as the proxies of a service mesh",
		SettingsSchema: schema,
	}
}

// Configure takes the settings, as JSON.
func Configure(text string) types.Result[types.Unit, string] {
	if err := settings.read(text); err != nil {
		return types.Err[types.Unit](err.Error())
	}
	return types.Ok[types.Unit, string](types.Unit{})
}

func (s *Settings) read(text string) error {
	// Go's decoder would follow brackets deeper than the sandbox has stack for. These settings nest twice.
	if depth(text) > 8 {
		return errors.New(`want settings such as {"containers": ["istio-proxy"]}`)
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &given); err != nil || given == nil {
		return errors.New(`want settings such as {"containers": ["istio-proxy"]}`)
	}
	lists := map[string]*[]string{"containers": &s.Containers, "namespaces": &s.Namespaces}
	for name, value := range given {
		list, known := lists[name]
		if !known {
			return fmt.Errorf("unknown field `%s`, expected `containers` or `namespaces`", name)
		}
		if err := json.Unmarshal(value, list); err != nil {
			return fmt.Errorf(`"%s" must be a list of names or patterns, such as ["istio-proxy", "linkerd-*"]`, name)
		}
	}
	if len(s.Containers) == 0 {
		return errors.New(`"containers" is empty: name at least one container`)
	}
	for _, pattern := range slices.Concat(s.Containers, s.Namespaces) {
		if len(pattern) == 0 || len(pattern) > 253 {
			return fmt.Errorf(`"containers" and "namespaces" take names and patterns of 1 to 253 bytes, not "%s"`, pattern)
		}
	}
	return nil
}

// depth tells how deep brackets nest, those within strings included.
func depth(text string) int {
	now, deepest := 0, 0
	for _, letter := range text {
		switch letter {
		case '[', '{':
			now++
		case ']', '}':
			now--
		}
		deepest = max(deepest, now)
	}
	return deepest
}

// Verdicts of the contract.
const (
	keep uint8 = 0
	drop uint8 = 1
)

// Classify answers with one verdict per container, in the order of the pods and of the containers in each.
func Classify(pods []metrics_gateway_policy_filter.Pod) []uint8 {
	var verdicts []uint8
	for _, pod := range pods {
		isMeant := len(settings.Namespaces) == 0 || isOneOf(pod.Namespace, settings.Namespaces)
		for _, container := range pod.Containers {
			verdict := keep
			if isMeant && isOneOf(container, settings.Containers) {
				verdict = drop
			}
			verdicts = append(verdicts, verdict)
		}
	}
	return verdicts
}

func isOneOf(name string, patterns []string) bool {
	for _, pattern := range patterns {
		if matches(pattern, name) {
			return true
		}
	}
	return false
}

// matches tells whether all of a name is what a pattern says: * stands for any characters, ? for one.
func matches(pattern, name string) bool {
	at, reached, afterStar, taken := 0, 0, 0, 0
	for reached < len(name) {
		switch {
		case at < len(pattern) && pattern[at] == '*':
			at++
			afterStar, taken = at, reached
		case at < len(pattern) && (pattern[at] == '?' || pattern[at] == name[reached]):
			at++
			reached++
		case afterStar > 0:
			// What follows the latest star does not fit here: the star takes one character more.
			taken++
			at, reached = afterStar, taken
		default:
			return false
		}
	}
	for at < len(pattern) && pattern[at] == '*' {
		at++
	}
	return at == len(pattern)
}
