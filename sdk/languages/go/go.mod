// What generated code imports under this name. Only the parts that the contract needs, and ours: see
// sdk/languages/README.md.
module go.bytecodealliance.org/pkg

go 1.24
