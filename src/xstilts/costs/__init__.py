"""What a plan will cost: time, memory and disk of every step, and a simulated schedule."""
