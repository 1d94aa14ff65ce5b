// Package runtime is where generated code gets memory that the host and the plugin hand to each other.
package runtime

import (
	"runtime"
	"unsafe"
)

// What the host writes before a call stays where it is until generated code has made Go values of it (Unpin). Those
// point into the same blocks, and so keep them alive for as long as they are used.
var arguments runtime.Pinner

// What is left of the block that arguments are written to. A question is thousands of strings; a block for each would
// take most of the time of the call.
var room []uint64

// Words of a block, 64 KiB.
const blockWords = 8192

// Nothing has to have an address too, and one that the garbage collector can look at.
var nothing uint64

// Allocate returns size bytes that stay where they are until pinner is told otherwise.
func Allocate(pinner *runtime.Pinner, size, align uintptr) unsafe.Pointer {
	if size == 0 {
		return unsafe.Pointer(&nothing)
	}
	// Words rather than bytes, so that whatever lies in the block is aligned: no type of the contract asks for more.
	block := unsafe.Pointer(unsafe.SliceData(make([]uint64, (size+7)/8)))
	pinner.Pin(block)
	return block
}

// Unpin lets go of what the host has written. Later arguments go to another block, because Go values lie in this one.
func Unpin() {
	arguments.Unpin()
	room = nil
}

//go:wasmexport cabi_realloc
func reallocate(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	if oldSize != 0 {
		panic("a host that hands over UTF-8 never grows a block")
	}
	words := (int(size) + 7) / 8
	if words == 0 {
		return unsafe.Pointer(&nothing)
	}
	if words > len(room) {
		room = make([]uint64, max(words, blockWords))
		arguments.Pin(unsafe.SliceData(room))
	}
	place := unsafe.Pointer(unsafe.SliceData(room))
	room = room[words:]
	return place
}
