"""What it takes to run the GPU tests and benchmarks on a machine that has one."""
