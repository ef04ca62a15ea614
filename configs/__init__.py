"""What a user may set: the config model, its loader and ready-to-run examples."""

if __name__ != "retrolabel.configs":  # found as ./configs: it would be a second copy of every class
    raise ImportError("import retrolabel.configs, not configs")
