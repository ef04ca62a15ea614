"""What validation found, with examples."""

from tensorflow_metadata.proto.v0.anomalies_pb2 import AnomalyInfo

from retrolabel.pipelines.report.html import Html, brief, element
from retrolabel.pipelines.report.material import Material

_SEVERITIES = {AnomalyInfo.ERROR: ("error", "bad"), AnomalyInfo.WARNING: ("warning", "look")}


def section(material: Material) -> Html | None:
    """Each anomaly with its reasons, errors first; None if the build did not validate."""
    found = material.day.anomalies
    if found is None:
        return None
    told = sorted(found.anomaly_info.items(), key=lambda item: (item[1].severity != AnomalyInfo.ERROR, item[0]))
    whole = (
        [element("li", _head("whole dataset", found.dataset_anomaly_info))]
        if found.HasField("dataset_anomaly_info")
        else []
    )
    if not told and not whole:
        return element("p", "The day was checked against its schema; nothing was found.")
    return element("ul", whole, [element("li", _head(name, info)) for name, info in told], class_="findings")


def _head(name: str, info: AnomalyInfo) -> list[Html]:
    word, class_ = _SEVERITIES.get(info.severity, ("note", "note"))
    reasons = [(reason.short_description, reason.description) for reason in info.reason] or [
        (info.short_description, info.description)
    ]
    return [
        element("p", element("b", brief(name)), element("span", word, class_=f"mark-{class_}")),
        *(
            element("p", element("span", f"{short}: " if short else ""), long, class_="quiet")
            for short, long in reasons
        ),
    ]
