"""The flows, one deployable flow a file."""
