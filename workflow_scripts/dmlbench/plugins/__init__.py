"""From a name or a class path in a config to a class and its arguments."""
