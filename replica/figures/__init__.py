"""Every figure of the project, as PNG that is the same to the byte from run to run."""
