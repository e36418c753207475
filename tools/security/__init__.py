"""The SROS2 policy of our nodes, read off the nodes themselves."""
