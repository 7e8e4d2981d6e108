"""The build: from the core's Python source to WebAssembly, components, and bundles for the edge."""
