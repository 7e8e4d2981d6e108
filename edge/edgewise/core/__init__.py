"""The routing core: integers only, no I/O, no clock, no allocation; the only code that is compiled."""
