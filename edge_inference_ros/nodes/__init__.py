"""The nodes, one file each, their parameters, and what a consumer imports."""
