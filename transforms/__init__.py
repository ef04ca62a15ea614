"""The steps of a build in the order in which data flows: wiring only, the computation is in `kernels`."""

if __name__ != "retrolabel.transforms":  # found as ./transforms: it would be a second copy of every class
    raise ImportError("import retrolabel.transforms, not transforms")
