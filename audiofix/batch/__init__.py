"""Many files in one run: the plan, the manifest, claims, and engines that work through them."""
