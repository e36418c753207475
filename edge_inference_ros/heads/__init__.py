"""How to show a network a sample and read its answer: one file an output layout."""
