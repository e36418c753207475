"""At which pace a recording is run: by thought, through an engine, or on a live graph."""
