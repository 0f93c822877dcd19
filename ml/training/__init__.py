"""Training: from labelled pictures to a network whose vectors find pictures of the same kind."""
