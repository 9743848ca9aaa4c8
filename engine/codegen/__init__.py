"""Graph + plan → a folder of C that stands alone."""
