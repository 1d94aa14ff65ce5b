module example/skip-sidecars

go 1.24

// Made by `metrics-gateway plugin build` from plugin.wit: the contract in Go, and what generated code needs.
require (
	go.bytecodealliance.org/pkg v0.0.0
	wit_component v0.0.0
)

replace wit_component => ./target/bindings

replace go.bytecodealliance.org/pkg => ./target/bindings/pkg
