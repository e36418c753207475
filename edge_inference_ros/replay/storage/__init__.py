"""How recordings lie in files: one module a format, and which files a bag consists of."""
