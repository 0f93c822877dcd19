"""From cosines to probabilities: how likely two photos show the same kind of thing, by one model's vectors."""
