from retrolabel.pipelines.holes import holes

HOURS = [f"/logs/{hour:02d}*.log" for hour in range(24)]


def test_hours_between_others_that_have_no_file_are_holes() -> None:
    assert holes(HOURS, ["/logs/03.log", "/logs/04-a.log", "/logs/04-b.log", "/logs/07.log"]) == HOURS[5:7]


def test_hours_before_the_first_and_after_the_last_file_are_none() -> None:
    assert holes(HOURS, ["/logs/03.log", "/logs/04.log"]) == []
    assert holes(HOURS, ["/logs/03.log"]) == []
    assert holes(HOURS, []) == []


def test_a_pattern_that_begins_with_a_wildcard_is_looked_for_everywhere() -> None:
    days = [f"/**/app.{day}.log" for day in (19, 20, 21)]
    assert holes(days, ["/b/app.19.log", "/a/c/app.21.log", "/a/app.22.log"]) == [days[1]]
