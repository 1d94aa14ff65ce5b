package plugin

import (
	"testing"

	"wit_component/metrics_gateway_policy_window"
)

func TestTheRateIsTheMean(t *testing.T) {
	usages := Measure(metrics_gateway_policy_window.Batch{
		Ends:        []uint32{3},
		TakenAt:     []uint64{1e9, 16e9, 31e9},
		StartedAt:   []uint64{1, 1, 1},
		CpuNs:       []uint64{0, 3e9, 6e9},
		MemoryBytes: []uint64{0, 0, 64},
	})
	if usages.WindowNs[0] != 30e9 || usages.Nanocores[0] != 2e8 || usages.MemoryBytes[0] != 64 {
		t.Errorf("got %+v", usages)
	}
}
