"""`replica verify`: train again in a scratch copy, and say whether the committed bytes come out. See docs/verify.md."""
