"""The report of a version: one file of HTML, each section a function of what is published. `page.py` lists them."""

if __name__ != "retrolabel.pipelines.report":
    raise ImportError("import retrolabel.pipelines.report, not pipelines.report")
