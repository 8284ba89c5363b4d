"""The calls that let people see what goes on."""
