"""The commands of the command line, one a module. They parse, call the library, and print; nothing else."""
