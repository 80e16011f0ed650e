"""Which source languages help which language: learned from published results, or from your own runs."""
