"""One deployable flow a file."""
