"""What is passed over is told in one line."""

from headtohead.data.walking import HIDDEN, OWN, SYSTEMS, PassedOver, passed_over_line


def test_one_line_tells_all_that_was_passed_over() -> None:
    """Folders would be left out in silence, or fill the screen."""
    passed = [PassedOver(f"cat/{n}/@eaDir", SYSTEMS) for n in range(3)]
    passed += [PassedOver("a\nb/runs", OWN), PassedOver("x/.\x1b[31m", HIDDEN)]
    passed += [PassedOver(name, SYSTEMS) for name in ("#recycle", "lost+found", "__pycache__")]
    assert passed_over_line(passed) == (
        "Ignored 8 entries: 6 left by a system (@eaDir (3), #recycle, lost+found, …); "
        "1 of headtohead's own (runs); 1 hidden (.\\x1b[31m)."
    )
    assert passed_over_line([PassedOver("a", OWN)]) == (
        "Ignored 1 entry: 1 of headtohead's own (a)."
    )
    assert passed_over_line([]) is None
