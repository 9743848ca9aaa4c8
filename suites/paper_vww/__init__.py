"""Visual Wake Words at batch 1: table 5 of the paper, run here."""
