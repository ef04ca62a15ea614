"""Every shape that crosses a step, a process or a release."""

if __name__ != "retrolabel.schemas":  # found as ./schemas: it would be a second copy of every class
    raise ImportError("import retrolabel.schemas, not schemas")
