import replica  # noqa: F401 - pins NumPy before a stage imports it
