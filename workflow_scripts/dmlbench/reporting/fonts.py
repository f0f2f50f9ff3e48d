"""Letters that the font of figures lacks: taken from another font that is installed, or told."""

import logging
from collections.abc import Iterator

from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

log = logging.getLogger(__name__)

#: matplotlib brings it along, so that figures are the same on all machines.
FONT = "DejaVu Sans"
#: It has a box for every letter.
_LAST_RESORT = "Last Resort High-Efficiency"
_NORMAL = 400
_INSTALL = "fonts-noto-core fonts-noto-cjk"


def add_fonts(figure: Figure, name: str) -> None:
    """Have a figure print letters that its font lacks; says which ones no installed font has.

    A figure without such letters is left alone, whatever fonts a machine has.
    """
    texts = _texts(figure)
    lacking = {letter for text in texts for letter in text.get_text()} - _letters_of(FONT)
    lacking = {letter for letter in lacking if letter.isprintable() and not letter.isspace()}
    if not lacking:
        return
    families, still = _others(lacking)
    for text in texts:
        if lacking & set(text.get_text()):
            text.set_fontfamily([FONT, *families])
    if still:
        log.warning(
            "%s: no installed font has %s, which print as boxes; install one (Debian: %s) and draw "
            "the figure again",
            name, "".join(sorted(still)), _INSTALL, extra={"tell": True},
        )  # fmt: skip


def _texts(figure: Figure) -> list[Text]:
    """All texts of a figure; labels of ticks have theirs only when they are asked for."""
    texts = figure.findobj(Text)
    for axis in figure.axes:
        texts += [*axis.get_xticklabels(), *axis.get_yticklabels()]
    return texts


def _others(lacking: set[str]) -> tuple[list[str], set[str]]:
    """Families that together have these letters, the most first; and letters that none has."""
    has = {name: letters & lacking for name, letters in _installed()}
    families: list[str] = []
    while found := max((has[name] & lacking for name in sorted(has)), key=len, default=set()):
        families.append(next(name for name in sorted(has) if has[name] & lacking == found))
        lacking = lacking - found
    return families, lacking


def _installed() -> Iterator[tuple[str, set[str]]]:
    """The families that are installed now, and the letters of each."""
    manager = font_manager.fontManager
    known = {font.fname for font in manager.ttflist}
    for file in sorted(set(font_manager.findSystemFonts()) - known):  # since matplotlib looked
        try:
            manager.addfont(file)
        except (OSError, RuntimeError) as error:  # as matplotlib does with those that it finds
            log.info("%s is no font that can be used: %s", file, error)
    fonts = {f.name for f in manager.ttflist if (f.style, f.weight) == ("normal", _NORMAL)}
    for name in sorted(fonts - {FONT, _LAST_RESORT}):
        yield name, _letters_of(name)


def _letters_of(name: str) -> set[str]:
    """The letters of a family that can be printed in any size; colour emoji cannot."""
    font = font_manager.get_font(font_manager.findfont(name))
    return set(map(chr, font.get_charmap())) if font.scalable else set()
