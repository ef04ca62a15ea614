"""What a user runs; one file per command. `build.py` is the main path."""

if __name__ != "retrolabel.pipelines":  # found as ./pipelines: it would be a second copy of every class
    raise ImportError("import retrolabel.pipelines, not pipelines")
