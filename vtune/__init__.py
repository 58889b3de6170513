"""vtune: hundreds or thousands of trials trained as one JAX array program."""
