"""The embedded broker: units, and the program from outside."""
