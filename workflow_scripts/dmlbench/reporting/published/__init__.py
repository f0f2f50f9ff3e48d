"""Numbers that papers published, as data."""
