"""What runs of one's own say: gains of intermediate training, and a ridge regression that explains them."""
