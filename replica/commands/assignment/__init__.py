"""`replica assignment`: a chapter with its questions handed out, and what comes back graded by runs of its own."""
