"""What pre-trained networks say of the views that a network learns from."""
