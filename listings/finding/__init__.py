"""What listings are found by: conditions, places and words."""
