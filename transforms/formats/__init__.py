"""Log formats: one small file each, from the bytes of a block to an Arrow table."""

if __name__ != "retrolabel.transforms.formats":  # found as ./transforms/formats: it would be a second copy of every class
    raise ImportError("import retrolabel.transforms.formats, not transforms.formats")
