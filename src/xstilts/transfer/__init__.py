"""Which source languages help which language: learned from published results, or from runs of one's own."""
