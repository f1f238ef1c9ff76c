"""Pure decisions: no I/O, no clock, no framework. Imports the standard library, msgspec and itself."""
