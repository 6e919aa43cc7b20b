"""What goes with a release: badges that say what committed files say, and the results described as an RO-Crate."""
