"""`replica sweep`: random, Bayesian and grid search over a variant's parameters, each trial a DVC experiment.

See docs/sweep.md.
"""
