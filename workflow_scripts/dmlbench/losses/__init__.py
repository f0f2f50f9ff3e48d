"""One file per loss; a loss registers itself by name."""
