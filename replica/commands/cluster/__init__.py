"""`replica repro --cluster` and `--scheduler`: the same stages, each on a machine of its own. See docs/cluster.md."""
