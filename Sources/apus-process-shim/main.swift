import ProcessShim

// The helper alone, for tests: in a cluster `apus process-shim` is the same code.
ProcessShim.run()
