import replica  # noqa: F401 - chooses NumPy's code, before anything here loads it
