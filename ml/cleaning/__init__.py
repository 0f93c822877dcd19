"""From what a marketplace hands out to what a network is trained on: pictures of one size, tables without bad cells."""
