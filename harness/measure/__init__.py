"""What is measured on a running target: one definition a file."""
