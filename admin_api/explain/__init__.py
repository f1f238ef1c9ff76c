"""What would become of a call."""
