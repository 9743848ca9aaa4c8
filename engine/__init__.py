"""The compiler: a network and an update scheme become a bare-metal C trainer. Knows nothing of targets or reports."""
