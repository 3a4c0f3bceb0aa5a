"""One module for each shell command: `add_arguments(parser)` and `main(args) -> exit status`."""
