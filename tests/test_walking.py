"""What is passed over is told in one line."""

from headtohead.data.walking import HIDDEN, OWN, SYSTEMS, PassedOver, passed_over_line
from stated import stated


def test_one_line_tells_all_that_was_passed_over() -> None:
    """Folders would be left out in silence, or fill the screen."""
    passed = [PassedOver(f"cat/{n}/@eaDir", SYSTEMS) for n in range(3)]
    passed += [PassedOver("a\nb/runs", OWN), PassedOver("x/.\x1b[31m", HIDDEN)]
    passed += [PassedOver(name, SYSTEMS) for name in ("#recycle", "lost+found", "__pycache__")]
    line = passed_over_line(passed)
    assert line is not None
    names = ("@eaDir", "#recycle", "lost+found", "__pycache__", "…", "runs", "(.\\x1b[31m)")
    assert stated(line, SYSTEMS, OWN, HIDDEN, "entries", *names) == [
        *("8", "entries"),
        *("6", SYSTEMS, "@eaDir", "3", "#recycle", "lost+found", "…"),
        *("1", OWN, "runs"),
        *("1", HIDDEN, "(.\\x1b[31m)"),
    ]
    one = passed_over_line([PassedOver("a/b", OWN)])
    assert one is not None
    assert stated(one, OWN, "entry", "(b)") == ["1", "entry", "1", OWN, "(b)"]
    assert passed_over_line([]) is None
