"""What the page of benchmarks is made of."""
