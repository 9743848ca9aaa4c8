"""The compiler: network + update scheme → bare-metal C trainer. Knows nothing of targets or reports."""
