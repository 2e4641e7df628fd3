"""A section of a page that a command writes, between two lines that mark it."""


def with_section(page: str, begin: str, end: str, section: str) -> str | None:
    """Return a page with another text between its markers, which stay; None if it lacks one, or their order.

    Args:
        page: the text of the page.
        begin: the marker before the section.
        end: the marker after it.
        section: what is between the markers, its line breaks included.
    """
    before, found_begin, rest = page.partition(begin)
    _, found_end, after = rest.partition(end)
    return f"{before}{begin}{section}{end}{after}" if found_begin and found_end else None
