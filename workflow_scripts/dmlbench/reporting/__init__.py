"""From collected metrics to tables, figures and report; imports no torch."""
