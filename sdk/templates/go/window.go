// Package plugin says over which window usage is computed. This one takes the mean rate since the oldest sample that it is
// shown, or since the container started.
//
// Generated code calls Describe, Configure, History and Measure; every call finds a fresh instance, so nothing is
// remembered.
package plugin

import (
	"time"

	"go.bytecodealliance.org/pkg/wit/types"
	"wit_component/metrics_gateway_policy_plugin"
	"wit_component/metrics_gateway_policy_window"
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

// History says how far back samples are wanted.
func History() uint64 {
	return uint64(time.Minute)
}

// Measure answers with one row for each series; one with a window of 0 serves nothing.
func Measure(batch metrics_gateway_policy_window.Batch) metrics_gateway_policy_window.Usages {
	rows := len(batch.Ends)
	usages := metrics_gateway_policy_window.Usages{
		TakenAt:     make([]uint64, rows),
		WindowNs:    make([]uint64, rows),
		Nanocores:   make([]uint64, rows),
		MemoryBytes: make([]uint64, rows),
	}
	start := 0
	for row, end := range batch.Ends {
		measure(&batch, start, int(end), &usages, row)
		start = int(end)
	}
	return usages
}

// measure fills one row from the samples start..end.
func measure(
	batch *metrics_gateway_policy_window.Batch, start, end int, usages *metrics_gateway_policy_window.Usages, row int,
) {
	if start == end {
		return
	}
	newest, oldest := end-1, start
	for batch.StartedAt[oldest] != batch.StartedAt[newest] {
		oldest++
	}
	window := batch.TakenAt[newest] - batch.TakenAt[oldest]
	if window == 0 || batch.CpuNs[newest] < batch.CpuNs[oldest] {
		return
	}
	rate := float64(batch.CpuNs[newest]-batch.CpuNs[oldest]) / float64(window) * 1e9
	memory := batch.MemoryBytes[newest]
	if rate > 1e15 || memory > 1<<60 {
		return
	}
	usages.TakenAt[row], usages.WindowNs[row] = batch.TakenAt[newest], window
	usages.Nanocores[row], usages.MemoryBytes[row] = uint64(rate), memory
}
